"""Why: one owner of an account at a time. A Telegram session used twice at once is dead for good.

Times are the database's. A token is random and never adopted: after an outage the row is compared, or the lease is lost.
Whoever changes who holds it waits for each write that has passed the fence; a renewal, and a report of health, for none.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from botfleet.health import Health
from botfleet.store.engine import Store
from botfleet.store.tables import UtcDateTime, leases


@dataclass(frozen=True, slots=True)
class Lease:
    """What a holder has in hand. `term` in seconds."""

    bot_id: str
    holder: str
    token: int
    term: float


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The lease as it is stored."""

    bot_id: str
    holder: str | None
    token: int | None
    expires_at: datetime | None
    renewed_at: datetime | None
    health: Health | None


def new_token() -> int:
    """A random 64-bit signed number, never 0."""
    return (secrets.randbits(64) - (1 << 63)) or 1


def database_now(store: Store, *, before: timedelta = timedelta(0)) -> sa.ColumnElement[datetime]:
    """The database's clock at this very moment, not at the transaction's start, or so long before it; on SQLite it is
    the machine's."""
    if not store.is_postgresql:
        return sa.literal(datetime.now(UTC) - before, UtcDateTime)
    now: sa.ColumnElement[datetime] = sa.func.clock_timestamp(type_=UtcDateTime)
    return now - sa.literal(before, sa.Interval()) if before else now


class LeaseRepository:
    """The lease of one bot. Its row was made with the bot's."""

    def __init__(self, store: Store, bot_id: str) -> None:
        self._store = store
        self._bot_id = bot_id

    async def acquire(self, holder: str, term: float) -> Lease | None:
        """Take the lease if it is free, expired, or this very holder's (its predecessor is dead for certain).

        Returns:
            None: another holder has it.
        """
        lease = Lease(self._bot_id, holder, new_token(), term)
        now = database_now(self._store)
        taken = await self._update(
            sa.and_(
                leases.c.bot_id == self._bot_id,
                sa.or_(leases.c.holder.is_(None), leases.c.holder == holder, leases.c.expires_at <= now),
            ),
            holder=holder,
            token=lease.token,
            expires_at=self._expiry(term),
            renewed_at=now,
            passes_on=True,
        )
        return lease if taken else None

    async def renew(self, lease: Lease) -> bool:
        """Move the expiry. False: the lease is lost (holder or token differ), for good.

        Raises:
            StoreUnavailable: not known; the holder's own clock goes on.
        """
        return await self._update(
            self._is(lease), expires_at=self._expiry(lease.term), renewed_at=database_now(self._store)
        )

    async def release(self, lease: Lease) -> None:
        """Let the next one in at once. Of a lease that is lost already nothing is changed."""
        await self._update(self._is(lease), holder=None, token=None, expires_at=None, passes_on=True)

    async def report(self, lease: Lease, health: Health) -> None:
        """Write the runner's health; a stamp only when it differs from what is stored. Lost: nothing is written."""
        value = health.model_dump(mode="json")
        # As text, because the comparison of JSON is the dialect's own; jsonb has an equality.
        stored = sa.cast(leases.c.health, sa.Text) if not self._store.is_postgresql else leases.c.health
        same: Any = sa.literal(value, leases.c.health.type)
        if not self._store.is_postgresql:
            same = sa.cast(same, sa.Text)
        await self._update(
            sa.and_(self._is(lease), sa.or_(leases.c.health.is_(sa.null()), stored != same)),
            health=value,
            health_changed_at=database_now(self._store),
        )

    async def current(self) -> LeaseRow | None:
        """The stored row; None: the bot is not there, or not ours to see."""
        statement = sa.select(
            leases.c.bot_id,
            leases.c.holder,
            leases.c.token,
            leases.c.expires_at,
            leases.c.renewed_at,
            leases.c.health,
        ).where(leases.c.bot_id == self._bot_id)
        async with self._store.read(urgent=True) as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        health = None if row.health is None else Health.model_validate(row.health)
        return LeaseRow(row.bot_id, row.holder, row.token, row.expires_at, row.renewed_at, health)

    def _is(self, lease: Lease) -> sa.ColumnElement[bool]:
        return sa.and_(leases.c.bot_id == lease.bot_id, leases.c.holder == lease.holder, leases.c.token == lease.token)

    def _expiry(self, term: float) -> sa.ColumnElement[Any]:
        if self._store.is_postgresql:
            return sa.func.clock_timestamp() + sa.literal(timedelta(seconds=term), sa.Interval)
        return sa.literal(datetime.now(UTC) + timedelta(seconds=term), UtcDateTime)

    async def _update(self, where: sa.ColumnElement[bool], *, passes_on: bool = False, **values: Any) -> bool:
        """One statement, its own transaction: an answer that comes is the truth, whatever happened before.

        Args:
            passes_on: another one may write afterwards. PostgreSQL lets an update of no key pass the fence's `for key share`,
                so the row is taken `for update` first, which waits for it and keeps it out.
        """
        if passes_on and self._store.is_postgresql:
            # What is asked of the row is asked here, of its newest version: once taken it changes no more.
            taken = sa.select(leases.c.bot_id).where(where).with_for_update().cte("taken")
            where = leases.c.bot_id == taken.c.bot_id
        statement = sa.update(leases).where(where).values(**values).returning(leases.c.bot_id)
        # A renewal that waits behind a rush of messages would come too late.
        opened = self._store.read(urgent=True) if self._store.is_postgresql else self._store.begin(urgent=True)
        async with opened as connection:
            return (await connection.execute(statement)).first() is not None
