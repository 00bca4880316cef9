"""Sending, editing, deleting, reading, typing: messages.* that change something, in every kind of chat.

It must never decide what is allowed: the domain does.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.domain import Post, is_channel
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.messaging import Change, Draft, Sent
from botfleet_simulator.telegram.rpc import TRUE, Context, method

F = functions.messages


@method(F.SendMessageRequest)
def send_message(context: Context, request: Any) -> Any:
    """Send a text."""
    if request.schedule_date is not None:
        raise RpcError("SCHEDULE_DATE_INVALID")
    server = context.server
    target = server.access.peer(context.me, request.peer)
    draft = Draft(
        request.message,
        request.random_id,
        known_mentions(context, request.entities),
        *replied_to(request),
        request.reply_markup,
        silent=bool(request.silent),
    )
    sent = server.messaging.send(context.me, target, draft)
    if sent.repeated:
        return repeated(context, sent.post)
    server.delivery.sent(sent, context.connection)
    return _answer(context, sent)


@method(F.StartBotRequest, bots=False)
def start_bot(context: Context, request: Any) -> Any:
    """Press a bot's Start button."""
    bot = context.server.access.user(context.me, request.bot)
    if not bot.is_bot:
        raise RpcError("BOT_INVALID")
    target = context.server.access.peer(context.me, request.peer)
    text = f"/start {request.start_param}" if request.start_param else "/start"
    sent = context.server.messaging.send(context.me, target, Draft(text, request.random_id))
    if sent.repeated:
        return repeated(context, sent.post)
    context.server.delivery.sent(sent, context.connection)
    return full_answer(context, sent.post, own_change(context, sent))


@method(F.ForwardMessagesRequest)
def forward_messages(context: Context, request: Any) -> Any:
    """Send messages on as they are."""
    server, me = context.server, context.me
    source = server.access.peer(me, request.from_peer)
    target = server.access.peer(me, request.to_peer)
    box = context.world.box_of(me.id, source)
    view, updates = context.view(), []
    for message_id, random_id in zip(request.id, request.random_id, strict=True):
        post = box.posts.get(message_id)
        if post is None or post.peer_for(me.id) != source or post.action is not None:
            raise RpcError("MESSAGE_ID_INVALID")
        header = types.MessageFwdHeader(date=post.date, from_id=types.PeerUser(post.sender_id))
        view.note(post.sender_id)
        draft = Draft(post.text, random_id, list(post.entities), forward=header, file_id=post.file_id)
        sent = server.messaging.send(me, target, draft)
        server.delivery.sent(sent, context.connection)
        change = own_change(context, sent)
        updates += [types.UpdateMessageID(sent.post.copies[change.box.owner], random_id), view.update(*change)]
    return view.updates(updates)


@method(F.EditMessageRequest)
def edit_message(context: Context, request: Any) -> Any:
    """Change a text or its keyboard."""
    server = context.server
    peer = server.access.peer(context.me, request.peer)
    entities = known_mentions(context, request.entities)
    sent = server.messaging.edit(
        context.me, peer, request.id, text=request.message, entities=entities, markup=request.reply_markup
    )
    server.delivery.announce(sent.changes, context.connection)
    view = context.view()
    view.note(peer)
    return view.updates([view.update(*own_change(context, sent))])


@method(F.DeleteMessagesRequest)
def delete_messages(context: Context, request: Any) -> Any:
    """Delete messages of private chats and basic groups."""
    changes = context.server.messaging.delete(context.me, request.id, revoke=bool(request.revoke))
    return affected(context, changes)


@method(F.DeleteHistoryRequest, bots=False)
def delete_history(context: Context, request: Any) -> Any:
    """Delete a whole chat."""
    peer = context.server.access.peer(context.me, request.peer)
    box = context.world.box(context.me.id)
    ids = [i for i in box.dialog(peer).ids if not request.max_id or i <= request.max_id]
    changes = context.server.messaging.delete(context.me, ids, revoke=bool(request.revoke))
    result = affected(context, changes)
    return types.messages.AffectedHistory(result.pts, result.pts_count, 0)


