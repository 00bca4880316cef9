"""Why: what a message's form says of whom it is for and to what it belongs. Pure; about Telethon's types alone.

Sources: https://core.telegram.org/constructor/messageReplyHeader, https://core.telegram.org/api/forum,
https://core.telegram.org/api/discussion, https://core.telegram.org/api/threads
"""

from typing import Any

from telethon.tl import types


def reply_to(message: Any) -> int | None:
    """The message of the same chat that it answers; that it stands in a topic is no answer to the topic's first message."""
    header = message.reply_to
    if not isinstance(header, types.MessageReplyHeader) or header.reply_to_peer_id is not None:
        return None
    if header.forum_topic and header.reply_to_top_id is None:
        return None
    return _number(header.reply_to_msg_id)


def topic_of(message: Any) -> int | None:
    """The topic of a forum in which it stands; None: in none, or in the general one."""
    header = message.reply_to
    if not isinstance(header, types.MessageReplyHeader) or not header.forum_topic:
        return None
    return _number(header.reply_to_top_id or header.reply_to_msg_id)


def thread_of(message: Any) -> int | None:
    """The first message of the thread of replies in which it stands, in a group that is no forum; None: in none."""
    header = message.reply_to
    if not isinstance(header, types.MessageReplyHeader) or header.forum_topic or header.reply_to_peer_id is not None:
        return None
    return _number(header.reply_to_top_id or header.reply_to_msg_id)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def mentions(message: Any, account_id: int) -> bool:
    """Whether Telegram says that it is for this account: named by username or by a link to the person, or answered."""
    entities = message.entities or ()
    return bool(message.mentioned) or any(
        isinstance(entity, types.MessageEntityMentionName) and entity.user_id == account_id for entity in entities
    )


def is_post(message: Any) -> bool:
    """Whether it is a channel's post, or the copy of one that Telegram puts into the channel's discussion group."""
    header = message.fwd_from
    return bool(message.post) or (
        header is not None
        and header.channel_post is not None
        and isinstance(header.saved_from_peer, types.PeerChannel)
        and isinstance(message.from_id, types.PeerChannel)
    )
