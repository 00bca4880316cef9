"""Promises of a storm's plan: repeatable by its seed, and it knows at each event what should be there in the end."""

import random

import pytest

from tests.integration.operator.storms.plan import Act, Event, Plan

MAKING = {Act.CREATE, Act.REMAKE, Act.MOVE}


def plan_of(seed: int) -> Plan:
    return Plan(30, ("a", "b"), random.Random(seed))  # noqa: S311 -- a plan that can be drawn again


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_is_the_same_storm_again_and_every_bot_is_made(seed: int) -> None:
    first, second = list(plan_of(seed).events()), list(plan_of(seed).events())
    assert first == second
    assert first != list(plan_of(seed + 1).events())
    assert {event.bot.name for event in first if event.act is Act.CREATE} == set(plan_of(seed).wanted)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_happens_to_a_bot_that_is_not_there_and_a_lost_secret_comes_back_first(seed: int) -> None:
    plan = plan_of(seed)
    last: dict[str, Event] = {}
    for event in plan.events():
        before = last.get(event.bot.name)
        there = before is not None and before.bot.exists
        assert there != (event.act is Act.CREATE), event
        if before is not None and not before.bot.secret:
            assert event.act is Act.NEW_TOKEN
        last[event.bot.name] = event
    assert {name: event.bot for name, event in last.items()} == plan.wanted


def test_two_bots_never_want_one_account() -> None:
    plan = plan_of(7)
    for event in plan.events():
        if event.act in MAKING:
            accounts = [bot.account for bot in plan.wanted.values()]
            assert len(accounts) == len(set(accounts))
