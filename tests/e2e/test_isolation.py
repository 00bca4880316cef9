"""Promises against a stolen pod: with its own credentials, taken out of it, other bots' data can be neither read nor written."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
import redis
from psycopg import sql

from botfleet.store.engine import SCHEMA
from botfleet.store.privileges import RUNNER, Grant
from botfleet.store.tables import metadata
from botfleet_tools.platform.forward import forwarded
from tests.e2e.conftest import Fleet
from tests.e2e.searching import search, secrets_of
from tests.e2e.servers import query

OWNED = sorted(name for name, table in metadata.tables.items() if "bot_id" in table.columns)
# A column of each table that a bot may change where it may change any.
CHANGEABLE = {
    table: next((c.name for c in metadata.tables[table].columns if not c.primary_key and c.name != "bot_id"), "bot_id")
    for table in OWNED
} | {"events": "relayed_at"}

READ_OUT = """
import json, os, pathlib
own = pathlib.Path(os.environ["BOTFLEET_OWN_DIR"])
mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
print(json.dumps({
    "environment": dict(os.environ),
    "files": {p.name: p.read_text() for p in own.iterdir() if p.is_file()},
    "mounts": {mount: "" for mount in mounts},
}))
"""


@dataclass
class Stolen:
    """What a thief has who read everything in one bot's pod, and the ways to the servers."""

    environment: dict[str, str]
    files: dict[str, str]
    mounts: dict[str, str]
    postgres_port: int
    redis_port: int

    @property
    def role(self) -> str:
        return self.environment["BOTFLEET_DATABASE_URL"].split("://")[1].split("@")[0]

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        name = self.environment["BOTFLEET_DATABASE_URL"].rsplit("/", 1)[1].split("?")[0]
        return psycopg.connect(
            host="127.0.0.1",
            port=self.postgres_port,
            dbname=name,
            user=self.role,
            password=self.files["database-password"],
            autocommit=True,
        )

    def redis(self) -> "redis.Redis":
        user = self.environment["BOTFLEET_REDIS_URL"].split("://")[1].split("@")[0]
        return redis.Redis(
            host="127.0.0.1", port=self.redis_port, username=user, password=self.files["redis-password"], protocol=2
        )

    @property
    def prefix(self) -> str:
        return self.environment["BOTFLEET_BUS_PREFIX"]


def read_out(fleet: Fleet, namespace: str, bot: str) -> dict[str, dict[str, str]]:
    text = fleet.kubectl("-n", namespace, "exec", f"deployment/{bot}", "--", "python3", "-c", READ_OUT)
    found: dict[str, dict[str, str]] = json.loads(text)
    fleet.planted |= {
        f"{namespace}/{bot} {name}": value.strip()
        for name, value in found["files"].items()
        if name.endswith(("password", "key", "token", "session", "hash"))
    }
    return found


@pytest.fixture(scope="module")
def stolen(fleet: Fleet) -> Iterator[Stolen]:
    found = read_out(fleet, "hotel", "spa")
    release = fleet.release
    with (
        forwarded(fleet.cluster, release.namespace, f"statefulset/{release.name}-postgres", 5432) as postgres,
        forwarded(fleet.cluster, release.namespace, f"statefulset/{release.name}-redis", 6379) as bus,
    ):
        yield Stolen(found["environment"], found["files"], found["mounts"], postgres[5432], bus[6379])


@pytest.fixture
def database(stolen: Stolen) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with stolen.database() as connection:
        yield connection


def key_of(table: str) -> str:
    return "id" if table == "bots" else "bot_id"


def rows(connection: psycopg.Connection[tuple[object, ...]], table: str) -> list[tuple[object, ...]]:
    statement = sql.SQL("select {} from {}").format(sql.Identifier(key_of(table)), sql.Identifier(SCHEMA, table))
    return connection.execute(statement).fetchall()


def own_id(connection: psycopg.Connection[tuple[object, ...]]) -> object:
    found = rows(connection, "bots")
    assert len(found) == 1, "a bot sees its own row and no other"
    return found[0][0]


def test_no_credential_of_a_pod_is_in_its_environment(fleet: Fleet, stolen: Stolen) -> None:
    own = {name: value for name, value in stolen.files.items() if name.endswith(("password", "key"))}
    assert own, "the bot's own credentials are files"
    secrets = secrets_of(fleet.kubectl, fleet.simulation) | own
    assert search({"environment": json.dumps(stolen.environment)}, secrets) == []


def test_a_pod_holds_no_kubernetes_credential(stolen: Stolen) -> None:
    assert any(mount.startswith(stolen.environment["BOTFLEET_OWN_DIR"]) for mount in stolen.mounts)
    assert not any("serviceaccount" in mount for mount in stolen.mounts)


def owners(fleet: Fleet, table: str) -> Counter[object]:
    """Whose rows there are, as the superuser sees it: bot's id to number of rows."""
    statement = sql.SQL("select {} from {}").format(sql.Identifier(key_of(table)), sql.Identifier(SCHEMA, table))
    return Counter(row[0] for row in query(fleet, statement))


