"""Why: one API server a version, with the CRD, for all tests of what it refuses."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from botfleet_tools.servers import ApiServer
from tests.integration.chart.conftest import chart
from tests.integration.operator.harness import eventually

ROOT = Path(__file__).parents[3]
SEEN_SECONDS = 120.0  # until what was applied has an effect; this runs aside

__all__ = ["chart"]


def wait_served(api: ApiServer, group: str, *plurals: str) -> None:
    """The group's kinds can be asked for. (`kubectl wait` fails where a CRD has no conditions yet.)"""
    for plural in plurals:
        asked = partial(api.kubectl, "get", f"{plural}.{group}", "--all-namespaces", "--output=json")
        eventually(asked, deadline=SEEN_SECONDS, what=plural)


@pytest.fixture(scope="package", params=["1.34", "1.36"])
def api(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """The oldest and the newest version that tests have."""
    if reason := ApiServer.unavailable(request.param):
        pytest.skip(reason)
    with ApiServer(version=request.param) as api:
        api.kubectl("apply", "-f", str(ROOT / "crds"))
        wait_served(api, "botfleet.dev", "telegrambots", "telegrambotdefaults")
        yield api
