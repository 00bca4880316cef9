"""Promises of a storm's plan: repeatable by its seed, and it knows at each event what should be there in the end."""

import random

import pytest

from tests.integration.operator.storms.plan import DELETING, MAKING, Act, Event, Plan


def plan_of(seed: int) -> Plan:
    return Plan(30, ("a", "b", "c"), random.Random(seed))  # noqa: S311 -- a plan that can be drawn again


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


@pytest.mark.parametrize("seed", range(5))
def test_an_account_that_two_bots_want_has_one_credential_and_nobody_else_wants_it(seed: int) -> None:
    plan = plan_of(seed)
    credentials: dict[int, set[str]] = {}
    together = 0
    for event in plan.events():
        if event.bot.shares:
            credentials.setdefault(event.bot.account, set()).add(event.bot.credential)
        if event.act in MAKING:
            existing = [bot.account for bot in plan.wanted.values() if bot.exists]
            alone = [bot.account for bot in plan.wanted.values() if not bot.shares]
            assert len(alone) == len(set(alone))
            assert not set(alone) & credentials.keys()
            together = max(together, len(existing) - len(set(existing)))
    assert together >= 2
    assert {len(known) for known in credentials.values()} == {1}


def test_objects_with_each_policy_are_deleted_with_and_without_a_runner_and_with_a_shared_account() -> None:
    deleted: set[tuple[bool, str]] = set()
    for seed in range(5):
        plan = Plan(50, ("a", "b", "c"), random.Random(seed), 2.5)  # noqa: S311
        before = {name: bot.erase for name, bot in plan.wanted.items()}
        for event in plan.events():
            bot = event.bot
            if event.act in DELETING:
                kinds = ("runner" if bot.runner else "no runner", "shared" if bot.shared else "alone")
                deleted |= {(before[bot.name], kind) for kind in kinds}
            before[bot.name] = bot.erase
    assert deleted == {(erase, kind) for erase in (True, False) for kind in ("runner", "no runner", "shared", "alone")}
