"""
Why: every bot has a login role of its own, which can do what the group of runners may, on its own rows only.
Never: send a password (only its SCRAM verifier), or trust that a role which exists still has the current one.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from botfleet.store.engine import SCHEMA, Store, mapped_errors
from botfleet.store.errors import StoreError
from botfleet.store.privileges import other_administrators

_CONNECTIONS = 6  # three of a runner, and those of its predecessor during a restart
_END_SESSIONS_MS = 2000
_PG16 = 160000


class RoleStaysError(StoreError):
    """Nobody logs in with the role any more, but something in another database of the server keeps it from being dropped."""


class Roles:
    """The database roles of one installation's bots."""

    def __init__(self, store: Store, installation_id: str, *, lease_term_seconds: float) -> None:
        self._store = store
        self._prefix = f"bf_{installation_id}_"
        self.group = f"{self._prefix}runner"
        self._limit_ms = max(1, int(lease_term_seconds * 1000 / 3))

    async def present(self) -> dict[str, int]:
        """All roles of bots, with the generation of the password that they were given.

        0: not known, or told by somebody else's role, or the role may not log in: its removal was begun and has not ended.
        """
        statement = (
            f"select rolname, rolcanlogin and not exists ({other_administrators('bot.oid')}), "  # noqa: S608 - a constant
            "shobj_description(oid, 'pg_authid') from pg_catalog.pg_roles bot "
            "where starts_with(rolname, %s) and rolname <> %s"
        )
        async with self._store.read() as connection:
            driver = await _driver(connection)
            with mapped_errors():
                rows = await (await driver.execute(statement, (self._prefix, self.group))).fetchall()
        return {str(name): _generation(comment) if usable else 0 for name, usable, comment in rows}

    async def run_id(self) -> str:
        """When the server was started: a restored or promoted one has another."""
        async with self._store.read() as connection:
            driver = await _driver(connection)
            with mapped_errors():
                row = await (await driver.execute("select pg_postmaster_start_time()::text")).fetchone()
        return str(row[0]) if row else ""

    async def ensure(self, role: str, password: str, generation: int) -> None:
        """Makes or repairs the role: its password, its limits, its membership. Repeating it changes nothing."""
        self._check(role)
        async with self._store.begin() as connection:
            driver = await _driver(connection)
            with mapped_errors():
                modern = driver.info.server_version >= _PG16
                verifier = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
                found = await (await driver.execute("select 1 from pg_roles where rolname = %s", (role,))).fetchone()
                statements = self._statements(role, verifier, generation, exists=bool(found), modern=modern)
                await driver.execute(sql.SQL("; ").join(statements))  # one round trip: a fleet has many roles

    async def remove(self, role: str) -> None:
        """No new session, an end to those that there are, then the role itself. Gone already: nothing happens.

        Raises:
            RoleStaysError: it is locked out and cannot be dropped.
        """
        self._check(role)
        name = sql.Identifier(role)
        async with self._store.begin() as connection:
            driver = await _driver(connection)
            with mapped_errors():
                found = await (await driver.execute("select 1 from pg_roles where rolname = %s", (role,))).fetchone()
                if found:
                    await driver.execute(sql.SQL("alter role {} nologin").format(name))
        if not found:
            return
        async with self._store.begin() as connection:
            driver = await _driver(connection)
            with mapped_errors():
                await driver.execute(
                    "select pg_terminate_backend(pid, %s) from pg_stat_activity where usename = %s",
                    (_END_SESSIONS_MS, role),
                )
                if driver.info.server_version >= _PG16:
                    await driver.execute(sql.SQL("drop owned by {}").format(name))
                try:
                    await driver.execute(sql.SQL("drop role if exists {}").format(name))
                except psycopg.errors.DependentObjectsStillExist:
                    # Any owner of a database may grant something there to any role of the server.
                    raise RoleStaysError("the role has rights in another database of the server") from None

    def _statements(
        self, role: str, verifier: str, generation: int, *, exists: bool, modern: bool
    ) -> list[sql.Composed]:
        name = sql.Identifier(role)
        attributes = sql.SQL(
            "login nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit "
            "connection limit {} password {}"
        ).format(sql.Literal(_CONNECTIONS), sql.Literal(verifier))
        if exists:
            # Of an existing role even "no…" may only be said by who has the attribute; it cannot have gained one meanwhile.
            attributes = sql.SQL("login inherit connection limit {} password {}").format(
                sql.Literal(_CONNECTIONS), sql.Literal(verifier)
            )
        verb = sql.SQL("alter role {} ") if exists else sql.SQL("create role {} ")
        member = sql.SQL("grant {} to {}" + (" with inherit true, set false" if modern else ""))
        statements: list[sql.Composed] = [
            verb.format(name) + attributes,
            member.format(sql.Identifier(self.group), name),
        ]
        if modern:
            # Ending a role's sessions needs its privileges; SET stays off, so that nobody acts in its name.
            statements.append(sql.SQL("grant {} to current_user with inherit true, set false").format(name))
        settings = {
            "search_path": SCHEMA,
            "statement_timeout": f"{self._limit_ms}ms",
            "idle_in_transaction_session_timeout": f"{self._limit_ms}ms",
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        }
        statements += [
            sql.SQL("alter role {} set {} to {}").format(name, sql.Identifier(key), sql.Literal(value))
            for key, value in settings.items()
        ]
        statements.append(sql.SQL("comment on role {} is {}").format(name, sql.Literal(_comment(generation))))
        return statements

    def _check(self, role: str) -> None:
        if not role.startswith(self._prefix) or role == self.group:
            raise StoreError("the role is none of this installation's bots'")


def _comment(generation: int) -> str:
    return f"botfleet: a bot, credentials generation {generation}"


def _generation(comment: str | None) -> int:
    head, _, number = (comment or "").rpartition(" ")
    return int(number) if head and number.isdigit() else 0


async def _driver(connection: object) -> psycopg.AsyncConnection[Any]:
    raw = await connection.get_raw_connection()  # type: ignore[attr-defined]
    driver = raw.driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise StoreError("roles are PostgreSQL's")
    return driver
