"""
Why: brings the database to this version's schema and applies the declared privileges; the chart's Job runs it.
Never: go back a revision, act as a superuser, or print a password or a row.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config

from botfleet.store.bots import runner_group
from botfleet.store.engine import SCHEMA, mapped_errors
from botfleet.store.errors import SchemaIncompatible, StoreError, StoreUnavailable
from botfleet.store.privileges import OWNED, grants, group_statement, other_administrators, policed, policies
from botfleet.store.schema import REVISION, usable
from botfleet_operator import logs
from botfleet_operator.queue import Backoff

log = structlog.get_logger("botfleet.migrate")

DEFAULT_FOLDER = "/opt/botfleet/share/migrations"
_PAUSE_SECONDS = 1.0
_CONNECT_SECONDS = 5
_STATEMENT_MS = 600_000  # a backfill of a large table takes its time
# Whoever comes waits behind us while we wait for a table. Runners do so for 4/15 of their lease's term (engine.py,
# opening.py), and the shortest term that an operator may be given is 1 s.
_LOCK_MS = 200
_HELD_UP = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_AGAIN = Backoff(first=1.0, most=10.0)
_SHOWN = 3


class MigrateError(Exception):
    """The Job cannot succeed as it is set up; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the environment says."""

    owner_url: str
    owner_password: str = field(repr=False)
    operator_url: str
    operator_password: str = field(repr=False)
    folder: Path
    deadline_seconds: float


def from_environment(environment: Mapping[str, str]) -> Setup:
    """Raises MigrateError naming the variable or file that is missing."""

    def text(name: str) -> str:
        if not environment.get(name):
            raise MigrateError(f"Set {name}.")
        return environment[name]

    def secret(name: str) -> str:
        try:
            return Path(text(name)).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise MigrateError(f"The file named by {name} cannot be read ({type(error).__name__}).") from error

    return Setup(
        owner_url=text("BOTFLEET_OWNER_DATABASE_URL"),
        owner_password=secret("BOTFLEET_OWNER_DATABASE_PASSWORD_FILE"),
        operator_url=text("BOTFLEET_DATABASE_URL"),
        operator_password=secret("BOTFLEET_DATABASE_PASSWORD_FILE"),
        folder=Path(environment.get("BOTFLEET_MIGRATIONS_DIR") or DEFAULT_FOLDER),
        deadline_seconds=float(environment.get("BOTFLEET_MIGRATE_DEADLINE_SECONDS") or 300),
    )


def migrate(setup: Setup) -> str:
    """Brings the database to the newest revision that this image knows; returns the revision that it has then.

    Raises:
        SchemaIncompatible: the database is later, and not compatible with this version.
        StoreUnavailable: until the deadline it did not answer, or others held tables that have to be changed.
    """
    if not (setup.folder / "env.py").is_file():
        raise MigrateError(f"There are no migrations in {setup.folder}. Set BOTFLEET_MIGRATIONS_DIR.")
    owner = _engine(setup.owner_url, setup.owner_password)
    operator = _engine(setup.operator_url, setup.operator_password)
    deadline = time.monotonic() + setup.deadline_seconds
    try:
        _wait(owner, deadline)
        with mapped_errors():
            return _until_free(owner, operator, setup.folder, deadline)
    finally:
        owner.dispose()
        operator.dispose()


def _until_free(owner: sa.Engine, operator: sa.Engine, folder: Path, deadline: float) -> str:
    """Tries again and again while others use what has to be changed. A try keeps nobody waiting for long, and what it
    committed stays done."""
    failures = 0
    while True:
        before = _sessions(owner)
        try:
            return _migrate(owner, operator, folder)
        except sa.exc.DBAPIError as error:
            if not isinstance(error.orig, _HELD_UP):
                raise
        # Who was at it before the try and is still in the same transaction has held it up.
        holders = _named(before & _sessions(owner))
        failures += 1
        pause = _AGAIN.delay(failures)
        if time.monotonic() + pause > deadline:
            raise StoreUnavailable(f"A table that has to be changed is in use by {holders}.")
        log.info(
            "waiting_for_tables",
            reason=f"A table that has to be changed is in use by {holders}. The next try is in {pause:.1f} s; bots go on.",
        )
        time.sleep(pause)


def _sessions(owner: sa.Engine) -> set[tuple[int, str, str, str]]:
    """Whoever has a lock on one of the tables: process, transaction, role, program."""
    query = (
        "select held.pid, held.virtualtransaction, coalesce(usename, ''), coalesce(application_name, '') "
        "from pg_catalog.pg_locks held join pg_catalog.pg_class locked on locked.oid = held.relation "
        "join pg_catalog.pg_stat_activity activity on activity.pid = held.pid and activity.datid = held.database "
        "where held.granted and held.pid <> pg_catalog.pg_backend_pid() "
        "and locked.relnamespace = pg_catalog.to_regnamespace(:schema) and activity.datname = current_database()"
    )
    with owner.connect() as connection:
        rows = connection.execute(sa.text(query), {"schema": SCHEMA}).all()
    return {(pid, transaction, str(role), program) for pid, transaction, role, program in rows}


def _named(sessions: set[tuple[int, str, str, str]]) -> str:
    named = [
        f"{program or 'a program'} (role {role}, process {pid})" if role else f"the server's own process {pid}"
        for pid, _, role, program in sorted(sessions)
    ]
    more = [f"{len(named) - _SHOWN} more"] if len(named) > _SHOWN else []
    return ", ".join(named[:_SHOWN] + more) or "others"


def _migrate(owner: sa.Engine, operator: sa.Engine, folder: Path) -> str:
    with owner.begin() as connection:
        found = stored(connection)
    if found is not None:
        verdict = usable(*found)
        if verdict is False:
            raise SchemaIncompatible(
                f"The database is at revision {found[0]}, which programs before {found[1]} cannot use; this one is of "
                f"{REVISION}. Use a newer image, or restore a backup."
            )
        if verdict and found[0] > REVISION:
            log.info("database_is_later_and_compatible", revision=found[0], ours=REVISION)
            return found[0]
    else:
        # It says what the group is called. Nobody else may read it yet.
        with owner.begin() as connection:
            _upgrade(connection, folder)
    with owner.begin() as connection:
        installation = connection.execute(sa.text(f"select id from {SCHEMA}.installation")).scalar_one()  # noqa: S608
    group = runner_group(installation)
    with operator.begin() as connection:
        _run(connection, [group_statement(group)])
    _refuse_a_group_of_others(operator, group)
    roles = (_user(owner), _user(operator), group)
    # At once: whoever waits for a revision may use its tables as soon as it is seen.
    with owner.begin() as connection:
        older = set(connection.execute(sa.text(policed())).scalars())
        after = _upgrade(connection, folder)
        new = [text for name in OWNED if name not in older for text in policies(name, *roles)]
        _run(connection, grants(_user(operator), group) + new)
    # A table at a time: a bot's transaction that waits for one table may have another, for which we would wait then.
    with owner.connect() as connection:
        for name in OWNED:
            if name in older:
                with connection.begin():
                    _run(connection, policies(name, *roles))
    log.info("migrated", revision=after, before=found[0] if found else None, installation=installation)
    return after


def _upgrade(connection: sa.Connection, folder: Path) -> str:
    """All revisions that are missing, in the caller's transaction."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    after = stored(connection)
    if after is None:
        raise StoreError("the migrations left no revision")
    return after[0]


