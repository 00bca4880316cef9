"""Whatever happens to bots, children, Secrets, operator and API server, in whatever order: in the end all is as wanted."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from botfleet_tools.servers import ApiServer, Redis
from tests.integration.operator.harness import Database, Installation
from tests.integration.operator.storms.storm import Options, Storm

OBJECTS, KILLS = 50, 2
SETTLE_SECONDS = 150.0  # nothing is promised about that: this runs aside
PLACES = 3
MOST_LINES = 20  # of what is wrong
SEED = "BOTFLEET_STORM_SEED"  # of a run that is to be repeated
pytestmark = pytest.mark.timeout(420)  # a quiet machine needs a tenth of it


@pytest.fixture
def scattered(api: ApiServer, database: Database, redis: Redis, tmp_path: Path) -> Iterator[Installation]:
    """An installation with several namespaces, without an operator yet."""
    made = Installation(api, database, redis, tmp_path)
    made.prepare(PLACES)
    try:
        yield made
    finally:
        made.close()


async def test_after_a_storm_everything_is_as_wanted_nothing_is_orphaned_and_nothing_is_written(
    scattered: Installation,
) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(2**31))  # noqa: S311 -- chooses a storm
    print(f"seed {seed}: {SEED}={seed} repeats it")
    outcome = await Storm(scattered, Options(OBJECTS, seed, KILLS, settle_seconds=SETTLE_SECONDS)).run()
    print(f"{outcome.events.total()} events in {outcome.storm_seconds:.1f} s, {outcome.writes} writes, "
          f"{outcome.met.total()} faults, {outcome.starts} starts, {outcome.erased} bots erased, "
          f"settled after {outcome.settled_seconds:.1f} s")  # fmt: skip
    for what, lines in outcome.wrong.items():
        print(f"{what}: {len(lines)}", *lines[:MOST_LINES], sep="\n  ")
    assert outcome.wrong == {}, outcome.log_tail
    assert outcome.starts > KILLS, "each kill was seen"
    assert outcome.met.total() > OBJECTS
    assert outcome.erased > 0, "some had what was to be erased"
