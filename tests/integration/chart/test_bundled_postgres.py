"""Promises of the bundled PostgreSQL, kept by real servers that are started with the chart's settings and its first-start
script: two plain roles, nothing for PUBLIC, and a log without a row's values."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from botfleet_tools.servers import Postgres

if TYPE_CHECKING:
    from tests.integration.chart.conftest import Chart

PASSWORDS = {"owner": "owner-word-17", "operator": "operator-word-18"}
PLANTED = "planted-message-text"


def settings_of(chart: "Chart") -> dict[str, str]:
    """What follows each -c of the rendered arguments."""
    (server,) = [
        doc for doc in chart.render() if doc["kind"] == "StatefulSet" and doc["metadata"]["name"].endswith("postgres")
    ]
    arguments = server["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[0] == "postgres"
    return dict(argument.split("=", 1) for argument in arguments[1:] if argument != "-c")


def first_start_script(chart: "Chart", folder: Path) -> Path:
    (config,) = [doc for doc in chart.render() if doc["kind"] == "ConfigMap" and "roles.sh" in doc.get("data", {})]
    (folder / "bootstrap.sql").write_text(config["data"]["bootstrap.sql"])
    script = folder / "10-roles.sh"
    text = config["data"]["roles.sh"]
    for mount in ("/run/botfleet/postgres", "/etc/botfleet/postgres"):
        assert mount in text
        text = text.replace(mount, str(folder))
    script.write_text(text)
    return script


def run_script(script: Path, server: Postgres) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": "botfleet",
        "PGHOST": str(server.socket_dir),
        "PGPORT": str(server.port),
        "PGPASSWORD": server.password,
    }
    return subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module", params=["15", "18"])
def bundled(
    request: pytest.FixtureRequest, chart: "Chart", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Postgres]:
    """A server as the image would start it: initdb, an empty database, the chart's script."""
    folder = tmp_path_factory.mktemp("passwords")
    for role, password in PASSWORDS.items():
        (folder / f"{role}-password").write_text(password)
    with Postgres(request.param, settings={**settings_of(chart), "listen_addresses": "127.0.0.1"}) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create database botfleet")
        done = run_script(first_start_script(chart, folder), server)
        assert done.returncode == 0, done.stderr
        yield server


def connect(server: Postgres, role: str, database: str = "botfleet") -> "psycopg.Connection[Any]":
    return psycopg.connect(server.dsn_for(f"botfleet_{role}", PASSWORDS[role], database), autocommit=True)


def test_owner_and_operator_are_plain_roles_that_log_in(bundled: Postgres) -> None:
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolpassword like 'SCRAM-SHA-256$%'"
    with psycopg.connect(bundled.dsn) as connection:
        rows = connection.execute(
            f"select rolname, {rights} from pg_authid where rolname like 'botfleet%' order by 1"  # noqa: S608
        ).fetchall()
    assert rows == [
        ("botfleet_operator", False, True, False, False, False, True),
        ("botfleet_owner", False, False, False, False, False, True),
    ]
    for role in PASSWORDS:
        with connect(bundled, role) as connection:
            assert connection.execute("select current_user").fetchone() == (f"botfleet_{role}",)


def test_the_owner_can_make_a_schema_and_the_operator_a_role_that_may_connect(bundled: Postgres) -> None:
    with connect(bundled, "operator") as operator, connect(bundled, "owner") as owner:
        operator.execute("create role bf_test_runner nologin")
        owner.execute("create schema made")
        owner.execute("create table made.things (id integer primary key)")
        owner.execute("grant connect on database botfleet to bf_test_runner")
        operator.execute("create role bf_test_bot login password 'bot-word-19' in role bf_test_runner")
    with psycopg.connect(bundled.dsn_for("bf_test_bot", "bot-word-19", "botfleet")) as bot:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bot.execute("create schema mine")
        bot.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bot.execute("create temporary table mine (id integer)")
        bot.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bot.execute("create table public.mine (id integer)")


def test_a_role_without_a_grant_reaches_no_database(bundled: Postgres) -> None:
    with connect(bundled, "operator") as operator:
        operator.execute("create role bf_test_stranger login password 'stranger-word-20'")
    for database in ("botfleet", "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(bundled.dsn_for("bf_test_stranger", "stranger-word-20", database))


def test_the_log_holds_no_value_of_a_row_no_statement_and_no_password(bundled: Postgres) -> None:
    with connect(bundled, "owner") as owner:
        owner.execute("create schema said")
        owner.execute(
            "create table said.messages (id integer primary key, text text not null unique check (length(text) < 60))"
        )
        insert = "insert into said.messages values (%s, %s)"
        owner.execute(insert, (1, PLANTED))
        failing: list[tuple[str, tuple[Any, ...]]] = [
            (insert, (2, PLANTED)),
            (insert, (3, PLANTED * 9)),
            ("insert into said.messages select id, null from said.messages where text = %s", (PLANTED,)),
            (f"select 1 from said.nowhere where text = '{PLANTED}'", ()),  # noqa: S608
            (f"selec '{PLANTED}'", ()),
        ]
        for statement, parameters in failing:
            with pytest.raises(psycopg.errors.Error):
                owner.execute(statement, parameters)
        owner.execute("select pg_sleep(0.2), text from said.messages where text = %s", (PLANTED,))
        for setting in ("log_statement", "log_min_error_statement", "log_min_duration_statement"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(f"set {setting} = 0")
    bundled.restart()
    log = bundled.log.read_text()
    assert "duplicate key value violates unique constraint" in log, "errors themselves are logged"
    for secret in (PLANTED, *PASSWORDS.values(), "bot-word-19", "stranger-word-20"):
        assert secret not in log


def test_the_connections_are_enough_for_the_bots_that_the_values_name(chart: "Chart") -> None:
    assert settings_of(chart)["max_connections"] == str(3 * 100 + 50)


@pytest.mark.parametrize("missing", ["owner", "operator"])
def test_without_a_password_the_first_start_fails_and_names_the_file(
    chart: "Chart", tmp_path: Path, missing: str
) -> None:
    for role, password in PASSWORDS.items():
        (tmp_path / f"{role}-password").write_text("" if role == missing else password)
    done = subprocess.run(
        ["sh", str(first_start_script(chart, tmp_path))], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert f"{missing}-password" in done.stderr
