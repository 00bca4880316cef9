"""A store of its own for each test: SQLite in a temporary folder."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from botfleet.store.engine import Store, create_store
from botfleet.store.identity import ensure_standalone_bot
from botfleet.store.schema import create_all_sqlite
from tests.contracts.store.fixtures import *  # noqa: F403


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves a fresh store for the others."""
    return tmp_path_factory.mktemp("store") / "fresh.db"


@pytest.fixture
async def store(made: Path, tmp_path: Path) -> AsyncIterator[Store]:
    file = tmp_path / "bot.db"
    if not made.exists():  # noqa: ASYNC240 - a local file, asked once a test
        first = create_store(f"sqlite:///{file}")
        await create_all_sqlite(first)
        await ensure_standalone_bot(first, "hotel", "concierge")
        await first.close()
        with sqlite3.connect(file) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        shutil.copy(file, made)
    else:
        shutil.copy(made, file)
    store = create_store(f"sqlite:///{file}")
    # These tests lose no power; that the product's stores do sync is a test of its own.
    sa.event.listen(
        store.engine.sync_engine, "connect", lambda connection, _: connection.execute("pragma synchronous=off")
    )
    yield store
    await store.close()


@pytest.fixture
async def bot_id(store: Store) -> str:
    return (await ensure_standalone_bot(store, "hotel", "concierge")).id