def _refuse_a_group_of_others(operator: sa.Engine, group: str) -> None:
    """On a server that several share, whoever made the group before us could put roles of theirs into it."""
    query = other_administrators("(select oid from pg_catalog.pg_roles where rolname = :group)")
    with operator.connect() as connection:
        others = sorted(set(connection.execute(sa.text(query), {"group": group}).scalars()))
    if others:
        raise MigrateError(
            f"The role {group} is to hold the rights of this installation's bots, and {', '.join(others)} may put others "
            "into it. It gets no rights now. Drop the role if this installation did not make it, or else revoke their "
            "ADMIN OPTION, as a superuser; the next try goes on."
        )


def _run(connection: sa.Connection, texts: list[str]) -> None:
    """Without parameters: a per cent sign in them means itself."""
    for text in texts:
        connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def stored(connection: sa.Connection) -> tuple[str, str] | None:
    """The database's revision and the oldest one it is compatible with; None: it is empty."""
    if connection.execute(sa.text(f"select to_regclass('{SCHEMA}.alembic_version')")).scalar_one() is None:
        return None
    row = connection.execute(
        sa.text(f"select version_num, compatible_from from {SCHEMA}.alembic_version, {SCHEMA}.installation")  # noqa: S608
    ).first()
    return None if row is None else (str(row[0]), str(row[1]))


def _engine(url: str, password: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.password is not None:
        raise MigrateError("A database URL holds a password; put it into the file that ..._PASSWORD_FILE names.")
    if parsed.get_backend_name() not in ("postgresql", "postgres") or not parsed.username:
        raise MigrateError("A database URL looks like postgresql://ROLE@HOST:PORT/DATABASE.")
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg", password=password),
        poolclass=sa.pool.NullPool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "options": f"-c statement_timeout={_STATEMENT_MS} -c lock_timeout={_LOCK_MS}",
            "application_name": "botfleet-migrate",
        },
    )


def _user(engine: sa.Engine) -> str:
    return str(engine.url.username)


def _wait(engine: sa.Engine, deadline: float) -> None:
    said = False
    while True:
        try:
            with mapped_errors(), engine.connect():
                return
        except StoreUnavailable as error:
            if time.monotonic() > deadline:
                raise
            if not said:
                log.info("waiting_for_database", error=str(error))
            said = True
        time.sleep(_PAUSE_SECONDS)


def main() -> None:
    """What the console script `botfleet-migrate` runs."""
    logs.configure(os.environ.get("BOTFLEET_LOG_FORMAT", "json"), os.environ.get("BOTFLEET_LOG_LEVEL", "info"))
    try:
        migrate(from_environment(os.environ))
    except (MigrateError, StoreError) as error:
        log.error("migration_failed", error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
