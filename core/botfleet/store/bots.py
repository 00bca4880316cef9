"""Why: the operator's list of bots: which row belongs to which object, and what was made for it. It never sees a message."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.engine import Store
from botfleet.store.errors import StoreError
from botfleet.store.fence import now
from botfleet.store.identity import new_bot_id
from botfleet.store.tables import bindings, bots, installation, leases


@dataclass(frozen=True, slots=True)
class Installation:
    """This installation. `key_fingerprint` None: no installation key was ever used with this database."""

    id: str
    compatible_from: str
    key_fingerprint: str | None
    cluster_uid: str | None


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot, living or with retained data (`deleted_at`)."""

    id: str
    namespace: str
    name: str
    uid: str | None
    role_name: str | None
    redis_user: str | None
    credential_digest: str | None
    credentials_generation: int
    session_key_generation: int
    created_at: datetime
    deleted_at: datetime | None
    credentials_rotation: str | None = None


_BOT = sa.select(
    bots.c.id,
    bots.c.namespace,
    bots.c.name,
    bots.c.uid,
    bots.c.role_name,
    bots.c.redis_user,
    bots.c.credential_digest,
    bots.c.credentials_generation,
    bots.c.session_key_generation,
    bots.c.created_at,
    bots.c.deleted_at,
    bots.c.credentials_rotation,
)

_LIVING = sa.select(bots.c.namespace, bots.c.name, bots.c.id, bots.c.uid).where(bots.c.deleted_at.is_(None))


def principal(installation_id: str, bot_id: str) -> str:
    """The name of a bot's database role and Redis user: opaque, and no other installation's."""
    return f"bf_{installation_id}_{bot_id[:16]}"


def runner_group(installation_id: str) -> str:
    """The name of the group role that all bots of an installation are in."""
    return f"bf_{installation_id}_runner"


