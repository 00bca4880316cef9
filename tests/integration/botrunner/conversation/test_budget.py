"""Promises of a budget: counted with each answer, near its end the cheapest model, then one line a chat and day; read from the store."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from botfleet.model import Budget
from botfleet.store.rows import Spending
from botfleet.store.usage import Spent
from botrunner.conversation.memory import SUM_UP
from botrunner.conversation.skips import Skip
from botrunner.conversation.spending import Purse
from botrunner.metrics import Metrics
from botrunner.model.ladder import Rung
from tests.integration.botrunner.conversation.conftest import Bot, World
from tests.integration.botrunner.conversation.fakes import Steps, Stumbling
from tests.integration.botrunner.conversation.test_chats import drained

NOW = datetime.now(UTC)
TODAY = NOW.date()
ENOUGH = "That is all for today."
TOKENS = Budget(tokens=100, micros=0, exhausted_text=ENOUGH)
CLOSED = ("skipped", Skip.BUDGET_EXHAUSTED.value)


def spent(tokens: int, micros: int = 0) -> Spending:
    return Spending(TODAY, "m", tokens, 0, micros)


def on_the_same_day(bot: Bot) -> Bot:
    """From the beginning of the test to its end."""
    bot.conversations.purse._now = lambda: NOW
    return bot


def bot_of(world: World, budget: Budget = TOKENS) -> Bot:
    """A bot for which it is the same day from the beginning of the test to its end."""
    return on_the_same_day(world.bot(budget=budget))


async def test_what_an_answer_cost_is_stored_with_it(world: World) -> None:
    world.model.spent = (spent(7, 3), spent(1))
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
    assert await world.path.spent_on(TODAY) == Spent(8, 3)


async def test_an_answer_that_is_generated_again_counts_twice(world: World) -> None:
    world.model.spent = (spent(7),)
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, "two", first=2)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == ["re: one two"]
    assert await world.path.spent_on(TODAY) == Spent(14, 0)


async def test_an_answer_that_is_sent_back_and_then_stored_counts_once(world: World) -> None:
    world.model.spent = (spent(7),)
    await world.says(None, "one", "/start")
    bot = world.bot()
    async with bot.live():
        await world.wait_delivered(5, 2)
    assert len(world.model.turns) == 1
    assert await world.path.spent_on(TODAY) == Spent(7, 0)


async def test_when_the_days_budget_is_spent_each_chat_is_told_once_and_nobody_is_asked(world: World) -> None:
    await world.path.note_spent([spent(100)])
    bot = bot_of(world)
    async with bot.live():
        await world.says(bot, "one", "two")
        assert await world.wait_delivered(5, 1) == [ENOUGH]
        await drained(world)
        await world.says(bot, "three", first=3)
        await world.says(bot, "hello", peer_id=6, first=4)
        assert await world.wait_delivered(6, 1) == [ENOUGH]
        await drained(world)
        await drained(world, 6)
        await bot.at_rest()
        await bot.outgoing.idle()
    assert world.telegram.delivered == {5: [ENOUGH], 6: [ENOUGH]}
    assert world.model.turns == []
    assert await world.inbox() == [CLOSED] * 4
    assert bot.metrics.skipped.labels(Skip.BUDGET_EXHAUSTED.value)._value.get() == 4
    assert await world.path.history(5, 20) == []


async def test_told_once_a_chat_and_day_also_over_a_restart(world: World) -> None:
    await world.path.note_spent([spent(100)])
    for number in (1, 2):
        bot = bot_of(world)
        async with bot.live():
            await world.says(bot, "one", first=number)
            await world.wait_delivered(5, 1)
            await drained(world)
            await bot.outgoing.idle()
    assert world.telegram.delivered[5] == [ENOUGH]
    assert await world.inbox() == [CLOSED] * 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_a_spent_budget_is_said_once_and_the_message_is_closed(
    world: World, after: bool
) -> None:
    await world.path.note_spent([spent(100)])
    spec = world.bot(budget=TOKENS).spec
    for at in itertools.count():
        peer_id = 100 + at
        await world.says(None, "one", peer_id=peer_id, first=peer_id)
        steps = Steps(at, after=after)
        killed = Bot(Stumbling(world.path, steps), world.model, world.telegram, spec)
        killed.conversations.purse._now = lambda: NOW
        async with killed.live():
            done = asyncio.create_task(world.wait_delivered(peer_id, 1))
            await asyncio.wait([done, asyncio.create_task(steps.stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
            done.cancel()
        bot = bot_of(world)
        async with bot.live():
            await world.wait_delivered(peer_id, 1)
            await drained(world, peer_id)
            await bot.outgoing.idle()
        assert world.telegram.delivered[peer_id] == [ENOUGH], steps.names
        if not steps.stopped.is_set():
            break
    assert {"spent_on", "store_answer", "close_inbox"} <= set(steps.names)
    assert set(await world.inbox()) == {CLOSED}


async def test_the_next_day_begins_anew_at_midnight_of_utc(world: World) -> None:
    await world.path.note_spent([spent(100)])
    bot = bot_of(world)
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        await drained(world)
        tomorrow = datetime.combine(TODAY + timedelta(days=1), datetime.min.time(), UTC)
        bot.conversations.purse._now = lambda: tomorrow
        await world.says(bot, "two", first=2)
        assert await world.wait_delivered(5, 2) == [ENOUGH, "re: two"]
        await world.path.note_spent([Spending(tomorrow.date(), "m", 100, 0, 0)])
        await world.says(bot, "three", first=3)
        assert await world.wait_delivered(5, 3) == [ENOUGH, "re: two", ENOUGH]


async def test_an_owner_who_wants_no_word_about_the_budget_gets_none(world: World) -> None:
    await world.path.note_spent([spent(100)])
    bot = bot_of(world, Budget(100, 0, ""))
    async with bot.live():
        await world.says(bot, "one")
        await drained(world)
    assert await world.outbox() == []
    assert await world.inbox() == [CLOSED]


async def test_money_is_a_budget_too_and_needs_every_price(world: World) -> None:
    await world.path.note_spent([spent(10**6, 999)])
    bot = bot_of(world, Budget(0, 1000, ENOUGH))
    world.model.spent = (spent(0, 1),)
    async with bot.live():
        await world.says(bot, "one")
        assert await world.wait_delivered(5, 1) == ["re: one"]
        await world.says(bot, "two", first=2)
        assert await world.wait_delivered(5, 2) == ["re: one", ENOUGH]


async def test_near_its_end_the_cheapest_model_is_asked(world: World) -> None:
    await world.path.note_spent([spent(94)])
    world.model.spent = (spent(1),)
    bot = bot_of(world)
    async with bot.live():
        for number in range(1, 8):
            await world.says(bot, f"m{number}", first=number)
            await world.wait_delivered(5, number)
    assert world.model.turns == [[f"m{number}"] for number in range(1, 7)]
    assert world.model.cheaply == world.model.turns[1:]
    assert world.telegram.delivered[5][-1] == ENOUGH


async def test_an_answer_under_way_when_the_budget_ends_is_given_and_not_generated_again(world: World) -> None:
    world.model.spent = (spent(100),)
    steps = Steps()
    bot = on_the_same_day(Bot(Stumbling(world.path, steps), world.model, world.telegram, bot_of(world).spec))
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, "two", first=2)
        world.model.go.set()
        assert await world.wait_delivered(5, 2) == ["re: one", ENOUGH]
        await drained(world)
    assert await world.inbox() == [("answered", None), CLOSED]
    assert len(world.model.turns) == 1
    assert steps.names.count("store_answer") == 3, "sent back, stored, the line"


class Counted:
    """A store that says what a test tells it."""

    tokens = 0

    async def spent_on(self, day: object) -> Spent:
        return Spent(self.tokens, 0)


async def test_each_step_of_a_day_is_logged_once_and_measured_always() -> None:
    counted, metrics = Counted(), Metrics()
    clock = NOW
    purse = Purse(counted, TOKENS, metrics, lambda: clock)
    with structlog.testing.capture_logs() as logs:
        for counted.tokens in (0, 79, 80, 90, 95, 96, 100, 120):
            await purse.look()
        clock = NOW + timedelta(days=1)
        counted.tokens = 85
        assert await purse.look() is Rung.WARN
        assert await purse.look() is Rung.WARN
    assert [(entry["reached"], entry["tokens"]) for entry in logs] == [
        ("warn", 80),
        ("cheaper", 95),
        ("exhausted", 100),
        ("warn", 85),
    ]
    assert metrics.registry.get_sample_value("botfleet_runner_budget_used_ratio", {"of": "tokens"}) == 0.85
    assert metrics.registry.get_sample_value("botfleet_runner_budget_used_ratio", {"of": "money"}) == 0


async def test_without_a_budget_the_store_is_not_asked() -> None:
    class Nobody:
        async def spent_on(self, day: object) -> Spent:
            raise AssertionError(day)

    assert await Purse(Nobody(), Budget(0, 0, ""), Metrics()).look() is Rung.NORMAL


@pytest.mark.parametrize("hour", [0, 23])
async def test_a_day_is_one_of_utc_wherever_the_clock_stands(hour: int) -> None:
    from zoneinfo import ZoneInfo

    at = datetime(2026, 11, 1, hour, 30, tzinfo=UTC).astimezone(ZoneInfo("Asia/Bishkek"))
    purse = Purse(Counted(), TOKENS, Metrics(), lambda: at)
    await purse.look()
    assert purse.day.isoformat() == "2026-11-01"


async def test_what_a_summary_costs_is_counted_and_a_spent_budget_pays_for_none(world: World) -> None:
    world.model.spent = (spent(1),)
    bot = world.bot(history=2, summarize=2, budget=Budget(1000, 0, ENOUGH))
    bot.conversations.purse._now = lambda: NOW
    async with bot.live():
        for number in range(1, 4):
            await world.says(bot, f"m{number}", first=number)
            await world.wait_delivered(5, number)
            await bot.conversations.idle_memory()
        asked = len(world.model.turns)
        assert any(prompt[0] == SUM_UP for prompt in world.model.prompts)
        assert await world.path.spent_on(TODAY) == Spent(asked, 0)
        world.model.spent = (spent(1000),)
        for number in range(4, 6):
            await world.says(bot, f"m{number}", first=number)
            await world.wait_delivered(5, number)
            await bot.conversations.idle_memory()
    assert len(world.model.turns) == asked + 1, "one answer, and no summary after it"
