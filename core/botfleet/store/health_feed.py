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
        self._kept: dict[timedelta | None, sa.Select[Any]] = {}

    async def changed_since(self, moment: datetime, *, ended_within: timedelta = timedelta(0)) -> list[HealthRow]:
        """Leases whose health was stamped later, by the database's clock: ask from the newest `changed_at` that was seen.

        Let the moment overlap: a row may commit after a newer stamp. Also those that are held and ran out no longer ago
        than `ended_within`: a runner that stops renewing stamps nothing.
        """
        return await self._read(ended_within, {"moment": moment})

    async def all(self) -> list[HealthRow]:
        """Every lease."""
        return await self._read(None, {})

    async def _read(self, ended_within: timedelta | None, parameters: dict[str, Any]) -> list[HealthRow]:
        statement = self._kept.get(ended_within)
        if statement is None:
            statement = self._select(ended_within)
            # SQLite's clock is this machine's, and would stand still in a statement that is kept.
            if self._store.is_postgresql:
                self._kept[ended_within] = statement
        return [_row(*row) for row in await self._store.fetch(statement, parameters)]

    def _select(self, ended_within: timedelta | None) -> sa.Select[Any]:
        statement = sa.select(
            leases.c.bot_id,
            leases.c.holder,
            leases.c.expires_at,
            leases.c.renewed_at,
            leases.c.health,
            leases.c.health_changed_at,
            sa.type_coerce(database_now(self._store), UtcDateTime).label("as_of"),
        )
        if ended_within is None:
            return statement
        ran_out = sa.and_(
            leases.c.holder.is_not(None),
            leases.c.expires_at <= database_now(self._store),
            leases.c.expires_at > database_now(self._store, before=ended_within),
        )
        moment = sa.bindparam("moment", type_=UtcDateTime)
        return statement.where(sa.or_(leases.c.health_changed_at > moment, ran_out))


def _row(
    bot_id: str,
    holder: str | None,
    expires_at: datetime | None,
    renewed_at: datetime | None,
    health: Any,
    changed_at: datetime | None,
    as_of: datetime,
) -> HealthRow:
    age = None if renewed_at is None else (as_of - renewed_at).total_seconds()
    # A stamp of the future would make the operator ask from there, and hear nothing of the other bots.
    changed_at = None if changed_at is None else min(changed_at, as_of)
    return HealthRow(bot_id, holder, expires_at, renewed_at, age, _understood(health), changed_at)


def _understood(value: Any) -> Health | None:
    # A runner wrote it, so it may be anything: nothing of a bot's may stop the operator.
    if value is None:
        return None
    try:
        return Health.model_validate(value)
    except ValidationError:
        return None
