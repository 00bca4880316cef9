"""The operator that these tests drive."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from botfleet.store.bots import BotRepository
from tests.support.prepared import PreparedStore
from tests.unit.operator.rig import Rig


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedStore:
    return PreparedStore(tmp_path_factory.mktemp("store"))


@pytest.fixture
async def rig(prepared: PreparedStore) -> AsyncIterator[Rig]:
    store = await prepared.fresh()
    yield Rig(store, (await BotRepository(store).installation()).id)
    await prepared.close()
