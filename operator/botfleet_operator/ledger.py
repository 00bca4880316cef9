"""
Why: the database's word on every bot (row, bindings, heartbeat, role, Redis user), held in memory, since one leader alone
writes it. A reconcile that finds nothing to do asks the database nothing.
Never: know Kubernetes, or keep a password longer than it takes to use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog

from botfleet import keys
from botfleet.store import binding as store_binding
from botfleet.store.binding import BindingRepository
from botfleet.store.bots import Bot, BotRepository
from botfleet.store.engine import Store
from botfleet.store.health_feed import HealthFeed, HealthRow
from botfleet.store.lease import database_now
from botfleet.store.moving import StillServedError
from botfleet.store.tables import bindings as bindings_table
from botfleet.store.tables import leases as leases_table
from botfleet_operator.changes import Changes
from botfleet_operator.model import BotKey
from botfleet_operator.plan import BoundAccount, Heartbeat, Identity, OwnSecrets
from botfleet_operator.principals import Principals
from botfleet_operator.provision.bus import Users, is_asserted
from botfleet_operator.provision.database import Roles

log = structlog.get_logger("botfleet.operator.ledger")


@dataclass(frozen=True, slots=True)
class InUse:
    """The account is another bot's; None: one that is not known here (any more)."""

    by: BotKey


_STILL_SERVED_SECONDS = _HELD_SECONDS = 1.0


