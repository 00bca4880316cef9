"""Why: every write of a runner's state carries the lease's token. It never writes; it lets a transaction go on or ends it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.engine import Store
from botfleet.store.errors import LeaseLost
from botfleet.store.lease import Lease
from botfleet.store.tables import leases

Upsert = postgresql.Insert | sqlite.Insert


class Fenced:
    """What all repositories of a runner share: the store, the lease whose token goes with each write, the account."""

    def __init__(self, store: Store, lease: Lease, account_id: int) -> None:
        self.store = store
        self.lease = lease
        self.account_id = account_id

    async def fence(self, connection: AsyncConnection) -> None:
        """First in each writing transaction; on PostgreSQL a takeover waits until this transaction has ended, a renewal does not.

        Raises:
            LeaseLost: the token is stale.
        """
        check = sa.select(leases.c.bot_id).where(
            leases.c.bot_id == self.lease.bot_id, leases.c.token == self.lease.token
        )
        if self.store.is_postgresql:
            check = check.with_for_update(read=True, key_share=True)
        if (await connection.execute(check)).first() is None:
            raise LeaseLost("the lease's token is stale: another runner has taken over")

    def insert(self, table: sa.Table) -> Upsert:
        """An insert that knows `on conflict`."""
        return upsert(self.store, table)

    def mine(self, table: sa.Table, **equal: Any) -> sa.ColumnElement[bool]:
        """Rows of this bot and account for which the named columns have these values."""
        keys = [table.c.bot_id == self.lease.bot_id, table.c.account_id == self.account_id]
        return sa.and_(*keys, *(table.c[column] == value for column, value in equal.items()))

    async def fetch(self, statement: sa.Select[Any], **given: Any) -> list[Any]:
        """All rows of a constant statement whose conditions are `of_account` and these."""
        return await self.store.fetch(statement, {**self.keys, **given})

    @property
    def keys(self) -> dict[str, Any]:
        """The values with which each row of this account begins."""
        return {"bot_id": self.lease.bot_id, "account_id": self.account_id}


def of_account(table: sa.Table, *columns: str) -> sa.ColumnElement[bool]:
    """For constant statements: rows of the account, with the named columns as they will be given."""
    names = ("bot_id", "account_id", *columns)
    return sa.and_(*(table.c[name] == sa.bindparam(name, type_=table.c[name].type) for name in names))


def is_one_of(column: sa.Column[Any], states: Iterable[str]) -> sa.ColumnElement[bool]:
    """For constant statements: the states stand in the text, so that the plan may use an index on just these rows."""
    return column.in_([sa.literal_column(f"'{state}'") for state in states])


def upsert(store: Store, table: sa.Table) -> Upsert:
    """An insert of the store's dialect that knows `on conflict`."""
    return postgresql.insert(table) if store.is_postgresql else sqlite.insert(table)


def now() -> datetime:
    """The time that rows are stamped with. The lease alone goes by the database's clock."""
    return datetime.now(UTC)
