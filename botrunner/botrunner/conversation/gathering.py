"""Why: gathers from the store what the policy decides from, and what the model is shown of a turn. It decides nothing."""

from collections.abc import Callable, Collection, Sequence

from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow, Situation
from botrunner.conversation.access import names
from botrunner.conversation.commands import command_of
from botrunner.conversation.media import Use, together, words_of
from botrunner.conversation.policy import ChatFacts, Pending
from botrunner.conversation.skips import Skip
from botrunner.conversation.speakers import spoken


async def gather(
    path: MessagePath,
    peer_id: int,
    situation: Situation,
    username: str | None,
    admins: Collection[int],
    use: Callable[[InboxRow], Use | None] = lambda _: None,
) -> tuple[list[Pending], ChatFacts]:
    """The pending messages of a chat and the chat, as the policy knows them; of a group there is more to be asked.

    `use`: what is to be done with what a message carries.
    """
    rows = situation.pending
    opted_out = frozenset({peer_id} if situation.opted_out else ())
    blocked = frozenset({peer_id} if situation.blocked else ())
    if peer_id > 0:
        addressed = frozenset(row.message_id for row in rows)
    else:
        silenced = await path.silenced_of({row.sender_id for row in rows if row.sender_id is not None})
        opted_out, blocked = opted_out | silenced.opted_out, blocked | silenced.blocked
        addressed = await _addressed(path, peer_id, rows, username)
    pending = [
        Pending(
            row.message_id,
            row.text,
            row.date,
            row.sender_id,
            row.sender_kind,
            row.message_id in addressed,
            row.topic_id,
            spoken=bool(row.words) or use(row) is Use.HEAR,
            seen=use(row) is Use.SEE,
        )
        for row in rows
    ]
    return pending, ChatFacts(
        peer_id,
        opted_out,
        situation.disclosed_at,
        situation.last_said_at,
        admin=peer_id in admins,
        blocked=blocked,
        taken_until=situation.taken_until,
    )


async def shown(path: MessagePath, peer_id: int, turn: Sequence[InboxRow]) -> list[str]:
    """What was said, as the model is shown it."""
    replied = {row.reply_to_message_id for row in turn if row.reply_to_message_id is not None}
    known = await path.quoted(peer_id, replied, overheard=Skip.NOT_MENTIONED)
    return [
        spoken(
            words_of(row),
            group=peer_id < 0,
            sender_id=row.sender_id,
            sender_name=row.sender_name,
            answers=known.get(row.reply_to_message_id or 0),
        )
        for row in turn
    ]


async def _addressed(path: MessagePath, peer_id: int, rows: Sequence[InboxRow], username: str | None) -> frozenset[int]:
    """Which messages of a group are for the bot: they name it, are a command to it, or answer one of its messages."""
    told = {
        row.message_id
        for row in rows
        if row.mentioned or names(row.text, username) or command_of(row.text, username, private=False) is not None
    }
    replies = {
        row.message_id: row.reply_to_message_id
        for row in rows
        if row.reply_to_message_id is not None and row.message_id not in told
    }
    ours = await path.ours(peer_id, frozenset(replies.values()))
    return together(rows, frozenset(told | {message_id for message_id, replied in replies.items() if replied in ours}))
