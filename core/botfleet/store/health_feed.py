"""Why: the operator reads the health of all bots with one query a second, and never by asking a bot."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from botfleet.health import Health
from botfleet.store.engine import Store
from botfleet.store.lease import database_now
from botfleet.store.tables import UtcDateTime, leases


@dataclass(frozen=True, slots=True)
class HealthRow:
    """A lease, seen by the operator. `age_seconds`: since the last renewal, by the database's clock; None: never renewed.

    `health` None: nothing was reported, or nothing that this version understands.
    """

    bot_id: str
    holder: str | None
    expires_at: datetime | None
    renewed_at: datetime | None
    age_seconds: float | None
    health: Health | None
    changed_at: datetime | None


class HealthFeed:
    """Rows of all leases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def changed_since(self, moment: datetime, *, ended_within: timedelta = timedelta(0)) -> list[HealthRow]:
        """Leases whose health was stamped later, by the database's clock: ask from the newest `changed_at` that was seen.

        Let the moment overlap: a row may commit after a newer stamp. Also those that are held and ran out no longer ago
        than `ended_within`: a runner that stops renewing stamps nothing.
        """
        ran_out = sa.and_(
            leases.c.holder.is_not(None),
            leases.c.expires_at <= database_now(self._store),
            leases.c.expires_at > database_now(self._store, before=ended_within),
        )
        return await self._read(sa.or_(leases.c.health_changed_at > moment, ran_out))

    async def all(self) -> list[HealthRow]:
        """Every lease."""
        return await self._read(sa.true())

    async def _read(self, where: sa.ColumnElement[bool]) -> list[HealthRow]:
        statement = sa.select(
            leases.c.bot_id,
            leases.c.holder,
            leases.c.expires_at,
            leases.c.renewed_at,
            leases.c.health,
            leases.c.health_changed_at,
            sa.type_coerce(database_now(self._store), UtcDateTime).label("as_of"),
        ).where(where)
        async with self._store.read() as connection:
            return [_row(row) for row in (await connection.execute(statement)).all()]


def _row(row: Any) -> HealthRow:
    age = None if row.renewed_at is None else (row.as_of - row.renewed_at).total_seconds()
    # A stamp of the future would make the operator ask from there, and hear nothing of the other bots.
    changed_at = None if row.health_changed_at is None else min(row.health_changed_at, row.as_of)
    return HealthRow(row.bot_id, row.holder, row.expires_at, row.renewed_at, age, _understood(row.health), changed_at)


def _understood(value: Any) -> Health | None:
    # A runner wrote it, so it may be anything: nothing of a bot's may stop the operator.
    if value is None:
        return None
    try:
        return Health.model_validate(value)
    except ValidationError:
        return None