@method(F.ReadHistoryRequest, bots=False)
def read_history(context: Context, request: Any) -> Any:
    """Mark a private chat or basic group as read."""
    peer = context.server.access.peer(context.me, request.peer)
    if is_channel(peer):
        raise RpcError("PEER_ID_INVALID")
    return affected(context, context.server.messaging.read(context.me, peer, request.max_id))


@method(F.ReadMessageContentsRequest)
def read_message_contents(context: Context, request: Any) -> Any:
    """Nothing here has contents that can be unread."""
    return affected(context, [])


@method(F.SetTypingRequest)
def set_typing(context: Context, request: Any) -> Any:
    """Show others that one is typing."""
    server, me = context.server, context.me
    peer = server.access.peer(me, request.peer)
    if peer > 0:
        server.messaging.check_private(me, context.world.account(peer))
        if peer != me.id:
            server.delivery.tell_typing(peer, types.UpdateUserTyping(me.id, request.action))
        return TRUE
    chat = context.world.chat(peer)
    server.messaging.check_member(me, chat)
    sender = types.PeerUser(me.id)
    if is_channel(peer):
        update = types.UpdateChannelUserTyping(-peer - 1_000_000_000_000, sender, request.action, request.top_msg_id)
    else:
        update = types.UpdateChatUserTyping(-peer, sender, request.action)
    for account_id in list(chat.members):
        if account_id != me.id:
            server.delivery.tell_typing(account_id, update)
    return TRUE


def own_change(context: Context, sent: Sent) -> Change:
    """The step by which the caller's own box, or the channel, got the post."""
    owner = sent.post.target if is_channel(sent.post.target) else context.me.id
    return next(change for change in sent.changes if change.box.owner == owner)


def affected(context: Context, changes: list[Change]) -> Any:
    """Announce steps and answer with those of the caller's own box."""
    context.server.delivery.announce(changes, context.connection)
    box = context.world.box(context.me.id)
    count = sum(entry.count for held, entry in changes if held is box)
    return types.messages.AffectedMessages(box.pts, count)


def repeated(context: Context, post: Post) -> Any:
    """What a used random_id is answered with: the first result again, or an error, as is set."""
    server = context.server
    fault = server.faults.take("random_id_duplicate", account=str(context.me.id))
    if fault is not None or server.settings.random_id_repeat == "duplicate":
        raise RpcError("RANDOM_ID_DUPLICATE")
    box = context.world.box_of(context.me.id, post.target)
    entry = box.log.of_post(post.uid)
    if entry is None or box.owner not in post.copies:
        raise RpcError("RANDOM_ID_DUPLICATE")
    return _answer(context, Sent(post, [Change(box, entry)]))


def _answer(context: Context, sent: Sent) -> Any:
    post, change = sent.post, own_change(context, sent)
    short = context.server.settings.short_updates and post.target > 0 and post.target != context.me.id
    if not short or post.markup is not None:
        return full_answer(context, post, change)
    return types.UpdateShortSentMessage(
        id=post.copies[change.box.owner],
        pts=change.entry.pts,
        pts_count=change.entry.count,
        date=post.date,
        out=True,
        entities=post.entities or None,
    )


def full_answer(context: Context, post: Post, change: Change) -> Any:
    """The caller's own update, with the message in whole."""
    view = context.view()
    view.note(context.me.id, post.target)
    update = view.update(*change)
    return view.updates([types.UpdateMessageID(post.copies[change.box.owner], post.random_id), update])


def replied_to(request: Any) -> tuple[int, int]:
    """The message that a request answers, and the topic or thread in which it does; 0: none."""
    given = request.reply_to
    return (given.reply_to_msg_id, given.top_msg_id or 0) if isinstance(given, types.InputReplyToMessage) else (0, 0)


def known_mentions(context: Context, entities: list[Any] | None) -> list[Any]:
    """Entities as they are stored: whom a client mentions by input is named by id."""
    known = []
    for entity in entities or ():
        if isinstance(entity, types.InputMessageEntityMentionName):
            account = context.server.access.user(context.me, entity.user_id)
            known.append(types.MessageEntityMentionName(entity.offset, entity.length, account.id))
        else:
            known.append(entity)
    return known
