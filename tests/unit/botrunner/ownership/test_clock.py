"""The right to act ends in time, and does not come back."""

import time

import pytest

from botrunner.ownership.clock import LeaseClock, now


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_may_act_for_two_thirds_of_the_term_after_the_acquisition_was_sent():
    moving = Time()
    clock = LeaseClock(15.0, sent_at=100.0, clock=moving)
    moving.now = 109.9
    assert clock.may_act()
    moving.now = 110.0
    assert not clock.may_act()


def test_a_renewal_counts_from_when_it_was_sent_not_from_its_answer():
    moving = Time()
    clock = LeaseClock(15.0, sent_at=100.0, clock=moving)
    moving.now = 108.0
    assert clock.renewed(sent_at=105.0)
    assert clock.remaining() == 7.0
    moving.now = 115.0
    assert not clock.may_act()


def test_a_renewal_whose_answer_comes_after_the_limit_gives_nothing_back():
    moving = Time()
    clock = LeaseClock(15.0, sent_at=100.0, clock=moving)
    moving.now = 110.5
    assert not clock.renewed(sent_at=109.0)
    assert not clock.may_act()
    assert clock.remaining() == 0.0


def test_an_older_renewal_that_answers_late_does_not_shorten_the_time():
    moving = Time()
    clock = LeaseClock(15.0, sent_at=100.0, clock=moving)
    clock.renewed(sent_at=104.0)
    clock.renewed(sent_at=102.0)
    assert clock.remaining() == 14.0


def test_the_age_counts_from_when_the_last_renewal_that_succeeded_was_sent():
    moving = Time()
    clock = LeaseClock(15.0, sent_at=100.0, clock=moving)
    moving.now = 106.0
    assert clock.age() == 6.0
    clock.renewed(sent_at=105.0)
    assert clock.age() == 1.0
    moving.now = 120.0
    assert not clock.renewed(sent_at=119.0)
    assert clock.age() == 15.0


def test_what_was_ended_stays_ended_even_if_the_clock_is_within_the_term():
    moving = Time()
    clock = LeaseClock(15.0, sent_at=100.0, clock=moving)
    clock.end()
    assert not clock.may_act()
    assert not clock.renewed(sent_at=100.0)


def test_what_remains_is_the_time_until_the_limit_on_a_clock_of_any_age():
    moving = Time()
    moving.now = 3.0
    assert LeaseClock(15.0, sent_at=0.0, clock=moving).remaining() == 7.0


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that goes on while it sleeps")
def test_the_clock_is_the_one_that_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch):
    read = list[int]()

    def reads(number: int) -> float:
        read.append(number)
        return 7.0

    monkeypatch.setattr(time, "clock_gettime", reads)
    assert now() == 7.0
    assert read == [time.CLOCK_BOOTTIME]


def test_the_clock_goes_forward():
    assert now() <= now()
