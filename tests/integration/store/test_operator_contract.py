"""What the operator keeps, on PostgreSQL, with the operator's own role."""

import secrets

import pytest

from botfleet.store.engine import Store
from tests.contracts.store.operator_contract import *  # noqa: F403
from tests.support.installation import Installation


@pytest.fixture
def admin(operator: Store, installation: Installation) -> Store:
    # Each test has the installation as the first migration left it.
    with installation.superuser() as connection:
        connection.execute("update botfleet.installation set key_fingerprint = null, cluster_uid = null")
    return operator


@pytest.fixture
def namespace() -> str:
    return f"town-{secrets.token_hex(4)}"
