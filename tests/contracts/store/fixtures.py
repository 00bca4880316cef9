"""Fixtures that both halves share; each half brings `store` and `bot_id`."""

import pytest

from botfleet.store.engine import Store
from botfleet.store.lease import Lease, LeaseRepository
from botfleet.store.messages import MessagePath
from tests.contracts.store.samples import ACCOUNT


@pytest.fixture
def leases(store: Store, bot_id: str) -> LeaseRepository:
    return LeaseRepository(store, bot_id)


@pytest.fixture
async def lease(leases: LeaseRepository) -> Lease:
    lease = await leases.acquire("holder", 60)
    assert lease is not None
    return lease


@pytest.fixture
def path(store: Store, lease: Lease) -> MessagePath:
    return MessagePath(store, lease, ACCOUNT)
