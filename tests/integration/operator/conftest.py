"""Servers are shared by the tests of a module; each test has its own namespace, database and operators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from botfleet_tools.servers import ApiServer, Postgres, Redis
from tests.integration.operator.harness import ROOT, Database, Installation


@pytest.fixture(scope="package")
def api() -> Iterator[ApiServer]:
    with ApiServer(audit=True) as server:
        server.kubectl("apply", "-f", str(ROOT / "crds/telegrambots.yaml"))
        server.kubectl("wait", "--for=condition=Established", "crd/telegrambots.botfleet.dev", "--timeout=20s")
        yield server


@pytest.fixture(scope="package", params=["15"])
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with Postgres(version=request.param) as server:
        yield server


@pytest.fixture(scope="package")
def redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> Database:
    made = Database(postgres, tmp_path)
    made.prepare()
    made.migrate()
    return made


@pytest.fixture
def installation(api: ApiServer, database: Database, redis: Redis, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(api, database, redis, tmp_path)
    made.prepare()
    try:
        yield made
    finally:
        made.close()
