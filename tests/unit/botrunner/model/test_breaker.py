"""Promises of the breaker: who is down is left alone for longer and longer, one call tries, and a success forgives everything."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from botrunner.model.breaker import FAILURES, FIRST_SECONDS, LONGEST_SECONDS, Breaker, Entry


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter())


def test_it_opens_at_the_third_failure_in_a_row_and_not_before(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    assert breaker.enter() is Entry.YES
    breaker.succeeded()
    fail(breaker, FAILURES - 1)
    assert breaker.enter() is Entry.YES
    breaker.failed(Entry.YES)
    assert breaker.enter() is Entry.NO
    assert breaker.wait_seconds == FIRST_SECONDS


def test_after_the_back_off_one_call_tries_and_the_others_wait_for_what_comes_of_it(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, FAILURES)
    clock.now += FIRST_SECONDS
    assert breaker.enter() is Entry.TRIAL
    assert breaker.enter() is Entry.NO
    breaker.succeeded()
    assert [breaker.enter(), breaker.enter()] == [Entry.YES, Entry.YES]
    assert not breaker.is_open


def test_each_failed_trial_doubles_the_back_off_up_to_five_minutes(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    waits = []
    for _ in range(7):
        waits.append(breaker.wait_seconds)
        clock.now += breaker.wait_seconds
        fail(breaker)
    assert waits == [15, 30, 60, 120, 240, 300, 300]
    clock.now += 300
    breaker.enter()
    breaker.succeeded()
    fail(breaker, FAILURES)
    assert breaker.wait_seconds == FIRST_SECONDS, "a success begins anew"


def test_the_time_that_an_endpoint_names_is_kept_from_the_first_failure_on(breaker: Breaker, clock: Clock) -> None:
    breaker.failed(breaker.enter(), retry_after=40)
    assert breaker.enter() is Entry.NO
    assert breaker.forbidden_seconds == 40
    clock.now += 40
    assert breaker.enter() is Entry.YES
    assert breaker.forbidden_seconds == 0


def test_a_back_off_is_no_prohibition(breaker: Breaker) -> None:
    fail(breaker, FAILURES)
    assert (breaker.wait_seconds, breaker.forbidden_seconds) == (FIRST_SECONDS, 0)


def test_a_trial_that_was_given_up_leaves_the_next_one_to_try(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += FIRST_SECONDS
    breaker.given_up(breaker.enter())
    assert breaker.enter() is Entry.TRIAL


def test_late_failures_of_calls_from_before_make_it_no_worse(breaker: Breaker, clock: Clock) -> None:
    entries = [breaker.enter() for _ in range(10)]
    for entry in entries:
        breaker.failed(entry)
    assert breaker.wait_seconds == FIRST_SECONDS
    clock.now += FIRST_SECONDS
    assert breaker.enter() is Entry.TRIAL


def test_a_trial_that_fails_after_another_calls_late_success_is_one_failure(breaker: Breaker, clock: Clock) -> None:
    late = breaker.enter()
    fail(breaker, FAILURES)
    clock.now += FIRST_SECONDS
    trial = breaker.enter()
    assert (late, trial) == (Entry.YES, Entry.TRIAL)
    breaker.succeeded()
    breaker.failed(trial)
    assert breaker.enter() is Entry.YES


class Calls(RuleBasedStateMachine):
    """Whatever comes in whatever order: calls that overlap, end late, are given up, with and without a time to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(self.clock)
        self.under_way: list[Entry] = []
        self.outdated: list[Entry] = []  # trials that another call's success has made ordinary
        self.failures = 0  # since the last success
        self.named = 0.0

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def enters(self) -> None:
        waits = self.breaker.wait_seconds
        entry = self.breaker.enter()
        if entry is Entry.NO:
            assert waits > 0 or Entry.TRIAL in self.under_way
        else:
            assert waits == 0
            assert self.clock.now >= self.named
            self.under_way.append(entry)

    @precondition(lambda self: self.under_way)
    @rule(at=st.integers(0, 100))
    def succeeds(self, at: int) -> None:
        ended = self.under_way.pop(at % len(self.under_way))
        self.breaker.succeeded()
        if ended is not Entry.TRIAL and Entry.TRIAL in self.under_way:
            self.under_way.remove(Entry.TRIAL)
            self.outdated.append(Entry.TRIAL)
        self.failures, self.named = 0, 0.0

    @precondition(lambda self: self.under_way)
    @rule(at=st.integers(0, 100), retry_after=st.none() | st.floats(0, 3600))
    def fails(self, at: int, retry_after: float | None) -> None:
        self.breaker.failed(self.under_way.pop(at % len(self.under_way)), retry_after)
        self.failures += 1
        if retry_after is not None:
            self.named = max(self.named, self.clock.now + retry_after)

    @precondition(lambda self: self.outdated and Entry.TRIAL not in self.under_way)
    @rule()
    def an_outdated_trial_fails(self) -> None:
        self.breaker.failed(self.outdated.pop())
        self.failures += 1

    @precondition(lambda self: self.under_way)
    @rule(at=st.integers(0, 100))
    def is_given_up(self, at: int) -> None:
        self.breaker.given_up(self.under_way.pop(at % len(self.under_way)))

    @invariant()
    def one_trial_at_most(self) -> None:
        assert self.under_way.count(Entry.TRIAL) <= 1

    @invariant()
    def it_opens_by_failures_alone(self) -> None:
        assert self.breaker.is_open <= (self.failures >= FAILURES)

    @invariant()
    def nobody_waits_longer_than_the_bound_or_the_named_time(self) -> None:
        assert self.breaker.wait_seconds <= max(LONGEST_SECONDS, self.named - self.clock.now)

    @invariant()
    def it_is_never_stuck(self) -> None:
        """With nothing under way, somebody may ask as soon as the wait is over."""
        if not self.under_way and self.breaker.wait_seconds == 0:
            entry = self.breaker.enter()
            assert entry is not Entry.NO
            self.breaker.given_up(entry)


class OtherCalls(Calls):
    """As many walks again: all of them in one test would come too near to what a unit test may take."""


TestCalls, TestOtherCalls = Calls.TestCase, OtherCalls.TestCase
TestCalls.settings = TestOtherCalls.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