class StillHeldError(Exception):
    """A bot that had this name or this account before may still have a connected runner. Come back later."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a runner may hold the lease for another {seconds:.1f} s")
        self.seconds = seconds


def _nothing(_: str) -> None:
    """Nobody waits for accounts."""


class Ledger:
    """All bots that have a row. `freed(account_key)` is called when an account is bound to nobody any more."""

    def __init__(
        self,
        store: Store,
        roles: Roles,
        users: Users,
        *,
        installation_id: str,
        installation_key: bytes,
        heartbeat_seconds: float = 60.0,
    ) -> None:
        self._bots, self._bindings, self._feed = BotRepository(store), BindingRepository(store), HealthFeed(store)
        self._store, self._roles, self._users = store, roles, users
        self._installation_id, self._installation_key = installation_id, installation_key
        self._heartbeat_seconds = heartbeat_seconds
        self._identities: dict[BotKey, Identity] = {}
        self._names: dict[str, BotKey] = {}  # by bot id, living ones
        self._bound: dict[str, dict[str, BoundAccount]] = {}
        self._beats: dict[str, Heartbeat] = {}
        self.role_names = Principals[int](roles, lambda present: present)
        self.user_names = Principals[str](users, self._generations_of_users)
        self.row_changes = Changes[BotKey | None]()
        self.freed: Callable[[str], None] = _nothing
        # A bot's account went to another, or its role or user is found missing.
        self.lost: Callable[[BotKey], None] = lambda _: None

    # Reading the memory

    def living(self) -> dict[BotKey, Identity]:
        return dict(self._identities)

    def identity_at(self, key: BotKey) -> Identity | None:
        """The living row of this name, whatever object it was made for."""
        return self._identities.get(key)

    def identity_of(self, key: BotKey, uid: str) -> Identity | None:
        """The row of exactly this object."""
        identity = self._identities.get(key)
        return identity if identity is not None and identity.uid == uid else None

    def name_of(self, bot_id: str) -> BotKey | None:
        return self._names.get(bot_id)

    def bound_to(self, bot_id: str) -> tuple[BoundAccount, ...]:
        return tuple(self._bound.get(bot_id, {}).values())

    def heartbeat(self, bot_id: str) -> Heartbeat | None:
        return self._beats.get(bot_id)

    def role_exists(self, identity: Identity) -> bool:
        return self.role_names.generation(identity.role) is not None

    def role_is_ready(self, identity: Identity) -> bool:
        return self.role_names.generation(identity.role) == identity.generation

    def user_is_ready(self, identity: Identity) -> bool:
        return self.user_names.generation(identity.redis_user) == identity.generation

    def own_secrets(self, identity: Identity) -> OwnSecrets:
        """Derived anew each time: the same bytes for the same generation."""
        return OwnSecrets(
            database_password=self._password(identity, keys.Purpose.DATABASE_PASSWORD, identity.generation),
            redis_password=self._redis_password(identity),
            session_key=self._password(identity, keys.Purpose.SESSION_KEY, identity.session_generation),
        )

    def _redis_password(self, identity: Identity) -> str:
        return self._password(identity, keys.Purpose.REDIS_PASSWORD, identity.generation)

    def _password(self, identity: Identity, purpose: keys.Purpose, generation: int) -> str:
        return keys.password(self._installation_key, identity.bot_id, purpose, generation)

    # Loading

    async def load(self) -> None:
        """Everything, once, at the start of a leader."""
        for bot in await self._bots.list_all(living=True):
            self._remember(bot)
        statement = sa.select(
            bindings_table.c.bot_id,
            bindings_table.c.account_key,
            bindings_table.c.credential_digest,
            bindings_table.c.proved,
        )
        async with self._store.read() as connection:
            for bot_id, account_key, digest, proved in (await connection.execute(statement)).all():
                self._bound.setdefault(bot_id, {})[account_key] = BoundAccount(account_key, digest, proved)
        await self.check_roles()
        self.heard(await self._feed.all())

    async def check_roles(self) -> list[BotKey]:
        """Looks which roles there are; returns the bots whose role has gone or has old credentials."""
        await self.role_names.read()
        return [key for key, identity in self._identities.items() if not self.role_is_ready(identity)]

    async def check_users(self) -> list[BotKey]:
        """Looks which Redis users there are; returns the bots whose user has gone or has other credentials."""
        await self.user_names.read()
        return [key for key, identity in self._identities.items() if not self.user_is_ready(identity)]

    def _generations_of_users(self, present: Mapping[str, str]) -> dict[str, int]:
        generations = dict.fromkeys(present, 0)
        for identity in self._identities.values():
            rules = present.get(identity.redis_user)
            if rules is not None and is_asserted(rules, self._redis_password(identity)):
                generations[identity.redis_user] = identity.generation
        return generations

    async def database_run_id(self) -> str:
        """Changes when PostgreSQL was started anew: perhaps with the roles of long ago."""
        return await self._roles.run_id()

    async def bus_run_id(self) -> str:
        """Changes when Redis was started anew."""
        return await self._users.run_id()

    # Health

    async def changed_health(self, since: datetime) -> list[HealthRow]:
        # A runner that has died stamps nothing: its rows are read until it has been called silent.
        return await self._feed.changed_since(since, ended_within=timedelta(seconds=self._heartbeat_seconds + 10))

    async def all_health(self) -> list[HealthRow]:
        return await self._feed.all()

    def heard(self, rows: Iterable[HealthRow]) -> list[BotKey]:
        """Takes rows over; returns the bots about which they say something new."""
        news = []
        for row in rows:
            beat = self._beat(row)
            if self._beats.get(row.bot_id) == beat:
                continue
            self._beats[row.bot_id] = beat
            key = self._names.get(row.bot_id)
            if key is not None:
                news.append(key)
        return news

    def any_lapsed(self) -> bool:
        """Whether the lease of some bot was held and run out when it was read last, and the bot is not called silent yet."""
        return any(beat.holder is not None and not beat.alive and not beat.silent for beat in self._beats.values())

    def silence(self) -> list[BotKey]:
        """The database has not answered for so long that all its news is old; returns the bots whose state changes."""
        news = []
        for bot_id, beat in self._beats.items():
            if not beat.silent and beat.holder is not None:
                self._beats[bot_id] = replace(beat, silent=True, alive=False)
                key = self._names.get(bot_id)
                if key is not None:
                    news.append(key)
        return news

    def _beat(self, row: HealthRow) -> Heartbeat:
        age = row.age_seconds
        term = (row.expires_at - row.renewed_at).total_seconds() if row.expires_at and row.renewed_at else 0.0
        return Heartbeat(
            holder=row.holder,
            alive=row.holder is not None and age is not None and age < term,
            silent=age is not None and age > self._heartbeat_seconds,
            health=row.health,
        )

    # Writing

    async def ensure_identity(self, key: BotKey, uid: str, credential_digest: str) -> Identity:
        """The bot's row: the one that it has; the one of its predecessor of the same name with the same credential, be
        that retained data or an object just replaced; else a new one.

        Raises:
            StillHeldError: a predecessor with another credential has to be retired first, or another leader was faster.
        """
        with self.row_changes.of(key):
            return await self._ensure_identity(key, uid, credential_digest)

    async def _ensure_identity(self, key: BotKey, uid: str, credential_digest: str) -> Identity:
        found = await self._bots.living_or_retained(key.namespace, key.name, credential_digest)
        if found is None:
            return self._remember(await self._bots.create(key.namespace, key.name, uid, self._installation_id))
        if found.uid != uid and found.deleted_at is None and found.credential_digest not in (None, credential_digest):
            # Memory may lack it (a commit whose answer was lost, a leader's late call): nobody would retire it.
            await self._take_in(found)
            raise StillHeldError(_HELD_SECONDS)
        if found.uid != uid or found.deleted_at is not None:
            adopted = await self._bots.adopt(found.id, uid, was=found.uid)
            if adopted is None:
                raise StillHeldError(_HELD_SECONDS)
            found = adopted
        return await self._take_in(found)

    async def rotate(self, identity: Identity, request: str) -> None:
        """New derived credentials, once for this request; role and user are given them afterwards."""
        # Who has the lease decides when the old ones go, and what was read of it last may be a second old.
        self.heard(row for row in await self._feed.all() if row.bot_id == identity.bot_id)
        with self.user_names.changing(identity.redis_user):
            self._remember(await self._bots.rotate_credentials(identity.bot_id, request))
            self.user_names.forget(identity.redis_user)

    async def bind(self, identity: Identity, account_key: str, credential_digest: str) -> InUse | None:
        """Binds the account to this bot; InUse: it is another's."""
        result = await self._bindings.bind(identity.bot_id, account_key, credential_digest, datetime.now(UTC))
        if isinstance(result, store_binding.InUse):
            return InUse(self._names.get(result.other_bot) or BotKey("", ""))
        for bot_id, accounts in self._bound.items():
            if bot_id != identity.bot_id and accounts.pop(account_key, None) is not None:
                key = self._names.get(bot_id)
                if key is not None:
                    self.lost(key)
        bound = result.binding
        self._bound.setdefault(identity.bot_id, {})[account_key] = BoundAccount(
            account_key, bound.credential_digest, bound.proved
        )
        return None

    async def prove(self, identity: Identity, account_key: str) -> None:
        """Telegram has accepted the credential; accounts that the bot had before are free from now on.

        Raises:
            StillHeldError: the bot that had the account may still be connected with it.
        """
        try:
            proved = await self._bindings.prove(account_key, identity.bot_id)
        except StillServedError:
            raise StillHeldError(_STILL_SERVED_SECONDS) from None
        accounts = self._bound.setdefault(identity.bot_id, {})
        account = accounts.get(account_key)
        if not proved or account is None:
            accounts.pop(account_key, None)
            return
        accounts[account_key] = replace(account, proved=True)
        for old in [k for k, a in accounts.items() if a.credential_digest != account.credential_digest]:
            del accounts[old]
            self.freed(old)

    async def ensure_role(self, identity: Identity) -> None:
        with self.role_names.changing(identity.role):
            await self._roles.ensure(identity.role, self.own_secrets(identity).database_password, identity.generation)
            self.role_names.given(identity.role, identity.generation)

    async def ensure_user(self, identity: Identity) -> None:
        with self.user_names.changing(identity.redis_user):
            await self._users.ensure(identity.redis_user, identity.bot_id, self._redis_password(identity))
            self.user_names.given(identity.redis_user, identity.generation)

    # Removing

    async def remove_role(self, identity: Identity) -> None:
        await self.role_names.remove(identity.role)

    async def erase_keys(self, identity: Identity) -> None:
        """All that the bot has in Redis. Its user can append nothing any more afterwards, and is to be removed."""
        with self.user_names.changing(identity.redis_user):
            self.user_names.forget(identity.redis_user)
            await self._users.erase_keys(identity.redis_user, identity.bot_id)

    async def remove_user(self, identity: Identity) -> None:
        await self.user_names.remove(identity.redis_user)

    async def lease_seconds(self, identity: Identity) -> float:
        """How much longer a runner of this bot may be connected; 0: certainly none is."""
        statement = sa.select(leases_table.c.holder, leases_table.c.expires_at - database_now(self._store)).where(
            leases_table.c.bot_id == identity.bot_id
        )
        async with self._store.read() as connection:
            row = (await connection.execute(statement)).first()
        if row is None or row[0] is None or row[1] is None:
            return 0.0
        return max(0.0, float(row[1].total_seconds()))

    async def retire(self, identity: Identity) -> bool:
        """The object is gone: the accounts are free, the row is marked, the data stays.

        Returns:
            False: the row is a living one of another object, by another leader's call. From now on it is that here, too.
        """
        with self.row_changes.of(self._names.get(identity.bot_id)):
            if not await self._bots.retire(identity.bot_id, identity.uid):
                row = await self._bots.get(identity.bot_id)
                if row is not None and row.deleted_at is None:
                    self._remember(row)
                    return False
            self._forget(identity)
            return True

    async def erase_row(self, identity: Identity) -> None:
        """The data is erased: the row goes too, with the lease and the accounts, which are free then."""
        with self.row_changes.of(self._names.get(identity.bot_id)):
            await self._bots.erase(identity.bot_id)
            self._forget(identity)

    def _forget(self, identity: Identity) -> None:
        key = self._names.get(identity.bot_id)
        freed = list(self._bound.pop(identity.bot_id, {}))
        self._names.pop(identity.bot_id, None)
        self._beats.pop(identity.bot_id, None)
        if key is not None:
            self._identities.pop(key, None)
        for account_key in freed:
            self.freed(account_key)

    async def leftover_roles(self) -> list[str]:
        """Roles of this installation that belong to no living bot. Whose own has gone is told to `lost`."""
        found, gone = await self.role_names.read()
        self._tell_lost("database_roles_missing", (i for i in self._identities.values() if i.role in gone))
        return sorted(found.keys() - {identity.role for identity in self._identities.values()})

    async def leftover_users(self) -> list[str]:
        """Redis users of this installation that belong to no living bot. Whose own has gone is told to `lost`."""
        found, gone = await self.user_names.read()
        self._tell_lost("redis_users_missing", (i for i in self._identities.values() if i.redis_user in gone))
        return sorted(found.keys() - {identity.redis_user for identity in self._identities.values()})

    def _tell_lost(self, event: str, identities: Iterable[Identity]) -> None:
        lost = [self._names[identity.bot_id] for identity in identities]
        if lost:
            log.info(event, bots=len(lost))
        for key in lost:
            self.lost(key)

    async def remove_leftover_role(self, role: str) -> bool:
        """False: a bot got it back since it was found."""
        if self._lives_with(role=role):
            return False
        await self.role_names.remove(role)
        return True

    async def remove_leftover_user(self, user: str) -> bool:
        """False: a bot got it back since it was found."""
        if self._lives_with(user=user):
            return False
        await self.user_names.remove(user)
        return True

    def _lives_with(self, *, role: str = "", user: str = "") -> bool:
        return any(role == identity.role or user == identity.redis_user for identity in self._identities.values())

    async def _take_in(self, bot: Bot) -> Identity:
        """As `_remember`; a row that memory lacked, with its accounts."""
        if bot.id not in self._names:
            self._bound[bot.id] = {
                bound.account_key: BoundAccount(bound.account_key, bound.credential_digest, bound.proved)
                for bound in await self._bindings.of_bot(bot.id)
            }
        return self._remember(bot)

    def _remember(self, bot: Bot) -> Identity:
        if bot.uid is None or bot.role_name is None or bot.redis_user is None:
            raise AssertionError("a bot of the operator has an object, a role and a user")
        key = BotKey(bot.namespace, bot.name)
        identity = Identity(
            bot.id,
            bot.uid,
            bot.role_name,
            bot.redis_user,
            bot.credentials_generation,
            bot.session_key_generation,
            bot.credentials_rotation,
        )
        before = self._identities.get(key)
        if before is not None and before.bot_id != bot.id:
            self._forget(before)  # somebody else has retired or erased that row
        self._identities[key] = identity
        self._names[bot.id] = key
        return identity
