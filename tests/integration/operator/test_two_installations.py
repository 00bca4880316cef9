"""Two installations on one PostgreSQL server (16 or newer) and one Redis, each with a bot of the same namespace, name and UID:
one tries to take the other over, and what one does to its own bots the other does not notice."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as client
from psycopg import sql

from botfleet.keys import new_installation_key
from botfleet.store.bots import BotRepository
from botfleet.store.engine import create_store
from botfleet.store.erasure import ErasureRepository
from botfleet.store.errors import StoreError
from botfleet.store.tables import metadata
from botfleet_operator.bootstrap import users_acl
from botfleet_operator.eraser import Eraser
from botfleet_operator.ledger import Ledger
from botfleet_operator.metrics import Metrics
from botfleet_operator.migrate import MigrateError
from botfleet_operator.model import BotKey
from botfleet_operator.plan import Identity
from botfleet_operator.provision.bus import BusUnavailableError, Users
from botfleet_operator.provision.database import Roles, RoleStaysError
from botfleet_operator.removal import Remover, Sweeper
from botfleet_operator.world import TELEGRAM_BOTS, World
from botfleet_tools.servers import Postgres, Redis
from tests.contracts.store.erasure_contract import counts, fill
from tests.contracts.store.samples import ACCOUNT, OTHER, PERSON
from tests.integration.operator.harness import Database
from tests.unit.operator.fakes import FakeApi

KEY_OF = BotKey("hotel", "concierge")
UID = "the-same-uid"
REFUSED = psycopg.errors.InsufficientPrivilege

# What one operator's login could try on the server, from its own database. PostgreSQL shows it the names.
ATTEMPTS = """
alter role {bot} password 'planted'
alter role {bot} nologin
alter role {bot} rename to planted
alter role {bot} set search_path to public
alter role {bot} connection limit 0
comment on role {bot} is 'botfleet: a bot, credentials generation 9'
drop role {bot}
drop owned by {bot}
reassign owned by {bot} to current_user
set role {bot}
set session authorization {bot}
grant {bot} to current_user
grant {group} to current_user
grant {group} to {own}
revoke {group} from {bot}
create role planted in role {group}
create role planted in role {operator}
set role {group}
drop role {group}
alter role {operator} password 'planted'
alter role {owner} password 'planted'
grant {operator} to current_user
grant {owner} to current_user
set role {owner}
drop role {operator}
grant connect on database {database} to current_user
alter database {database} owner to current_user
alter database {database} set search_path to public
drop database {database}
create database planted template {database}
create role planted superuser
create role planted bypassrls
create role planted replication
grant pg_read_all_data to current_user
grant pg_signal_backend to current_user
select rolpassword from pg_authid
select pg_terminate_backend(pid) from pg_stat_activity where usename = {bot_text}
select pg_cancel_backend(pid) from pg_stat_activity where usename = {bot_text}
""".strip().splitlines()


class Side:
    """One of the two, with what its operator has: its login on both servers, and its key."""

    def __init__(self, database: Database, server: Redis) -> None:
        self.database, self.server = database, server
        self.id = database.installation_id
        self.key = new_installation_key()
        self.redis_user, self.redis_password = f"operator-{self.id}", secrets.token_urlsafe(12)
        rules = users_acl(self.redis_user, self.redis_password).splitlines()[1].split(" ")[1:]
        self.admin("ACL", "SETUSER", *rules)
        self.store = create_store(database.url(database.operator), database.passwords[database.operator])
        self.roles = Roles(self.store, self.id, lease_term_seconds=15)
        url = f"redis://{self.redis_user}@{server.host}:{server.port}/0"
        self.users = Users(url, self.redis_password, self.id)
        self.ledger = Ledger(
            self.store, self.roles, self.users, installation_id=self.id, installation_key=self.key
        )  # fmt: skip
        self.erasure = ErasureRepository(self.store, self.key)

    async def close(self) -> None:
        await self.users.close()
        await self.store.close()

    async def bot(self) -> Identity:
        """With its role and user, rows in every table, and a stream."""
        identity = await self.ledger.ensure_identity(KEY_OF, UID, "the same digest")
        await self.ledger.ensure_role(identity)
        await self.ledger.ensure_user(identity)
        writer = create_store(self.database.url(self.database.owner), self.database.passwords[self.database.owner])
        await fill(writer, identity.bot_id, 1, 2)
        await writer.close()
        with self.redis_of(identity) as stream:
            stream.xadd(self.stream(identity), {"id": "1"})
        return identity

    def stream(self, identity: Identity) -> str:
        return f"bf:{self.id}:{identity.bot_id}:events"

    def redis_of(self, identity: Identity) -> client.Redis:
        password = self.ledger.own_secrets(identity).redis_password
        return client.Redis(
            host=self.server.host, port=self.server.port, username=identity.redis_user, password=password
        )

    def as_operator(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(self.database.operator), autocommit=True)

    def as_bot(self, identity: Identity) -> psycopg.Connection[Any]:
        password = self.ledger.own_secrets(identity).database_password
        dsn = self.database.postgres.dsn_for(identity.role, password, self.database.name)
        return psycopg.connect(dsn, autocommit=True)

    def logins(self, identity: Identity) -> dict[str, str]:
        """Every role that logs in, with its password."""
        return {**self.database.passwords, identity.role: self.ledger.own_secrets(identity).database_password}

    def everything(self) -> dict[str, Any]:
        """All that it has on both servers, as who may see everything sees it."""
        found: dict[str, Any] = {
            name: sorted(map(repr, self.database.query(f'select * from botfleet."{name}"')))  # noqa: S608
            for name in metadata.tables
        }
        mine = (f"bf_{self.id}_", self.database.owner, self.database.operator)
        of = "starts_with(a.rolname, %s) or a.rolname in (%s, %s)"
        found["roles"] = self.database.query(
            "select a.rolname, a.rolpassword, a.rolcanlogin, a.rolconnlimit, r.rolconfig, "  # noqa: S608
            "shobj_description(a.oid, 'pg_authid') "
            f"from pg_authid a join pg_roles r on r.oid = a.oid where {of} order by 1",
            *mine,
        )
        found["members"] = self.database.query(
            "select a.rolname, m.member::regrole::text, m.admin_option, m.inherit_option, m.set_option "  # noqa: S608
            f"from pg_auth_members m join pg_authid a on a.oid = m.roleid where {of} order by 1, 2, 3",
            *mine,
        )
        found["database"] = self.database.query(
            "select datdba::regrole::text, datacl::text from pg_database where datname = %s", self.database.name
        )
        found["users"] = sorted(line for line in self.admin("ACL", "LIST") if f"bf_{self.id}_" in line)
        keys = sorted(self.admin("KEYS", f"bf:{self.id}:*"))
        found["streams"] = {key: self.admin("XRANGE", key, "-", "+") for key in keys}
        return found

    def admin(self, *words: str) -> Any:
        """What nobody but the server's own administrator may."""
        with client.Redis.from_url(self.server.url, decode_responses=True) as connection:
            return connection.execute_command(*words)

    def dsn(self, role: str) -> str:
        return self.database.postgres.dsn_for(role, self.database.passwords[role], self.database.name)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(version="18") as made:
        yield made


