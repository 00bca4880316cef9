"""The operator that these tests drive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from botfleet.store.bots import BotRepository
from botfleet.store.engine import create_store
from botfleet.store.schema import create_all_sqlite
from tests.unit.operator.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    store = create_store(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        await create_all_sqlite(store)
        yield Rig(store, (await BotRepository(store).installation()).id)
    finally:
        await store.close()
