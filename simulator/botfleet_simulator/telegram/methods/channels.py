"""channels.*: supergroups and channels.

It must never serve basic groups.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.domain import Chat, ChatKind, Member, bare_id
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.messaging import Sent
from botfleet_simulator.telegram.methods.history import one_message
from botfleet_simulator.telegram.methods.people import bot_info
from botfleet_simulator.telegram.render import channel_participant
from botfleet_simulator.telegram.rpc import TRUE, Context, method

F = functions.channels
PAGE_LIMIT = 200


@method(F.CreateChannelRequest, bots=False)
def create_channel(context: Context, request: Any) -> Any:
    """A new channel or supergroup."""
    if not request.title.strip():
        raise RpcError("CHANNEL_TITLE_INVALID" if request.broadcast else "CHAT_TITLE_EMPTY")
    kind: ChatKind = "supergroup" if request.megagroup else "channel"
    chat, sent = context.server.manage.create(kind, request.title, context.me, origin=context.connection)
    chat.about = request.about
    context.world.save_chat(chat)
    return _updates(context, chat, sent)


@method(F.GetMessagesRequest)
def get_messages(context: Context, request: Any) -> Any:
    """Messages by id."""
    chat = context.server.access.channel(context.me, request.channel)
    view, box = context.view(), context.world.box(chat.id)
    view.note(chat.id)
    messages = [one_message(context, view, box, given) for given in request.id]
    return types.messages.ChannelMessages(box.pts, len(messages), messages, [], view.chats(), view.users())


@method(F.DeleteMessagesRequest)
def delete_messages(context: Context, request: Any) -> Any:
    """Delete messages."""
    chat = context.server.access.channel(context.me, request.channel)
    changes = context.server.messaging.delete(context.me, request.id, channel=chat, revoke=True)
    context.server.delivery.announce(changes, context.connection)
    return types.messages.AffectedMessages(context.world.box(chat.id).pts, sum(entry.count for _, entry in changes))


@method(F.ReadHistoryRequest, bots=False)
def read_history(context: Context, request: Any) -> Any:
    """Mark as read up to an id."""
    chat = context.server.access.channel(context.me, request.channel)
    box, own = context.world.box(chat.id), context.world.box(context.me.id)
    dialog = own.dialog(chat.id)
    upto = min(request.max_id or box.last_id, box.last_id)
    if upto > dialog.read_in:
        dialog.read_in = upto
        context.world.save_dialog(own, chat.id, dialog)
    return TRUE


@method(F.InviteToChannelRequest)
def invite_to_channel(context: Context, request: Any) -> Any:
    """Bring people in."""
    chat = context.server.access.channel(context.me, request.channel)
    if context.me.id not in chat.members or (chat.kind == "channel" and not chat.is_admin(context.me.id)):
        raise RpcError("CHAT_ADMIN_REQUIRED")
    sent = None
    for given in request.users:
        account = context.server.access.user(context.me, given)
        if account.id in chat.members:
            raise RpcError("USER_ALREADY_PARTICIPANT")
        sent = context.server.manage.add_member(chat, account, context.me, origin=context.connection)
    return types.messages.InvitedUsers(_updates(context, chat, sent), [])


@method(F.JoinChannelRequest, bots=False)
def join_channel(context: Context, request: Any) -> Any:
    """Enter a public channel or supergroup."""
    chat = context.server.access.channel(context.me, request.channel, member=False)
    if context.me.id in chat.members:
        raise RpcError("USER_ALREADY_PARTICIPANT")
    if chat.username is None:
        raise RpcError("CHANNEL_PRIVATE")
    sent = context.server.manage.add_member(chat, context.me, context.me, origin=context.connection)
    return types.messages.ChatInviteJoinResultOk(_updates(context, chat, sent))


@method(F.LeaveChannelRequest)
def leave_channel(context: Context, request: Any) -> Any:
    """Leave."""
    chat = context.server.access.channel(context.me, request.channel)
    if context.me.id not in chat.members:
        raise RpcError("USER_NOT_PARTICIPANT")
    sent = context.server.manage.remove_member(chat, context.me, context.me, origin=context.connection)
    return _updates(context, chat, sent)


@method(F.GetChannelsRequest)
def get_channels(context: Context, request: Any) -> Any:
    """Channels by input."""
    view = context.view()
    for given in request.id:
        view.note(context.server.access.channel(context.me, given).id)
    return types.messages.Chats(view.chats())


@method(F.GetFullChannelRequest)
def get_full_channel(context: Context, request: Any) -> Any:
    """A channel in full."""
    chat = context.server.access.channel(context.me, request.channel)
    box = context.world.box(chat.id)
    own = context.world.box(context.me.id).dialog(chat.id)
    view = context.view()
    bots = [account for i in chat.members if (account := context.world.account(i)).is_bot]
    view.note(chat.id, *(bot.id for bot in bots))
    full = types.ChannelFull(
        id=bare_id(chat.id),
        about=chat.about,
        read_inbox_max_id=own.read_in,
        read_outbox_max_id=own.read_out,
        unread_count=0,
        chat_photo=types.PhotoEmpty(0),
        notify_settings=types.PeerNotifySettings(),
        bot_info=[bot_info(bot) for bot in bots],
        pts=box.pts,
        can_view_participants=(chat.kind == "supergroup" or chat.is_admin(context.me.id)) or None,
        participants_count=len(chat.members),
        linked_chat_id=bare_id(chat.linked) if chat.linked is not None else None,
        slowmode_seconds=chat.slow_mode_seconds or None,
        migrated_from_chat_id=bare_id(chat.migrated_from) if chat.migrated_from is not None else None,
    )
    return types.messages.ChatFull(full, view.chats(), view.users())


@method(F.GetParticipantsRequest)
def get_participants(context: Context, request: Any) -> Any:
    """Members, a page at a time."""
    chat = context.server.access.channel(context.me, request.channel)
    if chat.kind == "channel" and not chat.is_admin(context.me.id):
        raise RpcError("CHAT_ADMIN_REQUIRED")
    members = [member for member in chat.members.values() if _wanted(context, request.filter, member)]
    page = members[request.offset : request.offset + min(request.limit, PAGE_LIMIT)]
    view = context.view()
    view.note(chat.id, *(member.account_id for member in page))
    listed = [channel_participant(member, context.me) for member in page]
    return types.channels.ChannelParticipants(len(members), listed, view.chats(), view.users())


@method(F.GetParticipantRequest)
def get_participant(context: Context, request: Any) -> Any:
    """One member."""
    chat = context.server.access.channel(context.me, request.channel)
    account_id = context.server.access.peer(context.me, request.participant)
    member = chat.members.get(account_id)
    if member is None:
        raise RpcError("USER_NOT_PARTICIPANT")
    view = context.view()
    view.note(chat.id, account_id)
    return types.channels.ChannelParticipant(channel_participant(member, context.me), view.chats(), view.users())


@method(F.EditAdminRequest)
def edit_admin(context: Context, request: Any) -> Any:
    """Promote or demote."""
    chat = _governed(context, request.channel)
    account = context.server.access.user(context.me, request.user_id)
    if account.id not in chat.members:
        raise RpcError("USER_NOT_PARTICIPANT")
    rights = request.admin_rights.to_dict()
    context.server.manage.set_admin(chat, account, admin=any(v is True for v in rights.values()))
    return _updates(context, chat, None)


@method(F.EditBannedRequest)
def edit_banned(context: Context, request: Any) -> Any:
    """Ban (view_messages forbidden) or pardon a member."""
    chat = _governed(context, request.channel)
    account = context.world.account(context.server.access.peer(context.me, request.participant))
    sent = None
    if request.banned_rights.view_messages:
        sent = context.server.manage.remove_member(chat, account, context.me, ban=True, origin=context.connection)
    else:
        chat.banned.discard(account.id)
        context.world.save_chat(chat)
    return _updates(context, chat, sent)


@method(F.EditTitleRequest)
def edit_title(context: Context, request: Any) -> Any:
    """Rename."""
    chat = _governed(context, request.channel)
    if not request.title.strip():
        raise RpcError("CHAT_TITLE_EMPTY")
    if request.title == chat.title:
        raise RpcError("CHAT_NOT_MODIFIED")
    sent = context.server.manage.set_title(chat, request.title, context.me, origin=context.connection)
    return _updates(context, chat, sent)


def _governed(context: Context, given: Any) -> Chat:
    chat = context.server.access.channel(context.me, given)
    if not chat.is_admin(context.me.id):
        raise RpcError("CHAT_ADMIN_REQUIRED")
    return chat


def _wanted(context: Context, wanted: Any, member: Member) -> bool:
    if isinstance(wanted, types.ChannelParticipantsAdmins):
        return member.role != "member"
    account = context.world.account(member.account_id)
    if isinstance(wanted, types.ChannelParticipantsBots):
        return account.is_bot
    if isinstance(wanted, types.ChannelParticipantsSearch):
        words = f"{account.first_name} {account.last_name or ''} {account.username or ''}".casefold()
        return wanted.q.casefold() in words
    return not isinstance(wanted, types.ChannelParticipantsKicked | types.ChannelParticipantsBanned)


def _updates(context: Context, chat: Chat, sent: Sent | None) -> Any:
    view = context.view()
    view.note(chat.id)
    updates = [types.UpdateChannel(bare_id(chat.id))]
    if sent is not None:
        updates += [view.update(*change) for change in sent.changes]
    return view.updates(updates)