@pytest.fixture(scope="module")
def databases(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, Database]:
    made = tuple(Database(server, tmp_path_factory.mktemp("side")) for _ in range(2))
    for database in made:
        database.prepare()
        database.migrate()
    first, second = made
    return first, second


def administrator(database: Database, *statements: str) -> None:
    """What a superuser does, in this database."""
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


async def begun(database: Database, redis: Redis) -> Side:
    """As after the installation: what the test before left is away."""
    side = Side(database, redis)
    for role in await side.roles.present():
        administrator(database, f"drop owned by {role}", f"drop role {role}")
    for user in await side.users.present():
        await side.users.remove(user)
    administrator(database, "delete from botfleet.bots")
    return side


@pytest.fixture
async def thief(databases: tuple[Database, Database], redis: Redis) -> AsyncIterator[Side]:
    side = await begun(databases[0], redis)
    yield side
    await side.close()


@pytest.fixture
async def victim(databases: tuple[Database, Database], redis: Redis) -> AsyncIterator[Side]:
    side = await begun(databases[1], redis)
    yield side
    await side.close()


def nothing() -> None:
    """It leads."""


async def it_is() -> bool:
    """The cluster of before."""
    return True


async def test_no_login_of_one_installation_reaches_the_database_of_the_other(thief: Side, victim: Side) -> None:
    logins = thief.logins(await thief.bot())
    assert len(logins) == 3
    for role, password in logins.items():
        dsn = thief.database.postgres.dsn_for
        psycopg.connect(dsn(role, password, thief.database.name)).close()
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(dsn(role, password, victim.database.name))


