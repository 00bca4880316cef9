"""Why: a database that was set back to a backup gets messages again that were answered since. What the account itself wrote after
them comes with them, and that is all that can be known of the run that is forgotten.

A message of the account that no row of the outbox accounts for was written by that run, by the owner on another device, or by
another program with the same account. In each case whoever asked before it has been spoken to.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.fence import Fenced, now
from botfleet.store.folding import clean
from botfleet.store.rows import Written
from botfleet.store.tables import InboxState, Role, inbox, messages, outbox

ANSWERED_BEFORE = "AnsweredBefore"


async def close_answered_before(repository: Fenced, connection: AsyncConnection, own: Sequence[Written]) -> int:
    """Inside a fenced transaction: close what waits and was answered by these; both sides are noted in the history.

    In a private chat that is all that came before; elsewhere the message that is replied to, with what its sender wrote before
    it in the same topic. Not commands: what they did is forgotten too, and is done again. Returns how many.
    """
    closed = 0
    for message in sorted(own, key=lambda one: (one.peer_id, one.message_id)):
        if not await _is_known(repository, connection, message):
            closed += await _close(repository, connection, message)
    return closed


async def _is_known(repository: Fenced, connection: AsyncConnection, message: Written) -> bool:
    """Whether a row accounts for it: by its id, or, where that was never learned, by its text."""
    nameless = sa.and_(outbox.c.sent_message_id.is_(None), outbox.c.text == clean(message.text))
    row = sa.select(outbox.c.position).where(
        repository.mine(outbox, peer_id=message.peer_id),
        sa.or_(outbox.c.sent_message_id == message.message_id, nameless),
    )
    return (await connection.execute(row.limit(1))).first() is not None


async def _close(repository: Fenced, connection: AsyncConnection, message: Written) -> int:
    mine = repository.mine(inbox, peer_id=message.peer_id)
    if message.peer_id > 0:
        which = inbox.c.message_id < message.message_id
    elif message.reply_to_message_id is not None:
        asked = inbox.alias()
        here = sa.and_(
            asked.c.bot_id == inbox.c.bot_id,
            asked.c.account_id == inbox.c.account_id,
            asked.c.peer_id == inbox.c.peer_id,
            asked.c.message_id == message.reply_to_message_id,
            asked.c.sender_id == inbox.c.sender_id,
            asked.c.topic_id.is_not_distinct_from(inbox.c.topic_id),
        )
        which = sa.and_(
            inbox.c.message_id <= message.reply_to_message_id, sa.exists(sa.select(asked.c.message_id).where(here))
        )
    else:
        return 0
    statement = (
        sa.update(inbox)
        .where(mine, inbox.c.state == InboxState.PENDING.value, which, sa.not_(sa.func.ltrim(inbox.c.text).like("/%")))
        .values(state=InboxState.SKIPPED.value, reason=ANSWERED_BEFORE, closed_at=now())
        .returning(
            inbox.c.message_id, inbox.c.sender_id, inbox.c.sender_name, inbox.c.text, inbox.c.date, inbox.c.topic_id
        )
    )
    rows = sorted((await connection.execute(statement)).all(), key=lambda row: int(row.message_id))
    if rows:
        await _note(repository, connection, rows, message)
    return len(rows)


async def _note(
    repository: Fenced, connection: AsyncConnection, rows: Sequence[sa.Row[tuple[object, ...]]], answer: Written
) -> None:
    last = sa.select(sa.func.coalesce(sa.func.max(messages.c.position), 0)).where(
        repository.mine(messages, peer_id=answer.peer_id)
    )
    position = int((await connection.execute(last)).scalar_one())
    said = [
        {
            "role": Role.USER.value,
            "message_id": row.message_id,
            "sender_id": row.sender_id,
            "sender_name": row.sender_name,
            "text": row.text,
            "date": row.date,
            "topic_id": row.topic_id,
        }
        for row in rows
    ]
    said.append(
        {
            "role": Role.ASSISTANT.value,
            "message_id": answer.message_id,
            "sender_id": None,
            "sender_name": None,
            "text": clean(answer.text),
            "date": answer.date,
            "topic_id": rows[-1].topic_id,
        }
    )
    for place, one in enumerate(said, position + 1):
        row = {**repository.keys, "peer_id": answer.peer_id, "position": place, **one}
        # What was forgotten in the inbox alone is in the history already.
        await connection.execute(repository.insert(messages).values(**row).on_conflict_do_nothing())
