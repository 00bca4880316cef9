"""Promises of the pace: the owner's bound holds, and bots that share a key end with equal shares, whoever came first."""

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field

import pytest

from botrunner.model.pace import BURST_SECONDS, LEAST, MINUTE, Allowance, Pace, allowance_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("bound", [1, 6, 60, 600])
def test_the_owners_bound_holds_in_every_minute_but_for_what_was_saved_up_in_a_pause(bound: int):
    clock = Clock()
    pace = Pace(bound, clock)
    clock.now += 3600
    starts = [clock.now + pace.book() for _ in range(3 * bound)]
    first_minute = sum(start < clock.now + MINUTE for start in starts)
    assert first_minute <= bound + max(1, bound * BURST_SECONDS / MINUTE) + 1
    apart = [later - earlier for earlier, later in itertools.pairwise(starts) if earlier > clock.now + 0.001]
    assert apart == pytest.approx([MINUTE / bound] * len(apart))


def test_without_a_bound_and_without_a_shortage_nobody_waits():
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(1000):
        assert pace.book() == 0
        pace.heard(Allowance(limit=500, remaining=400))
    assert math.isinf(pace.rate)


def test_places_are_given_in_the_order_of_asking():
    clock = Clock()
    pace = Pace(30, clock)
    waits = [pace.book() for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]


def test_one_shortage_halves_the_rate_once_however_often_it_is_heard_of():
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(100):
        pace.book()
    for _ in range(5):
        pace.refused()
    assert pace.rate == pytest.approx(50, rel=0.01)


def test_however_crowded_a_key_is_nobody_is_shut_out():
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(50):
        clock.now += MINUTE
        pace.refused()
    assert pace.rate == LEAST


def test_a_key_with_a_small_limit_is_asked_no_faster_than_it_allows():
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(3):
        pace.book()
    pace.heard(Allowance(limit=3, remaining=0))
    assert pace.rate == 1.5
    clock.now += 1
    pace.heard(Allowance(limit=3, remaining=1))
    assert pace.rate < 3


def test_when_the_shortage_is_over_the_rate_rises_until_it_is_free_again():
    clock = Clock()
    pace = Pace(None, clock)
    pace.book()
    pace.refused()
    for _ in range(1200):
        clock.now += 1
        pace.heard(Allowance(limit=100, remaining=90))
    assert math.isinf(pace.rate)


def test_the_owners_bound_holds_also_when_more_is_free():
    assert Pace(10, Clock()).rate == 10


@dataclass
class Key:
    """An endpoint's bucket for one key: refilled evenly, empty means refused."""

    limit: float
    left: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.limit

    def ask(self, now: float) -> Allowance | None:
        self.left = min(self.limit, self.left + (now - self.at) * self.limit / MINUTE)
        self.at = now
        if self.left < 1:
            return None
        self.left -= 1
        return Allowance(self.limit, self.left)


@pytest.mark.parametrize("bots", [2, 5, 20])
def test_bots_that_share_a_key_end_with_equal_shares_and_use_most_of_it(bots: int):
    """Each asks as much as it may, with answers in about half a second; all but one begin five minutes later than the first."""
    minutes, limit, chance = 40, 600.0, random.Random(bots)  # noqa: S311 -- a walk that can be walked again
    clock, key = Clock(), Key(limit)
    paces = [Pace(None, clock) for _ in range(bots)]
    answered, refused = [0] * bots, 0
    key.at = begun = clock.now
    late = begun + (minutes - 20) * MINUTE
    turns = [
        (begun + (0 if bot == 0 else 5 * MINUTE) + chance.random(), bot, False) for bot in range(bots) for _ in range(5)
    ]
    heapq.heapify(turns)
    while turns[0][0] < begun + minutes * MINUTE:
        clock.now, bot, may_ask = heapq.heappop(turns)
        if not may_ask and (wait := paces[bot].book()):
            heapq.heappush(turns, (clock.now + wait, bot, True))
            continue
        allowance = key.ask(clock.now)
        if allowance is None:
            paces[bot].refused()
            refused += clock.now > late
        else:
            paces[bot].heard(allowance)
            answered[bot] += clock.now > late
        heapq.heappush(turns, (clock.now + 0.3 + 0.4 * chance.random(), bot, False))
    fairness = sum(answered) ** 2 / (bots * sum(count**2 for count in answered))  # Jain's index
    assert fairness > 0.95, answered
    assert sum(answered) > 0.7 * 20 * limit
    assert refused < 0.02 * sum(answered)


@pytest.mark.parametrize(
    ("headers", "allowance"),
    [
        ({}, None),
        ({"limit": "60", "remaining": "59"}, Allowance(60, 59)),
        ({"limit": "60", "remaining": "0"}, Allowance(60, 0)),
        ({"limit": "sixty", "remaining": "7"}, None),
        ({"limit": "0", "remaining": "0"}, None),
        ({"limit": "inf", "remaining": "1"}, None),
        ({"limit": "60", "remaining": "nan"}, None),
        ({"limit": "60", "remaining": "-1"}, None),
        ({"limit": "60"}, None),
    ],
)
def test_headers_that_make_no_sense_count_as_none(headers: dict[str, str], allowance: Allowance | None):
    assert allowance_of({f"x-ratelimit-{name}-requests": value for name, value in headers.items()}) == allowance
