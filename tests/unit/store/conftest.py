"""A store of its own for each test: SQLite in a temporary folder."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.store.engine import Store, create_store
from botfleet.store.identity import ensure_standalone_bot
from botfleet.store.schema import create_all_sqlite
from tests.contracts.store.fixtures import *  # noqa: F403


def _unsynced(connection: Any, _record: Any) -> None:
    # These tests lose no power; that the product's stores do sync is a test of its own.
    connection.execute("pragma synchronous=off")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all tests: what it has compiled serves the next test too."""
    store = create_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'bot.db'}")
    sa.event.listen(store.engine.sync_engine, "connect", _unsynced)
    return store


@pytest.fixture
async def store(shared: Store) -> AsyncIterator[Store]:
    """A fresh file with one bot in it."""
    file = Path(str(shared.engine.url.database))
    fresh = file.with_name("fresh.db")
    if fresh.exists():
        # Files of their own: a connection that a cancelled task left is still being closed, and has its log's pages in hand.
        for part in ("", "-wal", "-shm"):
            file.with_name(file.name + part).unlink(missing_ok=True)
        shutil.copy(fresh, file)
    else:
        await create_all_sqlite(shared)
        await ensure_standalone_bot(shared, "hotel", "concierge")
        await shared.close()
        shutil.copy(file, fresh)
    yield shared
    await shared.close()


@pytest.fixture
async def bot_id(store: Store) -> str:
    return (await ensure_standalone_bot(store, "hotel", "concierge")).id
