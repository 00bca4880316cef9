"""What the operator keeps, on SQLite."""

import pytest

from botfleet.store.engine import Store
from tests.contracts.store.erasure_contract import *  # noqa: F403
from tests.contracts.store.moving_contract import *  # noqa: F403
from tests.contracts.store.operator_contract import *  # noqa: F403


@pytest.fixture
def admin(store: Store) -> Store:
    return store


@pytest.fixture
def namespace() -> str:
    return "town"


@pytest.fixture
def writer(store: Store) -> Store:
    return store
