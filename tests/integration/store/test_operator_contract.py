"""What the operator keeps, on PostgreSQL, with the operator's own role."""

import secrets
from collections.abc import AsyncIterator

import pytest

from botfleet.store.engine import Store
from tests.contracts.store.erasure_contract import *  # noqa: F403
from tests.contracts.store.moving_contract import *  # noqa: F403
from tests.contracts.store.operator_contract import *  # noqa: F403
from tests.support.installation import OWNER, Installation


@pytest.fixture
def admin(operator: Store, installation: Installation) -> Store:
    # Each test has the installation as the first migration left it.
    with installation.superuser() as connection:
        connection.execute("update botfleet.installation set key_fingerprint = null, cluster_uid = null")
    return operator


@pytest.fixture
def namespace() -> str:
    return f"town-{secrets.token_hex(4)}"


@pytest.fixture
async def writer(installation: Installation) -> AsyncIterator[Store]:
    """Plays the runners: what they may write is tested elsewhere."""
    store = installation.store(OWNER)
    # Each test begins without accounts.
    with installation.superuser() as connection:
        connection.execute("delete from botfleet.bindings")
        connection.execute("delete from botfleet.update_states")
    yield store
    await store.close()
