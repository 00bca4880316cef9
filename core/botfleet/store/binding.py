"""Why: one account, one bot. The operator binds an account before a bot's Deployment exists; the bot only reads.

Ids are public and prove nothing: a binding is provisional until Telegram has accepted the credential.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.engine import Store
from botfleet.store.errors import StoreUnavailable
from botfleet.store.fence import upsert
from botfleet.store.lease import database_now
from botfleet.store.moving import account_id_of, bring_along, check_free, knows_credential, served_before
from botfleet.store.tables import bindings, bots, leases

PROVISIONAL_TERM = timedelta(seconds=60)
"""How long a binding that Telegram has not confirmed keeps others out."""
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Binding:
    """An account and the bot that has it. `account_key`: `bot:ID`, `session:DIGEST` or `user:ID`.

    `moving`: another bot had it, and what goes with it comes along once it is proved; before that nothing may be taken in.
    """

    account_key: str
    bot_id: str
    credential_digest: str
    proved: bool
    bound_at: datetime
    moving: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """The account is this bot's. `changed`: it was not before, or with another credential."""

    binding: Binding
    changed: bool


@dataclass(frozen=True, slots=True)
class InUse:
    """The account is another bot's for now."""

    other_bot: str


def gives_way(
    holder: Binding, credential_digest: str, *, alive: bool, lease_free: bool, now: datetime, term: timedelta
) -> bool:
    """Whether another bot's binding may be taken. Pure.

    A proved one only when its bot is deleted and its runner surely gone. A provisional one after a while, so that a
    made-up token with a foreign id does not keep the account's owner out, and not sooner, so that two do not take it
    from each other in turns. The same credential in two places gains nothing by moving.
    """
    if not alive:
        return lease_free
    if holder.proved or holder.credential_digest == credential_digest:
        return False
    return now - holder.bound_at >= term