async def test_one_operators_login_changes_nothing_of_the_others_roles_and_database(thief: Side, victim: Side) -> None:
    own, theirs = await thief.bot(), await victim.bot()
    names = {
        "bot": theirs.role, "group": victim.roles.group, "operator": victim.database.operator,
        "owner": victim.database.owner, "database": victim.database.name, "own": own.role,
    }  # fmt: skip
    words = {**{name: sql.Identifier(value) for name, value in names.items()}, "bot_text": sql.Literal(theirs.role)}
    before = victim.everything()
    done = []
    with victim.as_bot(theirs) as session, thief.as_operator() as connection:
        for attempt in ATTEMPTS:
            try:
                connection.execute(sql.SQL(attempt).format(**words))
                done.append(attempt)
            except REFUSED:
                continue
        assert done == []
        seen = connection.execute("select query from pg_stat_activity where usename = %s", [theirs.role]).fetchall()
        assert seen == [("<insufficient privilege>",)], "nor is it shown what they ask"
        assert session.execute("select id from botfleet.bots").fetchall() == [(theirs.bot_id,)]
    assert victim.everything() == before


async def test_an_operator_that_says_it_is_the_other_one_is_refused(thief: Side, victim: Side) -> None:
    """With all that the product can do: rotation, erasing, removal, by the names and keys of the other's bot."""
    await thief.bot()
    theirs = await victim.bot()
    before = victim.everything()
    pretender = Roles(thief.store, victim.id, lease_term_seconds=15)
    assert theirs.role in await pretender.present(), "names are no secret"
    for roles in (pretender, thief.roles):
        with pytest.raises(StoreError):
            await roles.ensure(theirs.role, "planted", 9)
        with pytest.raises(StoreError):
            await roles.remove(theirs.role)
    bots = BotRepository(thief.store)
    assert await bots.get(theirs.bot_id) is None
    with pytest.raises(StoreError):
        await bots.rotate_credentials(theirs.bot_id, "request")
    assert not await bots.retire(theirs.bot_id, UID)
    assert [rows async for rows in thief.erasure.batches(theirs.bot_id)] == []
    await bots.erase(theirs.bot_id)
    for attempt in (
        thief.users.ensure(theirs.redis_user, theirs.bot_id, "planted"),
        thief.users.remove(theirs.redis_user),
        thief.users.erase_keys(theirs.redis_user, theirs.bot_id),
    ):
        with pytest.raises(BusUnavailableError, match="none of this installation's"):
            await attempt
    assert victim.everything() == before


async def test_in_redis_neither_a_bot_nor_the_operator_of_one_reaches_keys_of_the_other(
    thief: Side, victim: Side
) -> None:
    own, theirs = await thief.bot(), await victim.bot()
    stream, before = victim.stream(theirs), victim.everything()
    operator = client.Redis(
        host=thief.server.host, port=thief.server.port, username=thief.redis_user, password=thief.redis_password
    )
    for login in (operator, thief.redis_of(own)):
        with login:
            for words in (
                ("XADD", stream, "*", "id", "2"), ("XRANGE", stream, "-", "+"), ("XLEN", stream), ("DEL", stream),
                ("UNLINK", stream), ("SCAN", "0"), ("KEYS", "*"), ("FLUSHALL",),
            ):  # fmt: skip
                with pytest.raises(client.exceptions.NoPermissionError):
                    login.execute_command(*words)
    assert victim.everything() == before


async def test_new_credentials_and_erasing_leave_the_others_bot_of_the_same_name_as_it_was(
    thief: Side, victim: Side
) -> None:
    own, theirs = await thief.bot(), await victim.bot()
    before = victim.everything()
    await thief.ledger.rotate(own, "request")
    rotated = thief.ledger.identity_at(KEY_OF)
    assert rotated is not None
    await thief.ledger.ensure_role(rotated)
    await thief.ledger.ensure_user(rotated)
    assert rotated.generation == own.generation + 1
    assert victim.everything() == before
    eraser = Eraser(thief.ledger, thief.erasure, nothing)
    assert await eraser.erase(rotated, pods=False) is None
    assert set((await counts(thief.store, own.bot_id)).values()) == {0}
    assert (await thief.roles.present(), await thief.users.present()) == ({}, {})
    assert victim.everything() == before
    people = [PERSON, OTHER]
    assert await thief.erasure.erased(ACCOUNT, people) == set(people)
    assert await victim.erasure.erased(ACCOUNT, people) == set(), "who was erased here is no stranger there"
    victim.as_bot(theirs).close()
    with victim.redis_of(theirs) as stream:
        assert stream.ping()


