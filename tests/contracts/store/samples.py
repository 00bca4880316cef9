"""What the tests of the store write and how they look at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.lease import Lease, LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Draft, Edit, InboxRow, Incoming, Intake, OutboxRow, Stored
from botfleet.store.tables import metadata

ACCOUNT = 777
PERSON = 5
OTHER = 6
GROUP = -100_500
CHANNEL = -1_000_000_000_500
SENT_AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return SENT_AT + timedelta(seconds=seconds)


def incoming(message_id: int, text: str | None = None, peer_id: int = PERSON, **fields: Any) -> Incoming:
    given: dict[str, Any] = {"sender_id": peer_id, "access_hash": 99, "date": SENT_AT, "trace_id": f"trace{message_id}"}
    given |= fields
    return Incoming(peer_id=peer_id, message_id=message_id, text=text or f"message {message_id}", **given)


def edit(message_id: int, text: str, seconds: float = 1, peer_id: int = PERSON) -> Edit:
    return Edit(peer_id, message_id, text, later(seconds))


def draft(random_id: int, text: str | None = None, **fields: Any) -> Draft:
    return Draft(cause="reply:1", random_id=random_id, text=text or f"answer {random_id}", trace_id="t", **fields)


async def taken_in(path: MessagePath, *message_ids: int, peer_id: int = PERSON) -> list[InboxRow]:
    """These messages came in; what the chat waits with."""
    await path.take_in(Intake(messages=tuple(incoming(message_id, peer_id=peer_id) for message_id in message_ids)))
    return await path.pending(peer_id)


async def answered(path: MessagePath, *random_ids: int, peer_id: int = PERSON) -> list[OutboxRow]:
    """What waits is answered with these drafts; the chat's first open row."""
    rows = await path.pending(peer_id)
    stored = await path.store_answer(
        peer_id, rows, [draft(random_id) for random_id in random_ids], replies_are_final=True
    )
    assert stored == Stored(closed=len(rows), queued=len(random_ids))
    first = await path.next_outgoing(peer_id)
    assert first is not None
    return [first]


async def texts(path: MessagePath, peer_id: int = PERSON) -> list[tuple[str, str]]:
    return [(row.role, row.text) for row in await path.history(peer_id, 50)]


@dataclass
class Snapshot:
    tables: dict[str, list[tuple[Any, ...]]]

    def count(self, table: str) -> int:
        return len(self.tables[table])


# What a bot's role may not read, or not all columns of it.
_HIDDEN = {"installation", "bots", "tombstones"}


async def snapshot(store: Store) -> Snapshot:
    """Every row that this role may see."""
    tables: dict[str, list[tuple[Any, ...]]] = {}
    async with store.read() as connection:
        for name, table in metadata.tables.items():
            if name in _HIDDEN:
                continue
            rows: Sequence[Any] = (await connection.execute(sa.select(table))).all()
            tables[name] = sorted((tuple(row) for row in rows), key=repr)
    return Snapshot(tables)


async def event_types(store: Store) -> list[tuple[str, Any]]:
    """Types and message ids of all events, in order."""
    events = metadata.tables["events"]
    statement = sa.select(events.c.type, events.c.data).order_by(events.c.id)
    async with store.read() as connection:
        rows = (await connection.execute(statement)).all()
    return [(row.type, row.data.get("message_id")) for row in rows]


async def take_over(store: Store, bot_id: str) -> Lease:
    """Another runner has the lease now."""
    leases = metadata.tables["leases"]
    expired = sa.update(leases).where(leases.c.bot_id == bot_id).values(holder=None)
    async with store.begin() as connection:
        await connection.execute(expired)
    lease = await LeaseRepository(store, bot_id).acquire("another", 60)
    assert lease is not None
    return lease
