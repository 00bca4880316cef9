"""What a runner tells of itself: to the operator, to the probes, and as numbers."""

from dataclasses import replace
from typing import Any

import pytest

from botfleet.conditions import Reason
from botfleet.health import Health
from botrunner.health import Vitals
from botrunner.metrics import Metrics
from botrunner.reporter import Reporter
from botrunner.telegram.connection import Status

UP = Status(connected=True, authorized=True, reason=None)


class Keeper:
    """Notes what is to be written, as the keeper of the lease does: what differs."""

    def __init__(self) -> None:
        self.told: list[Health] = []

    def report(self, health: Health) -> None:
        if not self.told or self.told[-1] != health:
            self.told.append(health)


class Rig:
    def __init__(self) -> None:
        self.keeper, self.vitals, self.metrics = Keeper(), Vitals(), Metrics()
        keeper: Any = self.keeper
        self.reporter = Reporter(keeper, "digest", self.vitals, self.metrics)

    def number(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"botfleet_runner_{name}")


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_deafness_is_told_with_its_reason_and_the_pod_stays_ready(rig: Rig) -> None:
    rig.reporter.status(replace(UP, receiving=True))
    assert (rig.keeper.told[-1].receiving, rig.number("receiving")) == (True, 1)
    rig.reporter.status(replace(UP, receiving=False, reason=Reason.DEAF))
    health = rig.keeper.told[-1]
    assert (health.ready, health.receiving, health.reason) == (True, False, Reason.DEAF)
    assert rig.vitals.ready, "Kubernetes has no better pod to send anybody to"
    assert (rig.number("connected"), rig.number("receiving")) == (1, 0)
    rig.reporter.status(UP)
    assert (rig.keeper.told[-1].receiving, rig.number("receiving")) == (None, 0)


def test_a_proof_that_comes_again_is_not_written_again(rig: Rig) -> None:
    for _ in range(3):
        rig.reporter.status(replace(UP, receiving=True))
    assert len(rig.keeper.told) == 1


def test_who_is_not_connected_receives_nothing(rig: Rig) -> None:
    rig.reporter.status(replace(UP, receiving=True))
    rig.reporter.status(replace(UP, connected=False, receiving=True, reason=Reason.DISCONNECTED))
    assert rig.number("receiving") == 0
    rig.reporter.refused(Reason.TOKEN_INVALID)
    assert rig.keeper.told[-1].receiving is None
