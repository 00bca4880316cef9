"""Why: a send may be proved by the RPC's answer or by an update, in either order; both must write the same, once."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.events import EventType, new_event_id
from botfleet.store.fence import Fenced, now
from botfleet.store.rows import earlier_id
from botfleet.store.tables import OutboxState, Role, events, messages, outbox

OPEN = (OutboxState.PENDING.value, OutboxState.ATTEMPTED.value)

# The reason of an attempted row whose person has said /forget, and of a row that tells an admin of a person: its text is
# needed until it is closed, and no longer.
FORGOTTEN = "Forgotten"
UNKEPT = "Unkept"
PASSING = (FORGOTTEN, UNKEPT)


def kept_text(passing: Collection[str] = PASSING) -> dict[str, Any]:
    """What an update that closes a row sets of its text: as it is, or nothing where it was not to be kept."""
    forgotten = outbox.c.reason.in_(passing)
    return {
        "text": sa.case((forgotten, ""), else_=outbox.c.text),
        "entities": sa.case((forgotten, sa.null()), else_=outbox.c.entities),
    }


async def record_sent(
    repository: Fenced,
    connection: AsyncConnection,
    which: sa.ColumnElement[bool],
    message_id: int | None,
    *,
    sent_in: int | None = None,
) -> bool:
    """Inside a fenced transaction: close the open row as sent, note its id in the history, write the event.

    Args:
        sent_in: the chat that the id counts in; the row may have moved on to another one since.

    Returns:
        False: the row was closed already, and nothing was written.
    """
    at = now()
    noted: object = message_id
    if message_id is not None and sent_in is not None:
        noted = sa.case((outbox.c.peer_id == sent_in, message_id), else_=earlier_id(message_id))
    closed = (
        sa.update(outbox)
        .where(repository.mine(outbox), which, outbox.c.state.in_(OPEN))
        .values(state=OutboxState.SENT.value, sent_message_id=noted, closed_at=at, **kept_text())
        .returning(
            outbox.c.sent_message_id, outbox.c.peer_id, outbox.c.history_position, outbox.c.part, outbox.c.trace_id
        )
    )
    row = (await connection.execute(closed)).first()
    if row is None:
        return False
    message_id = row.sent_message_id
    if row.history_position is not None and message_id is not None:
        other = messages.alias()
        # An id that Telegram gave twice must not undo the proof.
        taken = sa.exists(
            sa.select(other.c.message_id).where(
                other.c.bot_id == repository.lease.bot_id,
                other.c.account_id == repository.account_id,
                other.c.peer_id == row.peer_id,
                other.c.role == Role.ASSISTANT.value,
                other.c.message_id == message_id,
            )
        )
        await connection.execute(
            sa.update(messages)
            .where(repository.mine(messages, peer_id=row.peer_id, position=row.history_position), sa.not_(taken))
            .values(message_id=message_id)
        )
    await connection.execute(
        sa.insert(events).values(
            bot_id=repository.lease.bot_id,
            id=new_event_id(),
            type=EventType.REPLY_SENT.value,
            time=at,
            data={
                "account_id": repository.account_id,
                "peer_id": row.peer_id,
                "message_id": message_id,
                "part": row.part,
                "trace_id": row.trace_id,
            },
        )
    )
    return True
