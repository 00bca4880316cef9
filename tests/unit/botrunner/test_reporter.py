"""What a runner tells of itself: to the operator, to the probes, and as numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from botfleet.conditions import Reason
from botfleet.health import Health
from botfleet.store.usage import Spent
from botrunner.health import Vitals
from botrunner.metrics import Metrics
from botrunner.model.ladder import Rung
from botrunner.reporter import RUNGS, Reporter
from botrunner.telegram.connection import Status
from botrunner.telegram.standing import Standing

SECOND = timedelta(seconds=1)
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
        self.now = datetime(2026, 1, 2, 12, tzinfo=UTC)
        self.reporter = Reporter(keeper, "digest", self.vitals, self.metrics, now=lambda: self.now, clock=self._clock)

    def _clock(self) -> float:
        return self.now.timestamp()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds * SECOND

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


def test_a_model_that_goes_to_and_fro_is_told_twice_a_minute_at_most(rig: Rig) -> None:
    for second in range(300):
        rig.pass_time(1)
        rig.reporter.model(Reason.TIMEOUT if second % 2 else Reason.MODEL_ANSWERS)
    assert len(rig.keeper.told) <= 12


def test_trouble_that_was_held_back_is_told_without_another_word(rig: Rig) -> None:
    for verdict in (Reason.TIMEOUT, Reason.MODEL_ANSWERS, Reason.UNREACHABLE):
        rig.reporter.model(verdict)
    assert rig.keeper.told[-1].model is Reason.MODEL_ANSWERS
    rig.pass_time(60)
    rig.reporter.flush()
    assert rig.keeper.told[-1].model is Reason.UNREACHABLE


def test_a_flood_wait_is_told_with_its_time_and_its_end_without_another_word(rig: Rig) -> None:
    until = rig.now + timedelta(seconds=30)
    rig.reporter.waits(until)
    told = rig.keeper.told[-1]
    assert (told.restriction, told.restricted_until) == (Reason.FLOOD_WAIT, until)
    rig.pass_time(30)
    rig.reporter.flush()
    told = rig.keeper.told[-1]
    assert (told.restriction, told.restricted_until) == (None, None)


def test_figures_are_told_once_a_minute_together_and_nothing_while_they_stay(rig: Rig) -> None:
    rig.reporter.replied()
    first = rig.keeper.told[-1]
    assert first.last_reply_at == rig.now, "the first at once"
    for _ in range(59):
        rig.pass_time(1)
        rig.reporter.received()
        rig.reporter.waiting(7)
        rig.reporter.replied()
    assert rig.keeper.told[-1] == first
    rig.pass_time(1)
    rig.reporter.flush()
    told = rig.keeper.told[-1]
    assert (told.pending, told.last_message_at, told.last_reply_at) == (7, rig.now - SECOND, rig.now - SECOND)
    count = len(rig.keeper.told)
    for _ in range(600):
        rig.pass_time(1)
        rig.reporter.waiting(7)
        rig.reporter.flush()
    assert len(rig.keeper.told) == count


def test_a_step_of_the_budget_is_told_at_once_and_what_lies_between_is_a_figure(rig: Rig) -> None:
    day = rig.now.date()
    rig.reporter.spent(day, Spent(1, 0), Rung.NORMAL)
    rig.reporter.spent(day, Spent(2, 0), Rung.NORMAL)
    assert [told.spent.tokens for told in rig.keeper.told if told.spent] == [1]
    rig.reporter.spent(day, Spent(80, 0), Rung.WARN)
    told = rig.keeper.told[-1].spent
    assert told is not None
    assert (told.day, told.tokens, told.rung) == (day, 80, Reason.BUDGET_WARNING)
    assert set(RUNGS) == set(Rung)


def test_what_telegram_says_of_the_account_is_told_at_once(rig: Rig) -> None:
    rig.reporter.standing(Standing(privacy_mode=True, restricted=True))
    told = rig.keeper.told[-1]
    assert (told.privacy_mode, told.restriction) == (True, Reason.RESTRICTED)
    rig.reporter.standing(Standing(privacy_mode=False, restricted=False))
    told = rig.keeper.told[-1]
    assert (told.privacy_mode, told.restriction) == (False, None)


def test_the_first_reply_waits_for_no_minute(rig: Rig) -> None:
    rig.reporter.waiting(1)
    rig.reporter.flush()
    rig.pass_time(1)
    rig.reporter.replied()
    assert rig.keeper.told[-1].last_reply_at == rig.now
