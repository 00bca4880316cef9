"""Why: what happened, written in the transaction that made it true, for the relay. Data are ids and counts, never text."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from botfleet.store.engine import SCHEMA, Store
from botfleet.store.fence import Fenced, now
from botfleet.store.lease import Lease
from botfleet.store.statements import run, statement
from botfleet.store.tables import events


class EventType(StrEnum):
    """What can happen. Consumers know these words: they never change."""

    MESSAGE_RECEIVED = "message.received"
    REPLY_SENT = "reply.sent"
    TAKEOVER_STARTED = "takeover.started"
    TAKEOVER_ENDED = "takeover.ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Consumers use `id` to drop repetitions."""

    id: str
    type: str
    time: datetime
    data: dict[str, Any]


class _Ids:
    """UUIDs of version 7 that rise within a process, also within a millisecond: the relay keeps to their order
    among those that are true (a transaction of another chat may become so a moment later with an earlier one)."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        value = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10))
        value = (value & ~(0xF << 76)) | (7 << 76)
        value = (value & ~(0x3 << 62)) | (2 << 62)
        self._last = max(value, self._last + 1)
        return f"{self._last:032x}"


_ids = _Ids()


def new_event_id() -> str:
    """A UUID version 7 (RFC 9562) in hex: 48 bits of milliseconds, then random ones; sorts by time."""
    return _ids.next()


_MARK = statement(
    [
        f"""marked as (
  update {SCHEMA}.events e set relayed_at = %(at)s
  from l where e.bot_id = l.bot_id and e.id = any(%(ids)s::text[]) and e.relayed_at is null
  returning e.id
)"""  # noqa: S608 - a constant
    ],
    "(select count(*) from marked)",
)
_UNRELAYED = (
    sa.select(events.c.id, events.c.type, events.c.time, events.c.data)
    .where(events.c.bot_id == sa.bindparam("bot_id"), events.c.relayed_at.is_(None))
    .order_by(events.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


class EventRepository(Fenced):
    """A bot's own events that wait for the relay."""

    def __init__(self, store: Store, lease: Lease) -> None:
        super().__init__(store, lease, account_id=0)

    async def unrelayed(self, limit: int = 500) -> list[Event]:
        """The oldest that wait, in order."""
        return [
            Event(*row) for row in await self.store.fetch(_UNRELAYED, {"bot_id": self.lease.bot_id, "limit": limit})
        ]

    async def mark_relayed(self, ids: Sequence[str]) -> None:
        """They are in the stream.

        Raises:
            LeaseLost: nothing was written; the next holder relays them again.
        """
        if not ids:
            return
        if self.store.is_postgresql:
            await run(self, _MARK, {"ids": list(ids), "at": now()})
            return
        statement = (
            sa.update(events)
            .where(events.c.bot_id == self.lease.bot_id, events.c.id.in_(ids), events.c.relayed_at.is_(None))
            .values(relayed_at=now())
        )
        async with self.store.begin() as connection:
            await self.fence(connection)
            await connection.execute(statement)
