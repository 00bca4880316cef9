"""What goes to and fro is told when it gets better, and else once a minute."""

from itertools import pairwise

from botrunner.damping import EVERY_SECONDS, Damped


class Rig:
    def __init__(self) -> None:
        self.now = 1000.0
        self.damped = Damped(
            "well", {"well": 0, "fine": 0, "poor": 1, "bad": 2, "worse": 2}.__getitem__, lambda: self.now
        )

    def told(self, *true: str) -> list[str]:
        return [self.damped.settle(word) for word in true]


def test_the_first_trouble_is_told_at_once_and_so_is_its_end() -> None:
    assert Rig().told("bad", "well") == ["bad", "well"]


def test_what_flaps_is_told_twice_a_minute_at_most() -> None:
    rig, told = Rig(), ["well"]
    for second in range(600):
        rig.now += 1
        told.append(rig.damped.settle("bad" if second % 2 else "well"))
    changes = sum(before != after for before, after in pairwise(told))
    assert 15 <= changes <= 2 * 600 / EVERY_SECONDS


def test_trouble_that_comes_again_too_soon_is_told_when_its_time_has_come() -> None:
    rig = Rig()
    assert rig.told("bad", "well", "bad") == ["bad", "well", "well"]
    rig.now += EVERY_SECONDS - 1
    assert rig.told("bad") == ["well"]
    rig.now += 1
    assert rig.told("bad") == ["bad"]


def test_another_trouble_as_bad_waits_and_a_lesser_one_does_not() -> None:
    assert Rig().told("bad", "worse", "poor", "bad") == ["bad", "bad", "poor", "poor"]


def test_good_words_are_told_at_once_whatever_they_follow() -> None:
    assert Rig().told("fine", "well", "bad", "fine", "well") == ["fine", "well", "bad", "fine", "well"]
