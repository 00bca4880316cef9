"""A store of its own for each test: SQLite in a temporary folder."""

from collections.abc import AsyncIterator

import pytest

from botfleet.store.engine import Store
from botfleet.store.identity import ensure_standalone_bot
from tests.contracts.store.fixtures import *  # noqa: F403
from tests.support.prepared import PreparedStore


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedStore:
    """Its files have one bot in them."""
    return PreparedStore(
        tmp_path_factory.mktemp("store"), lambda store: ensure_standalone_bot(store, "hotel", "concierge")
    )


@pytest.fixture
async def store(prepared: PreparedStore) -> AsyncIterator[Store]:
    """A fresh file with one bot in it."""
    yield await prepared.fresh()
    await prepared.close()


@pytest.fixture
async def bot_id(store: Store) -> str:
    return (await ensure_standalone_bot(store, "hotel", "concierge")).id
