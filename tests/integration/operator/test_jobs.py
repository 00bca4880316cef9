"""The two Jobs of an installation: migrations and generated Secrets. Both can be run again at any time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from structlog.testing import capture_logs

from botfleet.store.bots import BotRepository
from botfleet.store.engine import create_store
from botfleet.store.errors import SchemaIncompatible, StoreError, StoreUnavailable
from botfleet.store.lease import LeaseRepository
from botfleet.store.schema import REVISION
from botfleet_operator.installation import decode_key
from botfleet_operator.migrate import MigrateError, from_environment, migrate
from botfleet_operator.provision.database import Roles
from botfleet_tools.servers import ApiServer, Postgres
from tests.integration.operator.harness import Database
from tests.waiting import until_async


@pytest.fixture(scope="module", params=["15", "18"])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with Postgres(version=request.param) as made:
        yield made


@pytest.fixture
def fresh(server: Postgres, tmp_path: Path) -> Database:
    made = Database(server, tmp_path)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def migrated(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Database:
    made = Database(server, tmp_path_factory.mktemp("migrated"))
    made.prepare()
    made.migrate()
    return made


def environment(database: Database, **changes: str) -> dict[str, str]:
    return {
        "BOTFLEET_DATABASE_URL": database.url(database.operator),
        "BOTFLEET_DATABASE_PASSWORD_FILE": str(database.file(database.operator)),
        "BOTFLEET_OWNER_DATABASE_URL": database.url(database.owner),
        "BOTFLEET_OWNER_DATABASE_PASSWORD_FILE": str(database.file(database.owner)),
        "BOTFLEET_MIGRATIONS_DIR": str(Path(__file__).parents[3] / "migrations"),
        "BOTFLEET_MIGRATE_DEADLINE_SECONDS": "20",
        **changes,
    }


def run(module: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module],
        check=False,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_an_empty_database_is_brought_to_this_version_and_a_second_run_changes_nothing(fresh: Database) -> None:
    first = run("botfleet_operator.migrate", environment(fresh))
    assert first.returncode == 0, first.stderr
    installation = fresh.installation_id
    second = run("botfleet_operator.migrate", environment(fresh))
    assert second.returncode == 0, second.stderr
    assert fresh.installation_id == installation
    for password in fresh.passwords.values():
        assert password not in first.stderr + second.stderr
    group = f"bf_{installation}_runner"
    assert fresh.query("select rolcanlogin from pg_roles where rolname = %s", group) == [(False,)]


def test_a_later_compatible_database_is_a_success_and_a_later_incompatible_one_is_not(fresh: Database) -> None:
    assert fresh.migrate() == REVISION
    with psycopg.connect(fresh.superuser_dsn, autocommit=True) as connection:
        connection.execute("update botfleet.alembic_version set version_num = '9999'")
        assert fresh.migrate() == "9999"
        connection.execute("update botfleet.installation set compatible_from = '9998'")
    with pytest.raises(SchemaIncompatible, match="newer image"):
        fresh.migrate()


def test_a_database_that_does_not_answer_is_waited_for_and_then_named(fresh: Database) -> None:
    gone = environment(fresh, BOTFLEET_OWNER_DATABASE_URL="postgresql://x@127.0.0.1:9/x")
    gone["BOTFLEET_MIGRATE_DEADLINE_SECONDS"] = "0.5"
    with pytest.raises(StoreUnavailable):
        migrate(from_environment(gone))


def test_a_password_in_a_url_and_a_missing_variable_are_refused(fresh: Database) -> None:
    with_password = environment(fresh, BOTFLEET_DATABASE_URL="postgresql://x:planted@127.0.0.1/x")
    with pytest.raises(MigrateError, match="holds a password") as refused:
        migrate(from_environment(with_password))
    assert "planted" not in str(refused.value)
    incomplete = environment(fresh)
    del incomplete["BOTFLEET_OWNER_DATABASE_URL"]
    with pytest.raises(MigrateError, match="BOTFLEET_OWNER_DATABASE_URL"):
        from_environment(incomplete)


@pytest.mark.parametrize("earlier", ["0001", "0012"])
def test_a_new_revision_is_seen_only_together_with_the_rights_on_it(
    fresh: Database, monkeypatch: pytest.MonkeyPatch, earlier: str
) -> None:
    owner = sa.make_url(fresh.url(fresh.owner)).set(
        drivername="postgresql+psycopg", password=fresh.passwords[fresh.owner]
    )
    engine = sa.create_engine(owner, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(fresh.setup().folder))
        command.upgrade(config, earlier)

    def fail(*_: str) -> list[str]:
        return ["select 1 / 0"]

    with monkeypatch.context() as patched:
        patched.setattr("botfleet_operator.migrate.grants", fail)
        with pytest.raises(StoreError, match="DivisionByZero"):
            fresh.migrate()
    assert fresh.query("select version_num from botfleet.alembic_version") == [(earlier,)]
    assert fresh.migrate() == REVISION
    for right in ("select", "insert"):
        readable = "select has_table_privilege(%s, 'botfleet.tombstones', %s)"
        assert fresh.query(readable, fresh.operator, right) == [(True,)]


def test_a_second_run_needs_no_table_for_itself(fresh: Database) -> None:
    fresh.migrate()
    tables = [
        f'botfleet."{name}"' for (name,) in fresh.query("select tablename from pg_tables where schemaname = 'botfleet'")
    ]
    with capture_logs() as said, psycopg.connect(fresh.superuser_dsn) as dump:
        dump.execute(f"lock table {', '.join(tables)} in access share mode")
        assert fresh.migrate() == REVISION
    assert [entry["event"] for entry in said] == ["migrated"]


async def test_migrations_that_wait_for_a_table_keep_no_bot_from_its_lease_and_name_whom_they_wait_for(
    fresh: Database,
) -> None:
    fresh.migrate()
    store = create_store(fresh.url(fresh.operator), fresh.passwords[fresh.operator])
    bot = await BotRepository(store).create("hotel", "bot", "uid", fresh.installation_id)
    assert bot.role_name is not None
    await Roles(store, fresh.installation_id, lease_term_seconds=15).ensure(bot.role_name, "password", 1)
    await store.close()
    runners = create_store(fresh.url(bot.role_name), "password", statement_timeout=5)
    leases = LeaseRepository(runners, bot.id)
    lease = await leases.acquire("runner", 15)
    assert lease is not None
    with psycopg.connect(fresh.superuser_dsn) as earlier:
        earlier.execute("comment on policy own_rows on botfleet.bots is null")  # as earlier versions left it
    with capture_logs() as said, psycopg.connect(fresh.superuser_dsn, application_name="pg_dump") as dump:
        dump.execute("select from botfleet.bots")
        migrating = asyncio.create_task(asyncio.to_thread(fresh.migrate))

        async def renewed_until_it_has_tried_twice() -> bool:
            assert not migrating.done()
            assert await leases.renew(lease)
            return len(said) > 1

        await until_async(renewed_until_it_has_tried_twice)
        holder = f"pg_dump (role {fresh.postgres.user}, process {dump.info.backend_pid})"
        for entry in said:
            assert entry["event"] == "waiting_for_tables"
            assert f"in use by {holder}. The next try is in " in entry["reason"]
        dump.rollback()
        assert await migrating == REVISION
    await runners.close()
    assert fresh.query("select from pg_policy where obj_description(oid, 'pg_policy') is null") == []


@pytest.mark.parametrize(
    "change",
    [
        "alter policy own_rows on botfleet.inbox using (true)",
        "alter policy own_rows on botfleet.inbox with check (true)",
        "alter policy own_rows on botfleet.inbox to public",
        "drop policy own_rows on botfleet.inbox",
        "drop policy own_rows on botfleet.inbox; create policy own_rows on botfleet.inbox as restrictive using (true)",
        "alter policy owner_and_operator on botfleet.bots using (false)",
        "alter table botfleet.inbox disable row level security",
        "alter table botfleet.inbox no force row level security",
    ],
)
def test_what_somebody_changed_of_who_sees_which_rows_is_as_declared_again(migrated: Database, change: str) -> None:
    def state() -> list[tuple[object, ...]]:
        policies = migrated.query("select * from pg_policies order by tablename, policyname")
        tables = "select relname, relrowsecurity, relforcerowsecurity from pg_class order by relname"
        return [*policies, *migrated.query(tables)]

    before = state()
    with psycopg.connect(migrated.superuser_dsn, autocommit=True) as connection:
        connection.execute(change)
    assert state() != before
    migrated.migrate()
    assert state() == before


async def test_a_role_is_made_repaired_and_removed_with_its_sessions(fresh: Database) -> None:
    fresh.migrate()
    store = create_store(fresh.url(fresh.operator), fresh.passwords[fresh.operator])
    roles = Roles(store, fresh.installation_id, lease_term_seconds=15)
    role = f"bf_{fresh.installation_id}_0123456789abcdef"
    dsn = fresh.postgres.dsn_for(role, "first", fresh.name)
    await roles.ensure(role, "first", 1)
    await roles.ensure(role, "first", 1)
    assert await roles.present() == {role: 1}
    session = psycopg.connect(dsn, autocommit=True)
    assert session.execute("show search_path").fetchone() == ("botfleet",)
    assert session.execute("show statement_timeout").fetchone() == ("5s",)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("create role intruder")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(f"set role bf_{fresh.installation_id}_runner; create table botfleet.x (y int)")
    await roles.ensure(role, "second", 2)
    assert await roles.present() == {role: 2}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    with psycopg.connect(fresh.superuser_dsn, autocommit=True) as superuser:
        superuser.execute(f"alter role {role} nologin")  # how a removal begins
    assert await roles.present() == {role: 0}, "it is to be made anew"
    await roles.ensure(role, "second", 2)
    assert await roles.present() == {role: 2}
    await roles.remove(role)
    assert await roles.present() == {}
    with pytest.raises(psycopg.OperationalError):
        session.execute("select 1")
    await roles.remove(role)  # gone already
    with pytest.raises(StoreError):
        await roles.remove(fresh.owner)
    await store.close()


async def test_no_password_is_sent_in_clear_text(fresh: Database) -> None:
    fresh.migrate()
    with psycopg.connect(fresh.superuser_dsn, autocommit=True) as connection:
        connection.execute("alter system set log_statement = 'all'")
        connection.execute("select pg_reload_conf()")
    store = create_store(fresh.url(fresh.operator), fresh.passwords[fresh.operator])
    role = f"bf_{fresh.installation_id}_fedcba9876543210"
    await Roles(store, fresh.installation_id, lease_term_seconds=15).ensure(role, "planted-password", 1)
    await store.close()
    log = fresh.postgres.log.read_text()
    assert f'create role "{role}"' in log
    assert "planted-password" not in log


def test_generated_secrets_are_made_once_and_never_changed(api: ApiServer, tmp_path: Path) -> None:
    api.kubectl("create", "namespace", "generated")
    variables = {
        "KUBECONFIG": str(api.kubeconfig),
        "BOTFLEET_OWN_NAMESPACE": "generated",
        "BOTFLEET_BOOTSTRAP_INSTALLATION_KEY_SECRET": "r-installation-key",
        "BOTFLEET_BOOTSTRAP_POSTGRES_SECRET": "r-postgres",
        "BOTFLEET_BOOTSTRAP_REDIS_SECRET": "r-redis",
        "BOTFLEET_BOOTSTRAP_REDIS_USER": "botfleet_operator",
        "BOTFLEET_BOOTSTRAP_LABELS": '{"app.kubernetes.io/part-of": "botfleet"}',
    }

    def value(secret: str, key: str) -> str:
        path = "jsonpath={.data." + key.replace(".", r"\.") + "}"
        return base64.b64decode(api.kubectl("-n", "generated", "get", "secret", secret, "-o", path)).decode()

    first = run("botfleet_operator.bootstrap", variables)
    assert first.returncode == 0, first.stderr
    key = value("r-installation-key", "installation-key")
    assert len(decode_key(key)) == 32
    password = value("r-redis", "operator-password")
    assert f"#{hashlib.sha256(password.encode()).hexdigest()} " in value("r-redis", "users.acl")
    names = ("superuser-password", "owner-password", "operator-password")
    assert len({value("r-postgres", name) for name in names}) == 3
    second = run("botfleet_operator.bootstrap", variables)
    assert second.returncode == 0, second.stderr
    assert value("r-installation-key", "installation-key") == key
    for secret in (key, password):
        assert secret not in first.stderr + second.stderr
    api.kubectl("-n", "generated", "patch", "secret", "r-postgres", "--type=json",
                '-p=[{"op":"remove","path":"/data/owner-password"}]')  # fmt: skip
    third = run("botfleet_operator.bootstrap", variables)
    assert third.returncode == 1
    assert "r-postgres is there but has no owner-password" in third.stderr