async def test_what_is_absent_here_is_removed_with_all_leftovers_and_nothing_of_the_other(
    thief: Side, victim: Side
) -> None:
    own = await thief.bot()
    await victim.bot()
    left = f"bf_{thief.id}_left"
    await thief.roles.ensure(left, "password", 1)
    await thief.users.ensure(left, "left", "password")
    with victim.as_operator() as connection:
        # Names are free. This one is in the way of nothing.
        connection.execute(sql.SQL("create role {}").format(sql.Identifier(f"bf_{thief.id}_a_foreign_one")))
    before = victim.everything()
    api: Any = FakeApi()
    world = World(api, namespaces=(), installation_key=thief.key, enqueue=lambda _: None, defaults={})
    sweeper = Sweeper(
        api,
        TELEGRAM_BOTS,
        world,
        thief.ledger,
        Metrics(),
        namespaces=(),
        seconds=0,
        same_cluster=True,
        is_still_there=it_is,
        guard=nothing,
    )
    for _ in range(2):
        await sweeper.once()
    assert world.gone == {UID: KEY_OF}
    assert await Remover(world, thief.ledger, nothing).clean_up(KEY_OF) is None
    await sweeper.once()
    assert list(await thief.roles.present()) == [f"bf_{thief.id}_a_foreign_one"]
    assert await thief.users.present() == {}
    retained = await BotRepository(thief.store).get(own.bot_id)
    assert retained is not None
    assert retained.deleted_at is not None
    assert victim.everything() == before


async def test_a_role_that_somebody_else_made_under_a_bots_name_is_not_taken_for_the_bots(
    thief: Side, victim: Side
) -> None:
    """While its bot is deleted and its data retained, the name is free."""
    theirs = await victim.bot()
    await victim.ledger.remove_role(theirs)
    role, members = sql.Identifier(theirs.role), victim.everything()["members"]
    with thief.as_operator() as connection:
        connection.execute(sql.SQL("create role {} login password 'planted'").format(role))
        connection.execute(sql.SQL("comment on role {} is 'botfleet: a bot, credentials generation 1'").format(role))
    assert await victim.roles.present() == {theirs.role: 0}, "what its comment says is nobody's word"
    with pytest.raises(StoreError):
        await victim.ledger.ensure_role(theirs)
    assert [m for m in victim.everything()["members"] if m[0] == victim.roles.group] == [
        m for m in members if m[0] == victim.roles.group
    ]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(victim.database.postgres.dsn_for(theirs.role, "planted", victim.database.name))
    with thief.as_operator() as connection:
        connection.execute(sql.SQL("drop role {}").format(role))
    await victim.ledger.ensure_role(theirs)
    victim.as_bot(theirs).close()


async def test_a_right_that_somebody_else_gave_a_bots_role_holds_up_no_erasing_and_lets_nobody_in(
    thief: Side, victim: Side
) -> None:
    """Whoever owns a database may grant something in it to every role of the server, which then cannot be dropped."""
    theirs = await victim.bot()
    password = victim.ledger.own_secrets(theirs).database_password
    with psycopg.connect(thief.dsn(thief.database.owner), autocommit=True) as connection:
        connection.execute(f"grant usage on schema botfleet to {theirs.role}")
        with victim.as_bot(theirs) as session:
            assert await Eraser(victim.ledger, victim.erasure, nothing).erase(theirs, pods=False) is None
            with pytest.raises(psycopg.OperationalError):
                session.execute("select 1")
        assert set((await counts(victim.store, theirs.bot_id)).values()) == {0}
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            psycopg.connect(victim.database.postgres.dsn_for(theirs.role, password, victim.database.name))
        assert await victim.roles.present() == {theirs.role: 0}, "nobody takes it for one that works"
        await victim.roles.ensure(theirs.role, password, 1)
        victim.as_bot(theirs).close()
        with pytest.raises(RoleStaysError):
            await victim.ledger.remove_leftover_role(theirs.role)
        connection.execute(f"revoke usage on schema botfleet from {theirs.role}")
    assert await victim.ledger.remove_leftover_role(theirs.role)
    assert await victim.roles.present() == {}


async def test_a_group_of_bots_that_somebody_else_may_fill_is_given_nothing(
    thief: Side, server: Postgres, tmp_path: Path
) -> None:
    """The id of an installation that is restored on another server is known from the first: its group may be there before it."""
    moved = Database(server, tmp_path)
    moved.prepare()
    moved.migrate()
    group = f"bf_{moved.installation_id}_runner"
    administrator(moved, f"drop owned by {group}", f"drop role {group}")
    with thief.as_operator() as connection:
        connection.execute(f"create role {group} nologin")
    for _ in range(2):
        with pytest.raises(MigrateError, match=f"{group} .* {thief.database.operator} may put others"):
            moved.migrate()
    assert moved.query("select has_database_privilege(%s, current_database(), 'connect')", group) == [(False,)]
    with thief.as_operator() as connection:
        connection.execute(f"drop role {group}")
    moved.migrate()
    assert moved.query("select has_database_privilege(%s, current_database(), 'connect')", group) == [(True,)]
