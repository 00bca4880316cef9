"""A SQLite store for many tests, each with a fresh file: the schema is made once and copied, and nothing is synced to the disk."""

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from botfleet.store.engine import Store, create_store
from botfleet.store.schema import create_all_sqlite
from tests.waiting import DEADLINE


def unsynced(connection: Any, _record: Any) -> None:
    """For a store's `connect` event."""
    # These tests lose no power; that the product's stores do sync is a test of its own.
    connection.execute("pragma synchronous=off")


class PreparedStore:
    """One store for all tests: what it has compiled serves the next test too."""

    def __init__(self, folder: Path, fill: Callable[[Store], Awaitable[object]] | None = None) -> None:
        """`fill` writes what each file holds besides the schema."""
        self._file, self._made = folder / "bot.db", folder / "made.db"
        self._fill = fill
        self.store = create_store(f"sqlite:///{self._file}")
        sa.event.listen(self.store.engine.sync_engine, "connect", unsynced)
        sa.event.listen(self.store.engine.sync_engine, "connect", self._remember)
        self._threads: list[threading.Thread] = []

    async def fresh(self) -> Store:
        """The store, which has no connection, over a file that no test has used."""
        if not self._made.exists():
            await create_all_sqlite(self.store)
            if self._fill is not None:
                await self._fill(self.store)
            await self.close()
            self._file.rename(self._made)
        # Files of their own: a connection that a cancelled task left is still being closed, and has its log's pages in hand.
        for part in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + part).unlink(missing_ok=True)
        shutil.copy(self._made, self._file)
        return self.store

    async def close(self) -> None:
        """No thread of a connection works on: one that was cut off amid a statement ends that, and then tells a loop that must be there."""
        await self.store.close()
        while self._threads:
            thread = self._threads.pop()
            if thread.is_alive():
                await asyncio.to_thread(thread.join, DEADLINE)

    def _remember(self, connection: Any, _record: Any) -> None:
        self._threads.append(connection.driver_connection._thread)
