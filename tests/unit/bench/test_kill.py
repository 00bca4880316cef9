"""Promises of what bench/kill decides without a process: what it counts, and that a seed is a run."""

import pytest

from bench.kill.count import Verdict, judge, numbers_of, together
from bench.kill.plan import Fault, Point, plan


@pytest.mark.parametrize(
    ("named", "verdict"),
    [
        ([1, 2, 3], Verdict(sent=3)),
        ([1, 3], Verdict(sent=3, lost=1)),
        ([], Verdict(sent=3, lost=3)),
        ([1, 2, 2, 2, 3], Verdict(sent=3, doubled=2)),
        ([1, 2, 3, 1], Verdict(sent=3, doubled=1)),
        ([2, 1, 3], Verdict(sent=3, out_of_order=1)),
        ([3, 1, 2], Verdict(sent=3, out_of_order=2)),
        ([1, 2, 9, 3], Verdict(sent=3, strange=1)),
    ],
)
def test_what_is_lost_doubled_out_of_order_or_strange_is_counted_and_not_good(
    named: list[int], verdict: Verdict
) -> None:
    assert judge([1, 2, 3], named) == verdict
    assert verdict.good is (named == [1, 2, 3])


def test_all_chats_together_are_as_bad_as_the_worst() -> None:
    assert not together([judge([1], [1]), judge([2], [])]).good
    assert together([judge([1], [1]), judge([2], [2])]) == Verdict(sent=2)


def test_the_numbers_of_replies_are_read_in_the_order_of_their_arrival() -> None:
    assert numbers_of(["Noted: 4, 12.", "message 3"]) == [4, 12, 3]


def test_a_seed_is_a_run_and_each_point_and_each_fault_comes_in_turn() -> None:
    def made(seed: int) -> object:
        return plan(seed, messages=500, people=4, bots=2, kills=2 * len(Point), faults=len(Fault))

    assert made(7) == made(7) != made(8)
    script = plan(7, messages=500, people=4, bots=2, kills=2 * len(Point), faults=len(Fault))
    assert sorted(kill.point for kill in script.kills) == sorted([*Point, *Point])
    assert sorted(one.fault for one in script.troubles) == sorted(Fault)
    assert {kill.bot for kill in script.kills} == {0, 1}
    assert [kill.after for kill in script.kills] == sorted(kill.after for kill in script.kills)
