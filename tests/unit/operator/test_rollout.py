"""Which bots may take a new pod template now: the decision over the fleet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from botfleet_operator.model import BotKey
from botfleet_operator.rollout import Decision, Limits, Motion, Place, Standing, Wave, decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits("3", timedelta(seconds=30), timedelta(seconds=300))


def key(number: int) -> BotKey:
    return BotKey("hotel", f"bot-{number}")


def keys(*numbers: int) -> frozenset[BotKey]:
    return frozenset(key(number) for number in numbers)


def pending(*numbers: int, ready: bool = True) -> list[Standing]:
    return [Standing(key(number), Place.PENDING, ready) for number in numbers]


def under_way(*numbers: int, seconds: float = 10) -> list[Standing]:
    return [Standing(key(n), Place.IN_PROGRESS, False, NOW - timedelta(seconds=seconds)) for n in numbers]


def decided(standings: list[Standing], wave: Wave | None = None, finished: datetime | None = None) -> Decision:
    return decide(standings, fleet=20, limits=LIMITS, now=NOW, wave=wave, finished=finished)


def test_where_everybody_is_up_to_date_there_is_nothing_to_do() -> None:
    assert decided([]) == Decision(Motion.IDLE)


def test_the_first_wave_is_as_large_as_said_and_begins_at_once() -> None:
    decision = decided(pending(4, 2, 1, 3, 5))
    assert decision.motion is Motion.ROLLING
    assert decision.wave == Wave(keys(1, 2, 3), NOW)


@pytest.mark.parametrize(("size", "bots"), [("3", 3), ("10%", 2), ("1%", 1), ("33%", 7), ("100%", 20)])
def test_a_share_is_of_all_bots_and_never_none(size: str, bots: int) -> None:
    assert Limits(size).bots(20) == bots


def test_while_a_bot_of_the_wave_is_not_ready_nobody_else_goes() -> None:
    decision = decided([*under_way(1, seconds=10), *under_way(2, seconds=20), *pending(3, 4)])
    assert decision == Decision(Motion.ROLLING, None, wake=NOW + timedelta(seconds=280))


def test_who_was_let_go_may_still_go_while_the_others_of_the_wave_are_under_way() -> None:
    wave = Wave(keys(1, 2), NOW - timedelta(seconds=5))
    decision = decided([*under_way(1), *pending(2, 3)], wave)
    assert decision.wave == Wave(keys(2), wave.began)


def test_after_a_wave_there_is_a_pause_and_then_the_next_wave() -> None:
    finished = NOW - timedelta(seconds=12)
    assert decided(pending(4, 5), finished=finished) == Decision(Motion.PAUSED, wake=NOW + timedelta(seconds=18))
    decision = decided(pending(4, 5), finished=NOW - timedelta(seconds=30))
    assert decision.wave == Wave(keys(4, 5), NOW)


@pytest.mark.parametrize(
    "late",
    [under_way(2, seconds=300), [Standing(key(2), Place.FAILED, False, NOW)]],
    ids=["its time is over", "it has failed"],
)
def test_a_bot_that_is_not_ready_in_time_stops_the_rollout(late: list[Standing]) -> None:
    wave = Wave(keys(1, 2, 3), NOW - timedelta(seconds=300))
    decision = decided([*late, *pending(3, 4)], wave)
    assert decision == Decision(Motion.HALTED, None, (key(2),))


def test_who_was_not_ready_before_goes_and_is_not_waited_for() -> None:
    broken = pending(1, 2, ready=False)
    wave = Wave(keys(1, 2), NOW - timedelta(seconds=400))
    decision = decided([*broken, *pending(3)], wave)
    assert decision.motion is Motion.ROLLING
    assert decision.wave is not None
    assert decision.wave.bots == keys(1, 2, 3)
    again = decided(broken, wave)
    assert (again.motion, again.wave) == (Motion.ROLLING, wave)


def test_a_wave_of_broken_bots_alone_is_followed_by_a_pause_too() -> None:
    wave = Wave(keys(1, 2), NOW - timedelta(seconds=5))
    assert decided(pending(3), wave).motion is Motion.PAUSED


def test_a_bot_that_was_let_go_and_cannot_stops_the_rollout_until_it_can() -> None:
    wave = Wave(keys(1), NOW - timedelta(seconds=300))
    decision = decided(pending(1, 2), wave)
    assert decision == Decision(Motion.HALTED, wave, (key(1),))
    assert decided([*under_way(1), *pending(2)], wave).motion is Motion.ROLLING


@pytest.mark.parametrize("size", ["1", "4", "25%", "100%"])
def test_a_whole_rollout_reaches_everybody_and_has_never_more_than_a_wave_under_way(size: str) -> None:
    fleet, now, wave, finished = 17, NOW, None, None
    limits = Limits(size, timedelta(seconds=30), timedelta(seconds=300))
    old, new = set(range(fleet)), dict[int, datetime]()
    waves = 0
    while old or new:
        standings = pending(*old) + [Standing(key(n), Place.IN_PROGRESS, False, since) for n, since in new.items()]
        decision = decide(standings, fleet=fleet, limits=limits, now=now, wave=wave, finished=finished)
        assert decision.motion is not Motion.HALTED
        if decision.wave and decision.wave != wave:
            wave, waves = decision.wave, waves + 1
        for number in [n for n in old if wave and key(n) in wave.bots]:
            old.remove(number)
            new[number] = now
        assert len(new) <= limits.bots(fleet)
        now += timedelta(seconds=7)
        for number in [n for n, since in new.items() if now - since > timedelta(seconds=7 + n)]:
            del new[number]
            finished = now
    assert waves == -(-fleet // limits.bots(fleet))
