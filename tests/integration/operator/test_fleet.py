"""Fifty bots, the whole cluster watched, every request audited: how much is written, and that nothing is when idle."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from botfleet_tools.servers import ApiServer, Postgres, Redis
from tests.integration.operator.harness import Database, Installation, bot_of, credentials, eventually, install_crds

pytestmark = pytest.mark.timeout(400)  # a quiet machine needs a tenth of it
BOTS = 50
WRITES_A_BOT = 8  # five children, a status, and what the answers of the API server may still bring
WRITING = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture
def fleet(postgres: Postgres, redis: Redis, tmp_path: Path) -> Iterator[Installation]:
    with ApiServer(audit=True) as api:
        install_crds(api)
        database = Database(postgres, tmp_path)
        database.prepare()
        database.migrate()
        made = Installation(api, database, redis, tmp_path)
        made.prepare()
        try:
            yield made
        finally:
            made.close()


def audited(fleet: Installation) -> list[dict[str, Any]]:
    """Requests of the operator that wrote, but for its Lease."""
    log = fleet.api.audit_log
    assert log is not None
    entries = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [
        e for e in entries
        if e["verb"] in WRITING and e.get("userAgent", "").startswith(("botfleet", "kopf"))
        and e["objectRef"]["resource"] != "leases"
    ]  # fmt: skip


def test_fifty_bots_are_made_with_few_writes_and_then_nothing_is_written(fleet: Installation) -> None:
    operator = fleet.operator(BOTFLEET_NAMESPACES="", BOTFLEET_SWEEP_SECONDS="60").wait_leading()
    place = fleet.place
    names = [f"bot-{number:02}" for number in range(BOTS)]
    documents = [d for n, name in enumerate(names) for d in credentials(name, 1000 + n)[2:]]
    place.apply(*credentials()[:2], *documents)
    began = time.monotonic()
    place.apply(*(bot_of(name) for name in names))

    def all_made() -> bool:
        items = json.loads(place.kubectl("get", "telegrambots", "-o", "json"))["items"]
        made = [
            c["status"] for i in items for c in i.get("status", {}).get("conditions", []) if c["type"] == "Provisioned"
        ]
        return made == ["True"] * BOTS

    eventually(all_made, deadline=200)
    seconds = time.monotonic() - began
    eventually(lambda: operator.metrics()["botfleet_operator_queue_depth"] == 0)
    writes = audited(fleet)
    memory = operator.metrics()["process_resident_memory_bytes"] / 2**20
    print(f"{BOTS} bots: made after {seconds:.1f} s, {len(writes) / BOTS:.2f} writes a bot, {memory:.0f} MiB")
    assert len(writes) <= WRITES_A_BOT * BOTS, Counter(f"{e['verb']} {e['objectRef']['resource']}" for e in writes)
    assert all(e["responseStatus"]["code"] < 300 for e in writes)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        assert len(audited(fleet)) == len(writes)
        time.sleep(1)
    place.kubectl("delete", "telegrambots", "--all", "--wait=false")
    eventually(lambda: fleet.database.roles() == set() and fleet.redis_users() == set(), deadline=60)
