"""Servers are shared by all tests here, and so is one operator; each test has a namespace of its own. Tests that need an
operator, a database or an API server to themselves make their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from botfleet_tools.servers import ApiServer, Postgres, Redis
from tests.integration.operator.harness import Database, Installation, Place, install_crds

PLACES = 48  # for all tests that take one, should a single process run them


@pytest.fixture(scope="package")
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        install_crds(server)
        yield server


@pytest.fixture(scope="package")
def postgres() -> Iterator[Postgres]:
    with Postgres(version="15") as server:
        yield server


@pytest.fixture(scope="package")
def redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture(scope="package")
def shared(
    api: ApiServer, postgres: Postgres, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    database = Database(postgres, folder)
    database.prepare()
    database.migrate()
    made = Installation(api, database, redis, folder)
    made.prepare(PLACES)
    made.operator().wait_leading()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="package")
def free_places(shared: Installation) -> list[str]:
    return list(shared.namespaces)


@pytest.fixture
def place(shared: Installation, free_places: list[str]) -> Place:
    """A namespace of the shared installation that no other test uses."""
    return Place(shared, free_places.pop())


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> Database:
    made = Database(postgres, tmp_path)
    made.prepare()
    made.migrate()
    return made


@pytest.fixture
def installation(api: ApiServer, database: Database, redis: Redis, tmp_path: Path) -> Iterator[Installation]:
    """An installation without an operator yet."""
    made = Installation(api, database, redis, tmp_path)
    made.prepare()
    try:
        yield made
    finally:
        made.close()
