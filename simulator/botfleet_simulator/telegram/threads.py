"""Where a message of a supergroup stands: in a topic of a forum, or in a thread of replies (the comments under a post are one).

Both are named by the id of their first message. Pure. Sources: https://core.telegram.org/api/forum, https://core.telegram.org/api/threads
"""

from typing import Any, NamedTuple

from telethon.tl import types

from botfleet_simulator.telegram.domain import Box, Chat, Post
from botfleet_simulator.telegram.errors import RpcError

GENERAL = 1
"""The topic that each forum has; what stands there says nothing of it."""


class Place(NamedTuple):
    """`reply_to`: the post that it answers, or None; `top`: the topic or thread, or 0."""

    reply_to: Post | None
    top: int


def place(box: Box, chat: Chat, reply_to: int, top: int) -> Place:
    """Where a message goes that names another one and a topic (0: none). Raises RpcError."""
    if not chat.forum:
        replied = _replied(box, reply_to)
        return Place(replied, 0 if replied is None else replied.top or reply_to)
    if top not in (0, GENERAL) and not is_topic(box, top):
        raise RpcError("TOPIC_DELETED")
    if reply_to in (0, GENERAL) or is_topic(box, reply_to):
        named = top or reply_to  # to answer a topic's first message is to write into the topic
        return Place(None, 0 if named == GENERAL else named)
    replied = _replied(box, reply_to)
    return Place(replied, 0 if replied is None else replied.top)


def header(chat: Chat, top: int, replied: int | None) -> Any:
    """What a message says of its place; None: nothing. `replied`: the id of the message that it answers."""
    if chat.forum and top:
        if replied is None:
            return types.MessageReplyHeader(forum_topic=True, reply_to_msg_id=top)
        return types.MessageReplyHeader(forum_topic=True, reply_to_msg_id=replied, reply_to_top_id=top)
    if replied is None:
        return None
    return types.MessageReplyHeader(reply_to_msg_id=replied, reply_to_top_id=top if top not in (0, replied) else None)


def is_topic(box: Box, message_id: int) -> bool:
    """Whether a topic was opened by this message."""
    post = box.posts.get(message_id)
    return post is not None and isinstance(post.action, types.MessageActionTopicCreate)


def topics(box: Box) -> dict[int, Post]:
    """The topics of a forum, the oldest first; without the general one."""
    return {message_id: box.posts[message_id] for message_id in sorted(box.posts) if is_topic(box, message_id)}


def _replied(box: Box, reply_to: int) -> Post | None:
    if not reply_to:
        return None
    replied = box.posts.get(reply_to)
    if replied is None:
        raise RpcError("REPLY_MESSAGE_ID_INVALID")
    return replied
