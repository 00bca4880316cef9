"""Promises against a stolen pod: with its own credentials, taken out of it, other bots' data can be neither read nor written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
import redis
from psycopg import sql

from botfleet.store.engine import SCHEMA
from botfleet.store.tables import metadata
from botfleet_tools.platform.forward import forwarded
from tests.e2e.conftest import Fleet

READ_OUT = """
import json, os, pathlib
own = pathlib.Path(os.environ["BOTFLEET_OWN_DIR"])
print(json.dumps({"environment": dict(os.environ), "files": {p.name: p.read_text() for p in own.iterdir() if p.is_file()}}))
"""


@dataclass
class Stolen:
    """What a thief has who read everything in one bot's pod, and the ways to the servers."""

    environment: dict[str, str]
    files: dict[str, str]
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
    return found


@pytest.fixture(scope="module")
def stolen(fleet: Fleet) -> Iterator[Stolen]:
    found = read_out(fleet, "hotel", "spa")
    release = fleet.release
    with (
        forwarded(fleet.cluster, release.namespace, f"statefulset/{release.name}-postgres", 5432) as postgres,
        forwarded(fleet.cluster, release.namespace, f"statefulset/{release.name}-redis", 6379) as bus,
    ):
        yield Stolen(found["environment"], found["files"], postgres[5432], bus[6379])


@pytest.fixture
def database(stolen: Stolen) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with stolen.database() as connection:
        yield connection


def rows(connection: psycopg.Connection[tuple[object, ...]], table: str) -> list[tuple[object, ...]]:
    key = "id" if table == "bots" else "bot_id"
    query = sql.SQL("select {} from {}").format(sql.Identifier(key), sql.Identifier(SCHEMA, table))
    return connection.execute(query).fetchall()


def own_id(connection: psycopg.Connection[tuple[object, ...]]) -> object:
    found = rows(connection, "bots")
    assert len(found) == 1, "a bot sees its own row and no other"
    return found[0][0]


def test_no_credential_of_a_pod_is_in_its_environment(stolen: Stolen) -> None:
    for name, value in stolen.files.items():
        if name.endswith(("password", "key")):
            assert not any(value in variable for variable in stolen.environment.values())


@pytest.mark.parametrize("table", sorted(set(metadata.tables) - {"installation", "bots"}))
def test_a_bot_sees_rows_of_its_own_only(database: psycopg.Connection[tuple[object, ...]], table: str) -> None:
    own = own_id(database)
    assert {row[0] for row in rows(database, table)} <= {own}


def test_other_bots_leases_can_be_neither_read_nor_written(
    database: psycopg.Connection[tuple[object, ...]],
) -> None:
    own = own_id(database)
    others = sql.SQL("update {} set holder = 'thief' where bot_id <> %s").format(sql.Identifier(SCHEMA, "leases"))
    assert database.execute(others, [own]).rowcount == 0


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
    for statement in [
        sql.SQL("create table {}.mine (x int)").format(sql.Identifier(SCHEMA)),
        sql.SQL("create temporary table mine (x int)"),
        sql.SQL("create schema mine"),
        sql.SQL("create role mine"),
        *(
            sql.SQL("set role {}").format(sql.Identifier(str(name)))
            for (name,) in other
            if str(name).endswith("_runner") is False
        ),
    ]:
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
        assert client.xlen(stolen.prefix + "events") > 0