class BindingRepository:
    """The bindings. All but `get` and `of_bot` need the operator's role."""

    def __init__(self, store: Store, provisional_term: timedelta = PROVISIONAL_TERM) -> None:
        self._store = store
        self._term = provisional_term

    async def get(self, account_key: str) -> Binding | None:
        """Who has an account, as far as this role may see."""
        found = await self._select(bindings.c.account_key == account_key)
        return found[0] if found else None

    async def of_bot(self, bot_id: str) -> list[Binding]:
        """All accounts of a bot: a user account has its session and its id."""
        return await self._select(bindings.c.bot_id == bot_id)

    async def bind(self, bot_id: str, account_key: str, credential_digest: str, now: datetime) -> Bound | InUse:
        """Bind an account to a bot, with the credential that it is to use. Another credential has to be proved anew.

        Raises:
            StoreUnavailable: it was given up again and again meanwhile.
        """
        # The row is made first, so that of two operators at once one waits for the other.
        free = (
            upsert(self._store, bindings)
            .values(
                account_key=account_key, bot_id=bot_id, credential_digest=credential_digest, proved=False, bound_at=now
            )
            .on_conflict_do_nothing()
            .returning(bindings.c.account_key)
        )
        async with self._store.begin() as connection:
            for _ in range(_TRIES):
                if (await connection.execute(free)).first() is not None:
                    return await self._begin(connection, account_key, bot_id, credential_digest, now)
                known = await self._locked(connection, account_key)
                if known is not None:
                    break
                # Who had it has given it up between the two statements.
            else:
                raise StoreUnavailable("the account is given up as fast as it is asked for")
            if known.bot_id == bot_id and known.credential_digest == credential_digest:
                return Bound(known, changed=False)
            if known.bot_id != bot_id and not await self._may_take(connection, known, credential_digest, now):
                return InUse(known.bot_id)
            await connection.execute(
                sa.update(bindings)
                .where(bindings.c.account_key == account_key)
                .values(bot_id=bot_id, credential_digest=credential_digest, proved=False, moving=False, bound_at=now)
            )
            return await self._begin(connection, account_key, bot_id, credential_digest, now)

    async def prove(self, account_key: str, bot_id: str) -> bool:
        """Telegram has accepted the credential: what goes with the account comes along in the same transaction, in which
        the accounts that the bot had with another credential are free.

        Returns:
            False: the account is not this bot's (any more).

        Raises:
            StillServedError: not yet; the bot that had the account may be connected with it.
        """
        where = sa.and_(bindings.c.account_key == account_key, bindings.c.bot_id == bot_id)
        moving = sa.select(bindings.c.moving, bindings.c.credential_digest).where(where)
        if self._store.is_postgresql:
            moving = moving.with_for_update()
        async with self._store.begin() as connection:
            known = (await connection.execute(moving)).first()
            if known is None:
                return False
            if known.moving:
                await self._bring_along(connection, account_key, bot_id, known.credential_digest)
            await connection.execute(sa.update(bindings).where(where).values(proved=True, moving=False))
            others = sa.and_(bindings.c.bot_id == bot_id, bindings.c.credential_digest != known.credential_digest)
            await connection.execute(sa.delete(bindings).where(others))
            await self._note_credential(connection, bot_id, known.credential_digest)
        return True

    async def _select(self, where: sa.ColumnElement[bool]) -> list[Binding]:
        statement = _SELECT.where(where).order_by(bindings.c.account_key)
        async with self._store.read() as connection:
            return [Binding(*row) for row in (await connection.execute(statement)).all()]

    async def _locked(self, connection: AsyncConnection, account_key: str) -> Binding | None:
        statement = _SELECT.where(bindings.c.account_key == account_key)
        if self._store.is_postgresql:
            statement = statement.with_for_update()
        row = (await connection.execute(statement)).first()
        return None if row is None else Binding(*row)

    async def _may_take(
        self, connection: AsyncConnection, known: Binding, credential_digest: str, now: datetime
    ) -> bool:
        free = sa.or_(leases.c.holder.is_(None), leases.c.expires_at <= database_now(self._store))
        statement = (
            sa.select(bots.c.deleted_at.is_(None), sa.func.coalesce(free, sa.true()))
            .select_from(bots.outerjoin(leases, leases.c.bot_id == bots.c.id))
            .where(bots.c.id == known.bot_id)
        )
        alive, lease_free = (await connection.execute(statement)).one()
        return gives_way(
            known, credential_digest, alive=bool(alive), lease_free=bool(lease_free), now=now, term=self._term
        )

    async def _begin(
        self, connection: AsyncConnection, account_key: str, bot_id: str, credential_digest: str, now: datetime
    ) -> Bound:
        """What follows from a binding that was made or changed just now."""
        account_id = account_id_of(account_key)
        moving = account_id is not None and await served_before(connection, account_id, bot_id) is not None
        if moving:
            this = bindings.c.account_key == account_key
            await connection.execute(sa.update(bindings).where(this).values(moving=True))
        await self._note_credential(connection, bot_id, credential_digest, first=True)
        binding = Binding(account_key, bot_id, credential_digest, proved=False, bound_at=now, moving=moving)
        return Bound(binding, changed=True)

    async def _bring_along(
        self, connection: AsyncConnection, account_key: str, bot_id: str, credential_digest: str
    ) -> None:
        account_id = account_id_of(account_key)
        source = None if account_id is None else await served_before(connection, account_id, bot_id)
        if account_id is not None and source is not None:
            await check_free(self._store, connection, source)
            same = await knows_credential(connection, account_id, source, credential_digest)
            await bring_along(connection, account_id, source, bot_id, under_way=same)

    async def _note_credential(
        self, connection: AsyncConnection, bot_id: str, credential_digest: str, *, first: bool = False
    ) -> None:
        """The data asks for it once it is retained. One that was only bound takes nothing from one that was proved."""
        this = sa.update(bots).where(bots.c.id == bot_id).values(credential_digest=credential_digest)
        await connection.execute(this.where(bots.c.credential_digest.is_(None)) if first else this)


_SELECT = sa.select(
    bindings.c.account_key,
    bindings.c.bot_id,
    bindings.c.credential_digest,
    bindings.c.proved,
    bindings.c.bound_at,
    bindings.c.moving,
)
