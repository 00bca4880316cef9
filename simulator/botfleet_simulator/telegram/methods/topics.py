"""Topics of forums, and the groups in which channels are discussed. It must never serve topics of a group that is no forum."""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.access import to_peer
from botfleet_simulator.telegram.domain import Box, Chat, Post, bare_id
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.rpc import TRUE, Context, method
from botfleet_simulator.telegram.threads import topics


@method(functions.channels.ToggleForumRequest, bots=False)
def toggle_forum(context: Context, request: Any) -> Any:
    """Make a supergroup a forum, or an ordinary one again."""
    chat = context.server.access.channel(context.me, request.channel)
    if not chat.is_admin(context.me.id) or chat.kind != "supergroup":
        raise RpcError("CHAT_ADMIN_REQUIRED")
    context.server.manage.set_forum(chat, forum=request.enabled)
    view = context.view()
    view.note(chat.id)
    return view.updates([types.UpdateChannel(bare_id(chat.id))])


@method(functions.channels.SetDiscussionGroupRequest, bots=False)
def set_discussion_group(context: Context, request: Any) -> Any:
    """Let a channel's posts be discussed in a supergroup."""
    channel = context.server.access.channel(context.me, request.broadcast)
    group = context.server.access.channel(context.me, request.group)
    if channel.kind != "channel" or not channel.is_admin(context.me.id):
        raise RpcError("BROADCAST_ID_INVALID")
    if group.kind != "supergroup" or not group.is_admin(context.me.id):
        raise RpcError("MEGAGROUP_ID_INVALID")
    context.server.manage.link(channel, group)
    return TRUE


@method(functions.messages.CreateForumTopicRequest)
def create_forum_topic(context: Context, request: Any) -> Any:
    """Open a topic: its service message is its id."""
    chat = _forum(context, request.peer)
    if not (request.title or "").strip():
        raise RpcError("TOPIC_TITLE_EMPTY")
    context.server.messaging.check_chat(context.me, chat)
    sent = context.server.manage.create_topic(chat, request.title, context.me, origin=context.connection)
    (change,) = sent.changes
    view = context.view()
    view.note(chat.id)
    known = types.UpdateMessageID(sent.post.copies[chat.id], request.random_id)
    return view.updates([known, view.update(*change)])


@method(functions.messages.GetForumTopicsRequest)
def get_forum_topics(context: Context, request: Any) -> Any:
    """All topics, without the general one, the newest first."""
    chat = _forum(context, request.peer)
    box, view = context.world.box(chat.id), context.view()
    found = [(i, p) for i, p in topics(box).items() if (request.q or "").casefold() in p.action.title.casefold()]
    shown = [_topic(context, chat, box, i, post) for i, post in reversed(found)]
    view.note(chat.id)
    messages = view.messages(box, [topic.top_message for topic in shown])
    return types.messages.ForumTopics(len(shown), shown, messages, view.chats(), view.users(), box.pts)


def _forum(context: Context, given: Any) -> Chat:
    chat = context.world.chats.get(context.server.access.peer(context.me, given))
    if chat is None or not chat.forum:
        raise RpcError("CHANNEL_FORUM_MISSING")
    return chat


def _topic(context: Context, chat: Chat, box: Box, topic_id: int, post: Post) -> Any:
    newest = max((i for i, other in box.posts.items() if other.top == topic_id), default=topic_id)
    return types.ForumTopic(
        id=topic_id,
        date=post.date,
        peer=to_peer(chat.id),
        title=post.action.title,
        icon_color=post.action.icon_color,
        top_message=newest,
        read_inbox_max_id=context.world.box(context.me.id).dialog(chat.id).read_in,
        read_outbox_max_id=0,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        from_id=types.PeerUser(post.sender_id),
        notify_settings=types.PeerNotifySettings(),
        my=(post.sender_id == context.me.id) or None,
    )
