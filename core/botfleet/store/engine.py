"""Why: one way to a database, PostgreSQL or SQLite, with deadlines, bounds and typed errors.

It never shows a parameter or a row's value in an error, and never takes a password out of a URL.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import psycopg
import sqlalchemy as sa
from psycopg.types.numeric import Int8
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from botfleet.store.errors import StoreError, StoreUnavailable

SCHEMA = "botfleet"
DEFAULT_TIMEOUT = 10.0
_SQLITE_BUSY_SECONDS = 5.0
# Besides OperationalError: in-transaction time-outs, and a server that became a standby.
_PASSING_STATES = frozenset({"25P03", "25P04", "25006"})

DialectName = Literal["postgresql", "sqlite"]


class Store:
    """A database. Its methods raise `StoreUnavailable` for what may pass and `StoreError` for what will not."""

    idle_seconds = 30.0
    """How long after a rush more than one connection stays open."""

    def __init__(self, engine: AsyncEngine, dialect: DialectName, timeout: float, reserved: int = 0) -> None:
        self.engine = engine
        self._reserved = reserved
        self._make_slots()
        self.dialect = dialect
        self.timeout = timeout
        self._crowded_at = 0.0
        self._reading = engine.execution_options(botfleet_read=True)
        self._texts: dict[sa.Select[Any], tuple[str, dict[str, Any]]] = {}

    @property
    def is_postgresql(self) -> bool:
        """Whether PostgreSQL's own statements can be used."""
        return self.dialect == "postgresql"

    @asynccontextmanager
    async def begin(self, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A write transaction: committed at the end of the block, rolled back by an exception, bounded in time.

        Args:
            urgent: waits behind nothing that is not, where connections are reserved. For the lease alone.
        """
        with mapped_errors():
            async with asyncio.timeout(self.timeout), self._counted(urgent), self.engine.begin() as connection:
                if not self.is_postgresql:
                    yield connection
                    return
                # Connections are in autocommit mode, for the statements that stand alone: a transaction says so.
                await connection.exec_driver_sql("begin")
                yield connection
                await connection.exec_driver_sql("commit")

    @asynccontextmanager
    async def read(self, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """For statements that stand alone: on PostgreSQL each is its own transaction, which saves two round trips.

        Args:
            urgent: as for `begin`.
        """
        with mapped_errors():
            async with asyncio.timeout(self.timeout), self._counted(urgent), self._reading.connect() as connection:
                yield connection

    async def fetch(self, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """All rows of a statement that stands alone. It is a constant with `bindparam`s: compiled once, kept for good.

        A constant that an index's condition names is said with `literal_column`, or the plan cannot know it.
        """
        if not self.is_postgresql:
            async with self.read() as connection:
                return list((await connection.execute(statement, dict(parameters))).all())
        known = self._texts.get(statement)
        if known is None:
            known = self._texts[statement] = self._compiled(statement)
        text, constants = known
        return await self.run_prepared(text, constants | dict(parameters))

    async def run_prepared(self, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """PostgreSQL: one statement that is its own transaction, prepared, on psycopg itself. The hot path uses it."""
        # Integers always with one type: else each size of a number would be prepared anew.
        typed = {name: Int8(value) if type(value) is int else value for name, value in parameters.items()}
        with mapped_errors():
            async with asyncio.timeout(self.timeout), self._counted():
                pooled = await self.engine.raw_connection()
                try:
                    return await _run(pooled.driver_connection, statement, typed)
                except BaseException as error:
                    # What was cut short half-way, or is closed, must not go back into the pool.
                    if not isinstance(error, psycopg.Error) or getattr(pooled.driver_connection, "closed", True):
                        await greenlet_spawn(pooled.invalidate)
                    raise
                finally:
                    await greenlet_spawn(pooled.close)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        self._make_slots()

    @property
    def connections(self) -> int:
        """How many are open."""
        pool = _queue(self.engine)
        return pool.checkedin() + pool.checkedout()

    def _compiled(self, statement: sa.Select[Any]) -> tuple[str, dict[str, Any]]:
        compiled = statement.compile(
            dialect=self.engine.dialect,
            schema_translate_map={None: SCHEMA},
            render_schema_translate=True,
        )
        given = {name for name, bound in compiled.binds.items() if bound.required}
        return str(compiled), {name: value for name, value in compiled.params.items() if name not in given}

    def _make_slots(self) -> None:
        self._slots = asyncio.Semaphore(_queue(self.engine).size() - self._reserved)
        self._urgent_slots = asyncio.Semaphore(self._reserved) if self._reserved else self._slots

    @asynccontextmanager
    async def _counted(self, urgent: bool = False) -> AsyncIterator[None]:
        # First come, first served: of the pool's own waiters one may starve beside tasks that ask again at once.
        async with self._urgent_slots if urgent else self._slots:
            if _queue(self.engine).checkedout():
                self._crowded_at = time.monotonic()
            yield
            await self._close_idle()

    async def _close_idle(self) -> None:
        """A while after a rush all connections are closed; the next statement opens the one that is needed.

        SQLAlchemy's own overflow closes a connection with every statement of a rush, which costs more than the statement.
        """
        pool = _queue(self.engine)
        if pool.checkedin() < 2 or pool.checkedout() or time.monotonic() - self._crowded_at < self.idle_seconds:
            return
        # The engine has a fresh pool before the first await, so nobody takes what is being closed.
        self.engine.sync_engine.dispose(close=False)
        await greenlet_spawn(pool.dispose)


async def _run(driver: Any, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    if not isinstance(driver, psycopg.AsyncConnection):
        raise StoreError("prepared statements are PostgreSQL's")
    cursor = await driver.execute(statement, parameters, prepare=True)
    return await cursor.fetchall()


def _queue(engine: AsyncEngine) -> sa.QueuePool:
    pool = engine.pool
    if not isinstance(pool, sa.QueuePool):
        raise TypeError("a store's pool counts its connections")
    return pool


def create_store(
    url: str,
    password: str | None = None,
    *,
    pool: int = 3,
    reserved: int = 0,
    statement_timeout: float | None = None,
) -> Store:
    """A store for `postgresql://role@host:port/database` or `sqlite:///path`; connects at its first use.

    Args:
        url: holds no password (it would be seen in process lists and environments).
        password: from a mounted file.
        pool: connections at most; one is left a while after a rush.
        reserved: how many of them are for what is urgent alone.
        statement_timeout: seconds a statement, a lock and an idle transaction may last. A runner gives a third of
            its lease's term.

    Raises:
        ValueError: the URL holds a password, or names another kind of database; or all connections are reserved.
    """
    parsed = make_url(url)
    if parsed.password is not None:
        raise ValueError("the database URL holds a password; put it into a file of its own")
    if not 0 <= reserved < pool:
        raise ValueError("of a store's connections some must be for ordinary work")
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return _postgresql(parsed, password, pool, reserved, statement_timeout)
    if kind == "sqlite":
        return _sqlite(parsed, pool, reserved, statement_timeout)
    raise ValueError("the database URL must begin with postgresql:// or sqlite://")


def _postgresql(url: URL, password: str | None, pool: int, reserved: int, statement_timeout: float | None) -> Store:
    limit = statement_timeout or DEFAULT_TIMEOUT
    milliseconds = max(1, int(limit * 1000))
    options = (
        f"-c statement_timeout={milliseconds} -c lock_timeout={max(1, milliseconds * 4 // 5)} "
        f"-c idle_in_transaction_session_timeout={milliseconds} -c timezone=UTC"
    )
    engine = create_async_engine(
        url.set(drivername="postgresql+psycopg", password=password),
        pool_size=pool,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=limit,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        # A statement that stands alone leaves nothing to roll back, and `begin` and `read` end what they began themselves.
        pool_reset_on_return=None,
        execution_options={"schema_translate_map": {None: SCHEMA}},
        connect_args={
            "options": options,
            "connect_timeout": max(2, round(limit)),
            "application_name": "botfleet",
            "keepalives_idle": max(1, round(limit)),
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": milliseconds * 2,
        },
    )
    # The server's own time-outs come first; the client's is for a server that says nothing at all.
    return Store(engine, "postgresql", limit * 1.5, reserved)


def _sqlite(url: URL, pool: int, reserved: int, statement_timeout: float | None) -> Store:
    if not url.database or url.database == ":memory:":
        raise ValueError("a SQLite store is a file: sqlite:///path")
    limit = statement_timeout or DEFAULT_TIMEOUT
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        pool_size=pool,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=limit,
        hide_parameters=True,
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    sa.event.listen(engine.sync_engine, "invalidate", _roll_back_sqlite)
    return Store(engine, "sqlite", limit, reserved)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN (deferred, before the first write) is switched off; _begin_sqlite says it.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={int(_SQLITE_BUSY_SECONDS * 1000)}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _roll_back_sqlite(connection: Any, _record: Any, _error: BaseException | None) -> None:
    # Closing does not end a transaction whose cancelled statement still has a cursor: the file would stay locked.
    connection.rollback()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A deferred transaction that turns into a writer fails at once when another wrote meanwhile; IMMEDIATE waits.
    reading = connection.get_execution_options().get("botfleet_read", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the drivers' errors into the store's. Details of a server's message may hold a row's values: they are dropped."""
    try:
        yield
    except TimeoutError:
        raise StoreUnavailable("the database did not answer in time") from None
    except sa.exc.TimeoutError:
        raise StoreUnavailable("no database connection became free in time") from None
    except sa.exc.DBAPIError as error:
        raise _from_driver(error.orig or error, error.connection_invalidated) from None
    except psycopg.Error as error:
        raise _from_driver(error, False) from None


def is_unique_violation(error: StoreError) -> bool:
    """Whether two writers wanted the same key: the loser reads again and tries again."""
    return isinstance(error, _RefusedError) and error.unique


class _RefusedError(StoreError):
    def __init__(self, text: str, unique: bool) -> None:
        super().__init__(text)
        self.unique = unique


def _from_driver(error: BaseException, invalidated: bool) -> StoreError:
    name = type(error).__name__
    if isinstance(error, psycopg.Error):
        state = error.sqlstate or ""
        text = f"{name} {state}: {error.diag.message_primary or 'no details'}"
        if (
            invalidated
            or state in _PASSING_STATES
            or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        ):
            return StoreUnavailable(text)
        return _RefusedError(text, isinstance(error, psycopg.errors.UniqueViolation))
    # sqlite3's messages name tables and columns, never values. "database is locked" and a full disk may pass.
    if invalidated or name in ("OperationalError", "InterfaceError"):
        return StoreUnavailable(f"{name}: {error}")
    return _RefusedError(f"{name}: {error}", "UNIQUE constraint" in str(error))
