"""Basic groups: messages.* about chats.

It must never serve channels or supergroups, which have methods of their own.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.domain import Chat, bare_id, mark_chat
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.messaging import Sent
from botfleet_simulator.telegram.methods.messages import own_change
from botfleet_simulator.telegram.methods.people import bot_info
from botfleet_simulator.telegram.render import basic_participant
from botfleet_simulator.telegram.rpc import TRUE, Context, method

F = functions.messages


@method(F.CreateChatRequest, bots=False)
def create_chat(context: Context, request: Any) -> Any:
    """A new basic group."""
    if not request.title.strip():
        raise RpcError("CHAT_TITLE_EMPTY")
    members = [context.server.access.user(context.me, given) for given in request.users]
    if not members:
        raise RpcError("USERS_TOO_FEW")
    _, sent = context.server.manage.create("basic", request.title, context.me, members, origin=context.connection)
    return _invited(context, sent)


@method(F.AddChatUserRequest, bots=False)
def add_chat_user(context: Context, request: Any) -> Any:
    """Bring somebody into a basic group."""
    chat = _open_group(context, request.chat_id)
    account = context.server.access.user(context.me, request.user_id)
    sent = context.server.manage.add_member(chat, account, context.me, origin=context.connection)
    if sent is None:
        raise RpcError("USER_ALREADY_PARTICIPANT")
    return _invited(context, sent)


@method(F.DeleteChatUserRequest)
def delete_chat_user(context: Context, request: Any) -> Any:
    """Put somebody out of a basic group, or leave it."""
    chat = _open_group(context, request.chat_id)
    account = context.server.access.user(context.me, request.user_id)
    if account.id not in chat.members:
        raise RpcError("USER_NOT_PARTICIPANT")
    if account is not context.me and not chat.is_admin(context.me.id):
        raise RpcError("CHAT_ADMIN_REQUIRED")
    sent = context.server.manage.remove_member(chat, account, context.me, origin=context.connection)
    return _updates(context, sent)


@method(F.EditChatTitleRequest)
def edit_chat_title(context: Context, request: Any) -> Any:
    """Rename a basic group."""
    chat = _open_group(context, request.chat_id)
    if not request.title.strip():
        raise RpcError("CHAT_TITLE_EMPTY")
    if request.title == chat.title:
        raise RpcError("CHAT_NOT_MODIFIED")
    return _updates(
        context, context.server.manage.set_title(chat, request.title, context.me, origin=context.connection)
    )


@method(F.EditChatAdminRequest, bots=False)
def edit_chat_admin(context: Context, request: Any) -> Any:
    """Promote or demote in a basic group."""
    chat = _open_group(context, request.chat_id)
    if chat.creator_id != context.me.id:
        raise RpcError("CHAT_ADMIN_REQUIRED")
    account = context.server.access.user(context.me, request.user_id)
    context.server.manage.set_admin(chat, account, admin=bool(request.is_admin))
    return TRUE


@method(F.MigrateChatRequest, bots=False)
def migrate_chat(context: Context, request: Any) -> Any:
    """Turn a basic group into a supergroup."""
    chat = _open_group(context, request.chat_id)
    if chat.creator_id != context.me.id:
        raise RpcError("CHAT_ADMIN_REQUIRED")
    group = context.server.manage.migrate(chat)
    view = context.view()
    view.note(chat.id, group.id)
    return view.updates([types.UpdateChannel(bare_id(group.id))])


@method(F.GetChatsRequest)
def get_chats(context: Context, request: Any) -> Any:
    """Basic groups by id."""
    view = context.view()
    for bare in request.id:
        if mark_chat(bare, "basic") in context.world.chats:
            view.note(context.server.access.group(context.me, bare).id)
    return types.messages.Chats(view.chats())


@method(F.GetFullChatRequest)
def get_full_chat(context: Context, request: Any) -> Any:
    """A basic group with its members."""
    chat = context.server.access.group(context.me, request.chat_id)
    view = context.view()
    view.note(chat.id, *chat.members)
    bots = [account for i in chat.members if (account := context.world.account(i)).is_bot]
    if context.me.id in chat.members:
        listed = [basic_participant(member) for member in chat.members.values()]
        participants: Any = types.ChatParticipants(bare_id(chat.id), listed, chat.version)
    else:
        participants = types.ChatParticipantsForbidden(bare_id(chat.id))
    full = types.ChatFull(
        id=bare_id(chat.id),
        about=chat.about,
        participants=participants,
        notify_settings=types.PeerNotifySettings(),
        bot_info=[bot_info(bot) for bot in bots] or None,
    )
    return types.messages.ChatFull(full, view.chats(), view.users())


def _open_group(context: Context, bare: int) -> Chat:
    chat = context.server.access.group(context.me, bare)
    if chat.migrated_to is not None or context.me.id not in chat.members:
        raise RpcError("CHAT_ID_INVALID")
    return chat


def _updates(context: Context, sent: Sent | None) -> Any:
    view = context.view()
    if sent is None:
        return view.updates([])
    view.note(sent.post.target)
    return view.updates([view.update(*own_change(context, sent))])


def _invited(context: Context, sent: Sent) -> Any:
    return types.messages.InvitedUsers(_updates(context, sent), [])