def test_the_tables_hold_rows_of_other_bots_to_be_stolen(
    fleet: Fleet, database: psycopg.Connection[tuple[object, ...]]
) -> None:
    own = own_id(database)
    for table in (
        "bots",
        "bindings",
        "leases",
        "accounts",
        "update_states",
        "peers",
        "chats",
        "inbox",
        "outbox",
        "messages",
        "events",
    ):
        found = owners(fleet, table)
        assert set(found) - {own}, f"{table} holds nothing of others; the tests below would show nothing"
        assert own in found, f"{table} holds nothing of its own"


@pytest.mark.parametrize("table", OWNED)
def test_a_bot_sees_rows_of_its_own_only(
    fleet: Fleet, database: psycopg.Connection[tuple[object, ...]], table: str
) -> None:
    own = own_id(database)
    there = owners(fleet, table)[own]
    seen = rows(database, table)
    assert {row[0] for row in seen} == ({own} if there else set())


@pytest.mark.parametrize("verb", ["update", "delete"])
@pytest.mark.parametrize("table", OWNED)
def test_rows_of_other_bots_are_not_written(
    database: psycopg.Connection[tuple[object, ...]], table: str, verb: str
) -> None:
    own = own_id(database)
    name, column = sql.Identifier(SCHEMA, table), sql.Identifier(CHANGEABLE[table])
    statement = {
        "update": sql.SQL("update {} set {} = {} where bot_id <> %s").format(name, column, column),
        "delete": sql.SQL("delete from {} where bot_id <> %s").format(name),
    }[verb]
    try:
        assert database.execute(statement, [own]).rowcount == 0
    except psycopg.errors.InsufficientPrivilege:
        assert not allowed(RUNNER[table], verb), f"{verb} is granted on {table}: refused for another reason"


def allowed(grant: Grant, verb: str) -> bool:
    return bool(getattr(grant, verb))


def test_a_bot_can_write_its_own_lease_so_the_refusals_are_about_others(
    database: psycopg.Connection[tuple[object, ...]],
) -> None:
    statement = sql.SQL("update {} set holder = holder").format(sql.Identifier(SCHEMA, "leases"))
    assert database.execute(statement).rowcount == 1


def test_no_row_can_be_written_in_another_bots_name(database: psycopg.Connection[tuple[object, ...]]) -> None:
    statement = sql.SQL("insert into {} (bot_id, account_id, person_id, since) values ('other', 1, 1, now())")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute(statement.format(sql.Identifier(SCHEMA, "opt_outs")))


@pytest.mark.parametrize("table", ["bindings", "bots", "installation"])
@pytest.mark.parametrize("verb", ["update", "insert", "delete", "truncate"])
def test_what_the_operator_owns_is_not_written_at_all(
    database: psycopg.Connection[tuple[object, ...]], table: str, verb: str
) -> None:
    name = sql.Identifier(SCHEMA, table)
    column = sql.Identifier({"bindings": "proved", "bots": "namespace", "installation": "id"}[table])
    statement = {
        "update": sql.SQL("update {} set {} = {}").format(name, column, column),
        "insert": sql.SQL("insert into {} default values").format(name),
        "delete": sql.SQL("delete from {}").format(name),
        "truncate": sql.SQL("truncate {} cascade").format(name),
    }[verb]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute(statement)


def test_a_bots_role_can_make_nothing_and_become_nobody_else(database: psycopg.Connection[tuple[object, ...]]) -> None:
    other = database.execute(
        "select rolname from pg_roles where rolname ~ '^bf_.*' and rolname <> current_user"
    ).fetchall()
    statements: list[sql.SQL | sql.Composed] = [
        sql.SQL("create table {}.mine (x int)").format(sql.Identifier(SCHEMA)),
        sql.SQL("create temporary table mine (x int)"),
        sql.SQL("create schema mine"),
        sql.SQL("create role mine"),
        *(
            sql.SQL("set role {}").format(sql.Identifier(str(name)))
            for (name,) in other
            if str(name).endswith("_runner") is False
        ),
    ]
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute(statement)


@pytest.mark.parametrize(
    "command",
    [
        ("SCAN", "0"),
        ("KEYS", "*"),
        ("RANDOMKEY",),
        ("DBSIZE",),
        ("XADD", "{foreign}", "*", "a", "b"),
        ("XADD", "{foreign}", "MAXLEN", "0", "*", "a", "b"),
        ("XADD", "{foreign}", "MAXLEN", "~", "0", "*", "a", "b"),
        ("XRANGE", "{foreign}", "-", "+"),
        ("DEL", "{foreign}"),
        ("DEL", "{own}"),
        ("ACL", "LIST"),
        ("CONFIG", "GET", "*"),
        ("FLUSHALL",),
    ],
    ids=" ".join,
)
def test_redis_refuses_what_a_bot_does_not_need(fleet: Fleet, stolen: Stolen, command: tuple[str, ...]) -> None:
    foreign = read_out(fleet, "shop", "support")["environment"]["BOTFLEET_BUS_PREFIX"] + "events"
    own = stolen.prefix + "events"
    with stolen.redis() as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*(word.format(foreign=foreign, own=own) for word in command))


def test_a_bot_writes_to_its_own_stream(stolen: Stolen) -> None:
    with stolen.redis() as client:
        before = client.xlen(stolen.prefix + "probe")
        client.execute_command("XADD", stolen.prefix + "probe", "MAXLEN", "10", "*", "a", "b")
        assert client.xlen(stolen.prefix + "probe") == before + 1
        assert client.xlen(stolen.prefix + "events") > 0