class BotRepository:
    """The bots of an installation."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def installation(self) -> Installation:
        """The one row that the first migration made.

        Raises:
            StoreError: there is none: the migrations have not run.
        """
        statement = sa.select(
            installation.c.id,
            installation.c.compatible_from,
            installation.c.key_fingerprint,
            installation.c.cluster_uid,
        )
        async with self._store.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise StoreError("the table installation is empty: have the migrations run?")
        return Installation(*row)

    async def set_key_fingerprint(self, fingerprint: str) -> bool:
        """Remember the installation key, unless one is remembered. Returns whether it is this one now."""
        return await self._set_once(installation.c.key_fingerprint, fingerprint)

    async def set_cluster_uid(self, uid: str) -> bool:
        """Remember the cluster, unless one is remembered. Returns whether it is this one now."""
        return await self._set_once(installation.c.cluster_uid, uid)

    async def get(self, bot_id: str) -> Bot | None:
        """By key, living or not."""
        return await self._first(_BOT.where(bots.c.id == bot_id))

    async def list_all(self, *, living: bool = False) -> list[Bot]:
        """Every bot, with retained ones unless only the living are asked for."""
        statement = _BOT.order_by(bots.c.namespace, bots.c.name, bots.c.created_at)
        if living:
            statement = statement.where(bots.c.deleted_at.is_(None))
        async with self._store.read() as connection:
            return [Bot(*row) for row in (await connection.execute(statement)).all()]

    async def living(self) -> dict[tuple[str, str], tuple[str, str | None]]:
        """By namespace and name the id of each living bot and the UID of its object: what tells one row from another."""
        return {
            (namespace, name): (bot_id, uid) for namespace, name, bot_id, uid in await self._store.fetch(_LIVING, {})
        }

    async def living_or_retained(self, namespace: str, name: str, credential_digest: str) -> Bot | None:
        """The living bot of that name, whatever its credential; else the data that a new one may have: the newest that was
        made with this credential."""
        return await self._first(
            _BOT.where(
                bots.c.namespace == namespace,
                bots.c.name == name,
                sa.or_(bots.c.deleted_at.is_(None), bots.c.credential_digest == credential_digest),
            )
            .order_by(bots.c.deleted_at.is_not(None), bots.c.deleted_at.desc())
            .limit(1)
        )

    async def create(self, namespace: str, name: str, uid: str, installation_id: str) -> Bot:
        """A new bot and its free lease; with the names of its role and its Redis user.

        Raises:
            StoreError: a living bot has this name.
        """
        bot_id = new_bot_id()
        named = principal(installation_id, bot_id)
        row = sa.insert(bots).values(
            id=bot_id,
            namespace=namespace,
            name=name,
            uid=uid,
            role_name=named,
            redis_user=named,
            created_at=now(),
        )
        async with self._store.begin() as connection:
            made = (await connection.execute(row.returning(*_BOT.selected_columns))).one()
            await connection.execute(sa.insert(leases).values(bot_id=bot_id))
            return Bot(*tuple(made))

    async def adopt(self, bot_id: str, uid: str, *, was: str | None) -> Bot | None:
        """Retained data is a living bot's again, under the object of this UID; or a bot's object was made anew.

        Args:
            was: the UID that the row had when it was read.

        Returns:
            None: the row is another object's by now, or gone, and nothing has changed.
        """
        this = sa.update(bots).where(bots.c.id == bot_id, bots.c.uid.is_not_distinct_from(was))
        adopted = this.values(uid=uid, deleted_at=None).returning(*_BOT.selected_columns)
        async with self._store.begin() as connection:
            row = (await connection.execute(adopted)).one_or_none()
        return None if row is None else Bot(*tuple(row))

    async def retire(self, bot_id: str, uid: str) -> bool:
        """The object of this UID is gone: the accounts are free, the data stays. The first such moment is kept.

        Returns:
            False: the row is another object's by now, and nothing has changed.
        """
        deleted = sa.func.coalesce(bots.c.deleted_at, sa.literal(now(), bots.c.deleted_at.type))
        this = sa.update(bots).where(bots.c.id == bot_id, bots.c.uid == uid).returning(bots.c.id)
        async with self._store.begin() as connection:
            if (await connection.execute(this.values(deleted_at=deleted))).first() is None:
                return False
            await connection.execute(sa.delete(bindings).where(bindings.c.bot_id == bot_id))
            return True

    async def rotate_credentials(self, bot_id: str, request: str) -> Bot:
        """The next generation of the generated credentials, once for each request; the key that seals sessions stays.

        Args:
            request: a digest of what was asked. The one that was done last changes nothing, whoever asks again.
        """
        new = bots.c.credentials_rotation.is_distinct_from(request)
        rotated = sa.update(bots).where(bots.c.id == bot_id, new)
        async with self._store.begin() as connection:
            await connection.execute(
                rotated.values(credentials_generation=bots.c.credentials_generation + 1, credentials_rotation=request)
            )
            return await self._required(connection, bot_id)

    async def erase(self, bot_id: str) -> None:
        """The bot with all that is its own. There is no way back."""
        async with self._store.begin() as connection:
            await connection.execute(sa.delete(bots).where(bots.c.id == bot_id))

    async def _set_once(self, column: sa.Column[Any], value: str) -> bool:
        async with self._store.begin() as connection:
            await connection.execute(sa.update(installation).where(column.is_(None)).values({column.name: value}))
            return bool((await connection.execute(sa.select(column))).scalar_one() == value)

    async def _first(self, statement: sa.Select[Any]) -> Bot | None:
        async with self._store.read() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else Bot(*tuple(row))

    async def _required(self, connection: AsyncConnection, bot_id: str) -> Bot:
        row = (await connection.execute(_BOT.where(bots.c.id == bot_id))).one_or_none()
        if row is None:
            raise StoreError("there is no such bot")
        return Bot(*tuple(row))
