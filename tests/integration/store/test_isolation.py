"""With a bot's own credentials: its own rows and nothing else. Over all tables of the metadata, on both servers."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from botfleet.store import privileges
from botfleet.store.account import AccountRepository
from botfleet.store.bots import Bot
from botfleet.store.engine import Store
from botfleet.store.health_feed import HealthFeed
from botfleet.store.lease import LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Intake, PeerRow, Spending, UpdateState
from botfleet.store.tables import metadata
from tests.contracts.store.samples import ACCOUNT, PERSON, answered, take_over, taken_in
from tests.support.installation import DATABASE, OPERATOR, OWNER, Installation, apply_privileges

OWNED = sorted(set(metadata.tables) - privileges.SHARED)
FILLED = sorted(set(OWNED) - {"bots", "bindings"})
DENIED = psycopg.errors.InsufficientPrivilege


async def fill(store: Store, bot: Bot) -> MessagePath:
    """A row of this bot in every table that a bot writes."""
    lease = await LeaseRepository(store, bot.id).acquire("holder", 60)
    assert lease is not None
    path = MessagePath(store, lease, ACCOUNT)
    await path.take_in(Intake(states={0: UpdateState(5)}, peers=(PeerRow(PERSON, 1),)))
    await taken_in(path, 1)
    await answered(path, 10)
    await path.set_not_before(PERSON, None)
    assert await path.save_summary(PERSON, "notes", 1, {"likes": "tea"})
    await path.opt_out(PERSON)
    await path.note_spent([Spending(date(2026, 11, 1), "m", 1, 2, 3)])
    await path.block(PERSON, 42)
    await path.begin_takeover(PERSON, datetime.now(UTC) + timedelta(hours=1), 42)
    await path.pause(42)
    await path.enlist(0, datetime.now(UTC))
    await AccountRepository(store, lease, ACCOUNT).save_session(b"sealed", "digest")
    return path


@pytest.fixture
async def victim(installation: Installation, operator: Store) -> AsyncIterator[Bot]:
    """Another bot, with rows in every table, and a binding."""
    bot = await installation.new_bot(operator)
    assert bot.role_name is not None
    store = installation.store(bot.role_name)
    await fill(store, bot)
    await store.close()
    with installation.connect(OPERATOR) as connection:
        connection.execute(
            "insert into botfleet.bindings values (%s, %s, 'digest', true, now())", (f"bot:{bot.id}", bot.id)
        )
    yield bot


@pytest.fixture
async def thief(installation: Installation, bot: Bot, store: Store) -> AsyncIterator[psycopg.Connection[Any]]:
    """A bot's own credentials, in somebody else's hands."""
    await fill(store, bot)
    assert bot.role_name is not None
    with installation.connect(bot.role_name) as connection:
        yield connection


def rows_of(installation: Installation, table: str, bot: Bot) -> list[Any]:
    key = "id" if table == "bots" else "bot_id"
    with installation.superuser() as connection:
        return connection.execute(
            sql.SQL("select * from botfleet.{} where {} = %s").format(sql.Identifier(table), sql.Identifier(key)),
            (bot.id,),
        ).fetchall()


@pytest.mark.parametrize("table", FILLED)
async def test_a_bot_reads_its_own_rows_and_no_others(
    installation: Installation, victim: Bot, bot: Bot, thief: psycopg.Connection[Any], table: str
) -> None:
    assert rows_of(installation, table, victim)
    seen = thief.execute(sql.SQL("select distinct bot_id from botfleet.{}").format(sql.Identifier(table))).fetchall()
    assert seen == [(bot.id,)]


async def test_a_bot_sees_itself_only(bot: Bot, victim: Bot, thief: psycopg.Connection[Any]) -> None:
    assert thief.execute("select id, name from botfleet.bots").fetchall() == [(bot.id, bot.name)]
    assert thief.execute("select * from botfleet.bindings").fetchall() == []
    with pytest.raises(DENIED):
        thief.execute("select redis_user from botfleet.bots")
    with pytest.raises(DENIED):
        thief.execute("select key_fingerprint from botfleet.installation")


@pytest.mark.parametrize("table", FILLED)
async def test_a_bot_changes_no_row_of_another(
    installation: Installation, victim: Bot, bot: Bot, thief: psycopg.Connection[Any], table: str
) -> None:
    before = rows_of(installation, table, victim)
    name = sql.Identifier(table)
    columns = [column.name for column in metadata.tables[table].columns if not column.primary_key]
    changeable = privileges.RUNNER[table].update
    for column in columns if changeable is True else changeable or ():
        statement = sql.SQL("update botfleet.{} set {column} = {column}").format(name, column=sql.Identifier(column))
        changed = thief.execute(statement + sql.SQL(" where bot_id = %s"), (victim.id,))
        assert changed.rowcount == 0
        thief.execute(statement)
    for text in ("update botfleet.{} set bot_id = bot_id", "truncate botfleet.{}", "truncate botfleet.{} cascade"):
        with pytest.raises(DENIED):
            thief.execute(sql.SQL(text).format(name))
    if privileges.RUNNER[table].delete:
        assert (
            thief.execute(sql.SQL("delete from botfleet.{} where bot_id = %s").format(name), (victim.id,)).rowcount == 0
        )
        thief.execute(sql.SQL("delete from botfleet.{}").format(name))
    else:
        with pytest.raises(DENIED):
            thief.execute(sql.SQL("delete from botfleet.{}").format(name))
    assert rows_of(installation, table, victim) == before


@pytest.mark.parametrize("table", FILLED)
async def test_a_bot_writes_no_row_in_anothers_name(
    installation: Installation, victim: Bot, bot: Bot, thief: psycopg.Connection[Any], table: str
) -> None:
    before = rows_of(installation, table, victim)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in metadata.tables[table].columns)
    own = rows_of(installation, table, bot)[0]
    shifted = list(own)
    shifted[0] = victim.id
    keys = [place for place, column in enumerate(metadata.tables[table].columns) if column.primary_key]
    if len(keys) > 1:
        last = keys[-1]
        shifted[last] = shifted[last] + 1000 if isinstance(shifted[last], int) else "f" * 32
    values = [psycopg.types.json.Jsonb(value) if isinstance(value, dict | list) else value for value in shifted]
    statement = sql.SQL("insert into botfleet.{} ({}) values ({})").format(
        sql.Identifier(table), names, sql.SQL(", ").join([sql.Placeholder()] * len(values))
    )
    with pytest.raises(DENIED):
        thief.execute(statement, values)
    assert rows_of(installation, table, victim) == before


@pytest.mark.parametrize(
    "statement",
    [
        "insert into botfleet.bots (id, namespace, name, created_at) values ('x', 'a', 'b', now())",
        "update botfleet.bots set role_name = 'x'",
        "update botfleet.bots set name = 'x'",
        "delete from botfleet.bots",
        "insert into botfleet.bindings values ('bot:1', (select id from botfleet.bots), 'x', true, now())",
        "update botfleet.bindings set proved = true",
        "delete from botfleet.bindings",
        "insert into botfleet.leases (bot_id) select id from botfleet.bots",
        "update botfleet.installation set compatible_from = '9999'",
        "update botfleet.alembic_version set version_num = '9999'",
        "create table botfleet.mine (x int)",
        "create table public.mine (x int)",
        "create temporary table mine (x int)",
        "create schema mine",
        "create function botfleet.mine() returns int language sql as 'select 1'",
        "create role mine",
        "create database mine",
        "create publication mine",
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "alter table botfleet.inbox disable row level security",
        "drop policy own_rows on botfleet.inbox",
        "create policy mine on botfleet.inbox using (true)",
        "copy botfleet.inbox to program 'true'",
        f"set role {OWNER}",
        f"set role {OPERATOR}",
        f"alter role {OPERATOR} password 'x'",
        "set session authorization postgres",
        "select * from pg_authid",
        "select pg_read_file('PG_VERSION')",
    ],
)
async def test_a_bot_may_neither_make_nor_alter_anything(thief: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(DENIED):
        thief.execute(statement)


async def test_a_bot_passes_no_right_on(installation: Installation, thief: psycopg.Connection[Any]) -> None:
    # PostgreSQL answers with a warning, and grants nothing.
    for right in ("select", "all"):
        thief.execute(sql.SQL("grant {} on botfleet.inbox to public").format(sql.SQL(right)))
    await test_public_may_do_nothing(installation)


async def test_a_setting_of_the_session_opens_nothing(victim: Bot, bot: Bot, thief: psycopg.Connection[Any]) -> None:
    thief.execute("set row_security = off")
    with pytest.raises(DENIED):
        thief.execute("select text from botfleet.inbox")
    thief.execute("set row_security = on")
    thief.execute("set search_path = public, pg_temp")
    assert thief.execute("select distinct bot_id from botfleet.inbox").fetchall() == [(bot.id,)]


async def test_a_bot_learns_nothing_of_others_by_a_key_that_is_taken(
    victim: Bot, thief: psycopg.Connection[Any]
) -> None:
    """Unique constraints hold across all rows, seen or not: each begins with the bot, so none is shared."""
    for name in FILLED:
        table = metadata.tables[name]
        unique = [index.columns for index in table.indexes if index.unique]
        unique += [
            constraint.columns
            for constraint in table.constraints
            if isinstance(constraint, sa.UniqueConstraint | sa.PrimaryKeyConstraint)
        ]
        assert unique
        for columns in unique:
            assert next(iter(columns)).name == "bot_id", name


async def test_public_may_do_nothing(installation: Installation) -> None:
    with installation.superuser() as connection:
        connection.execute("create role nobody_in_particular login password 'x'")
        try:
            installation.passwords["nobody_in_particular"] = "x"
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                installation.connect("nobody_in_particular")
        finally:
            connection.execute("drop role nobody_in_particular")
        granted = connection.execute(
            "select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace, "
            "aclexplode(relacl) where nspname = 'botfleet' and grantee = 0"
        ).fetchall()
        assert granted == []


async def test_every_table_of_a_bot_forces_row_level_security(installation: Installation) -> None:
    with installation.superuser() as connection:
        rows = connection.execute(
            "select relname, relrowsecurity and relforcerowsecurity from pg_class c "
            "join pg_namespace n on n.oid = c.relnamespace where nspname = 'botfleet' and relkind = 'r'"
        ).fetchall()
    assert {name for name, forced in rows if forced} == set(OWNED)
    assert {name for name, _ in rows} == set(metadata.tables) | {privileges.VERSIONS}


async def test_every_table_has_said_who_may_do_what() -> None:
    assert set(privileges.RUNNER) == set(metadata.tables) | {privileges.VERSIONS}
    assert set(privileges.OPERATOR) <= set(privileges.RUNNER)


async def test_privileges_are_applied_again_without_a_change(
    installation: Installation, victim: Bot, bot: Bot, thief: psycopg.Connection[Any]
) -> None:
    def state() -> list[Any]:
        with installation.superuser() as connection:
            acls = connection.execute(
                "select relname, relacl::text from pg_class where relnamespace = 'botfleet'::regnamespace "
                "union all select attrelid::regclass::text || attname, attacl::text from pg_attribute "
                "where attacl is not null order by 1"
            ).fetchall()
            return acls + connection.execute("select * from pg_policies order by tablename, policyname").fetchall()

    before = state()
    apply_privileges(installation)
    assert state() == before
    assert thief.execute("select distinct bot_id from botfleet.inbox").fetchall() == [(bot.id,)]


async def test_the_operator_never_reads_messages(installation: Installation, victim: Bot) -> None:
    with installation.connect(OPERATOR) as connection:
        for table in ("inbox", "outbox", "messages", "accounts", "peers", "events"):
            with pytest.raises(DENIED):
                connection.execute(sql.SQL("select * from botfleet.{}").format(sql.Identifier(table)))
        # It moves what goes with an account to another bot, by its key and its state.
        # It erases by ids, of which it makes tombstones.
        for table, column in (
            ("inbox", "text"), ("inbox", "sender_name"), ("outbox", "text"), ("peers", "access_hash"),
            ("messages", "text"), ("messages", "sender_name"), ("summaries", "text"), ("facts", "name"), ("facts", "value"),
        ):  # fmt: skip
            with pytest.raises(DENIED):
                connection.execute(
                    sql.SQL("select {} from botfleet.{}").format(sql.Identifier(column), sql.Identifier(table))
                )
            with pytest.raises(DENIED):
                connection.execute(
                    sql.SQL("update botfleet.{} set {} = null").format(sql.Identifier(table), sql.Identifier(column))
                )
        with pytest.raises(DENIED):
            connection.execute(
                "insert into botfleet.outbox (bot_id, account_id, entities) values (%s, 1, '[]')", (victim.id,)
            )
        assert (victim.id,) in connection.execute("select bot_id from botfleet.leases").fetchall()


async def test_erasing_a_bot_takes_all_its_rows_and_no_others(
    installation: Installation, bot: Bot, thief: psycopg.Connection[Any], victim: Bot
) -> None:
    with installation.connect(OPERATOR) as connection:
        assert connection.execute("delete from botfleet.bots where id = %s", (victim.id,)).rowcount == 1
    for table in FILLED:
        assert rows_of(installation, table, victim) == []
        assert rows_of(installation, table, bot)


async def test_a_backfill_by_the_owner_changes_the_rows_that_it_should(
    installation: Installation, victim: Bot, bot: Bot, thief: psycopg.Connection[Any]
) -> None:
    with installation.superuser() as connection:
        expected = connection.execute("select text from botfleet.inbox where reason is null").rowcount
        rights = connection.execute(
            "select rolsuper or rolbypassrls from pg_roles where rolname = %s", (OWNER,)
        ).fetchone()
    assert expected >= 2
    assert rights == (False,)
    with installation.connect(OWNER) as connection:
        changed = connection.execute("update botfleet.inbox set reason = 'Backfilled' where reason is null")
        assert changed.rowcount == expected
    assert "Backfilled" in repr(rows_of(installation, "inbox", victim))
    assert "Backfilled" in repr(rows_of(installation, "inbox", bot))


async def test_the_operator_needs_no_right_that_a_superuser_has(installation: Installation) -> None:
    with installation.superuser() as connection:
        rows = connection.execute(
            "select rolname, rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname in (%s, %s)",
            (OWNER, OPERATOR),
        ).fetchall()
        assert sorted(rows) == [(OPERATOR, False, False, True), (OWNER, False, False, False)]
        owner = connection.execute(
            "select pg_get_userbyid(datdba) from pg_database where datname = %s", (DATABASE,)
        ).fetchone()
        assert owner == (OWNER,)


@pytest.mark.parametrize("column", ["expires_at", "renewed_at", "health_changed_at"])
@pytest.mark.parametrize("time", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
async def test_a_bot_cannot_write_a_time_that_the_operator_cannot_read(
    thief: psycopg.Connection[Any], column: str, time: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        thief.execute(sql.SQL("update botfleet.leases set {} = %s").format(sql.Identifier(column)), (time,))


@pytest.mark.parametrize("health", ['"' + "x" * 2000 + '"', "[" * 600 + "]" * 600])
async def test_a_bot_cannot_write_a_health_that_the_operator_cannot_read(
    thief: psycopg.Connection[Any], health: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        thief.execute("update botfleet.leases set health = %s::jsonb", (health,))


async def test_a_stamp_of_the_future_hides_no_other_bot(
    operator: Store, bot: Bot, thief: psycopg.Connection[Any]
) -> None:
    nested = "[" * 500 + "]" * 500
    thief.execute("update botfleet.leases set health = %s::jsonb, health_changed_at = '2999-01-01'", (nested,))
    rows = await HealthFeed(operator).all()
    (stolen,) = [row for row in rows if row.bot_id == bot.id]
    assert stolen.health is None
    assert stolen.changed_at is not None
    assert stolen.changed_at <= datetime.now(UTC) + timedelta(minutes=1)


async def test_a_bot_cannot_take_anothers_lease(
    installation: Installation, store: Store, bot: Bot, victim: Bot, operator: Store
) -> None:
    foreign = LeaseRepository(store, victim.id)
    assert await foreign.current() is None
    assert await foreign.acquire("thief", 60) is None
    before = rows_of(installation, "leases", victim)
    await take_over(store, bot.id)
    assert rows_of(installation, "leases", victim) == before
