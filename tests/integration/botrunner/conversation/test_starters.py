"""Promises of writing first, on a real store: who gets a message, once, and what prevents it at each step."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.model import Budget
from botfleet.spec.behaviour import Disclosure
from botfleet.store.rows import Spending
from botfleet.store.tables import inbox, messages, outbox, starters
from botrunner.conversation import texts
from botrunner.conversation.starters import DEAF, PAGE_SECONDS, Starters
from botrunner.conversation.starting import LOOK, NUDGE
from botrunner.model.provider import Failure, NoAnswer
from botrunner.telegram.ids import random_id
from tests.integration.botrunner.conversation.conftest import ME, Bot, World
from tests.integration.botrunner.conversation.fakes import Steps, Stumbling
from tests.waiting import DEADLINE, until_async

ADMIN, PERSON, OTHER = 9, 5, 6
ALL_DAY = {"days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "from": "00:00", "to": "00:00"}
ALWAYS = {"timeZone": "UTC", "workingHours": [ALL_DAY]}


def bot_that_starts(world: World, **parts: Any) -> tuple[Bot, Starters]:
    """A bot that writes after a day, at any hour."""
    proactive = {"enabled": True, "prompt": "the new spa", "afterSilenceHours": 24, **parts.pop("proactive", {})}
    bot = world.bot(**{"schedule": ALWAYS, "proactive": proactive, **parts})
    return bot, starters_of(bot)


def starters_of(bot: Bot, path: Any = None, *, receives: bool = True) -> Starters:
    return Starters(
        path or bot.path,
        bot.spec,
        ME.id,
        bot.conversations,
        bot.outgoing.poke,
        bot.metrics,
        paused=lambda: bot.steering.paused,
        receives=lambda: receives,
    )


async def talked(world: World, *peer_ids: int, hours: float = 25) -> None:
    """These people wrote and were answered, so long ago."""
    bot = world.bot()
    async with bot.live():
        for peer_id in peer_ids:
            await world.says(bot, "hello", peer_id=peer_id)
            await world.wait_delivered(peer_id, 1)
        await bot.outgoing.idle()
    await slept(world, hours)


async def slept(world: World, hours: float) -> None:
    """As if so much time had passed."""
    by = timedelta(hours=hours)
    await world.time_passes(by)
    columns = (inbox.c.date, inbox.c.received_at, outbox.c.created_at, starters.c.started_at, starters.c.next_at)
    async with world.store.begin() as connection:
        for column in columns:
            for row in (await connection.execute(sa.select(*column.table.primary_key, column))).mappings().all():
                if row[column.name] is not None:
                    same = [key == row[key.name] for key in column.table.primary_key]
                    change = sa.update(column.table).where(*same).values({column.name: row[column.name] - by})
                    await connection.execute(change)


def skipped(bot: Bot, why: str) -> float:
    return float(bot.metrics.proactive_skipped.labels(why)._value.get())


async def queued(world: World) -> list[tuple[int, str]]:
    return [(row.peer_id, row.state) for row in await world.rows(outbox) if row.cause.startswith("starter:")]


async def test_who_was_silent_is_written_to_once_with_what_was_said_before(world: World) -> None:
    await talked(world, PERSON)
    bot, first = bot_that_starts(world)
    async with bot.live():
        assert await first.look() == LOOK
        assert (await world.wait_delivered(PERSON, 2))[1] == f"re: {NUDGE}"
        await bot.outgoing.idle()
        await first.look()
    assert await queued(world) == [(PERSON, "sent")]
    row = (await world.rows(outbox))[-1]
    assert row.random_id == random_id(ME.id, PERSON, row.cause, 0, 0), "the same for the same silence"
    system, *said = world.model.prompts[-1]
    assert said == ["hello", "re: hello", NUDGE]
    assert "the new spa" in system
    assert "You are an AI" in system
    assert [row.text for row in await world.rows(messages)] == ["hello", "re: hello", f"re: {NUDGE}"]
    assert bot.metrics.proactive_sent._value.get() == 1


async def test_a_bot_that_may_not_write_first_does_not_even_look(world: World) -> None:
    await talked(world, PERSON)
    nothing = Steps(0)
    async with asyncio.timeout(DEADLINE):
        await starters_of(world.bot(), Stumbling(world.path, nothing)).run()
    assert nothing.names == []


async def test_nobody_is_written_to_before_their_time(world: World) -> None:
    await talked(world, PERSON, hours=23)
    bot, first = bot_that_starts(world)
    async with bot.live():
        await first.look()
        await slept(world, 0.9)
        await first.look()
        assert await queued(world) == []
        await slept(world, 0.2)
        await first.look()
        assert [peer_id for peer_id, _ in await queued(world)] == [PERSON]


async def test_after_one_without_an_answer_there_is_no_second_and_after_an_answer_there_is(world: World) -> None:
    await talked(world, PERSON)
    bot, first = bot_that_starts(world)
    async with bot.live():
        await first.look()
        await world.wait_delivered(PERSON, 2)
        await bot.outgoing.idle()
        await slept(world, 60)
        await first.look()
        assert len(await queued(world)) == 1
        assert skipped(bot, "Unanswered") == 1
        await world.says(bot, "oh, hello", first=2)
        await world.wait_delivered(PERSON, 3)
        await bot.outgoing.idle()
        await slept(world, 60)
        await first.look()
        await world.wait_delivered(PERSON, 4)
    assert len(await queued(world)) == 2


async def test_the_bot_writes_no_more_than_its_cap_a_day_over_restarts(world: World) -> None:
    await talked(world, 1, 2, 3)
    now = datetime.now(UTC)  # the day does not end meanwhile
    for _ in range(4):
        _bot, first = bot_that_starts(world, proactive={"messagesPerDay": 2})
        first._now = lambda: now
        await first.look()
    assert [peer_id for peer_id, _ in await queued(world)] == [1, 2]
    assert world.model.turns[3:] == [[NUDGE]] * 2


@pytest.mark.parametrize("how", ["/stop", "/block", "/take", "/forget"])
async def test_who_opted_out_is_blocked_taken_over_or_forgotten_is_not_written_to(world: World, how: str) -> None:
    await talked(world, PERSON)
    _bot, first = bot_that_starts(world)
    match how:
        case "/stop":
            await world.path.opt_out(PERSON)
        case "/block":
            await world.path.block(PERSON, ADMIN)
        case "/take":
            await world.path.begin_takeover(PERSON, datetime.now(UTC) + timedelta(hours=1), ADMIN)
        case "/forget":
            await world.path.forget(PERSON, 0)
    await first.look()
    assert len(world.model.turns) == 1
    assert await queued(world) == []


async def test_a_message_during_generation_wins(world: World) -> None:
    await talked(world, PERSON)
    bot, first = bot_that_starts(world)
    world.model.go.clear()
    async with bot.live():
        looking = asyncio.create_task(first.look())
        await world.model.wait_asked(2)
        await world.says(bot, "are you there?", first=2)
        await world.model.wait_asked(3)
        world.model.go.set()
        await looking
        assert (await world.wait_delivered(PERSON, 2))[1:] == ["re: are you there?"]
        await bot.outgoing.idle()
    assert await queued(world) == []
    assert skipped(bot, "Wrote") == 1


@pytest.mark.parametrize("how", ["/stop", "/take", "/pause"])
async def test_what_is_decided_during_generation_counts(world: World, how: str) -> None:
    await talked(world, PERSON)
    bot, first = bot_that_starts(world)
    world.model.go.clear()
    looking = asyncio.create_task(first.look())
    await world.model.wait_asked(2)
    match how:
        case "/stop":
            await world.path.opt_out(PERSON)
        case "/take":
            await world.path.begin_takeover(PERSON, datetime.now(UTC) + timedelta(hours=1), ADMIN)
        case "/pause":
            bot.steering.paused = True
    world.model.go.set()
    await looking
    assert await queued(world) == []


@pytest.mark.parametrize("how", ["/stop", "wrote", "paused for long", "off"])
async def test_what_happens_between_storing_and_sending_cancels_it(world: World, how: str) -> None:
    await talked(world, PERSON)
    _bot, first = bot_that_starts(world, disclosure=Disclosure.FIRST_REPLY)
    await first.look()
    assert await queued(world) == [(PERSON, "pending")]
    assert (await world.path.chat(PERSON)).disclosed_at is not None
    off = {"proactive": {"enabled": how != "off", "prompt": "the new spa"}}
    again = world.bot(schedule=ALWAYS, disclosure=Disclosure.FIRST_REPLY, **off)
    if how in ("/stop", "wrote"):
        await world.says(None, how, first=2)
    if how == "paused for long":
        await slept(world, 2)

    async def cancelled() -> bool:
        return await queued(world) == [(PERSON, "cancelled")]

    async with again.live():
        await until_async(cancelled)
        if how in ("/stop", "wrote"):
            answer = texts.STOPPED if how == "/stop" else texts.disclosed("re: wrote")
            assert (await world.wait_delivered(PERSON, 2))[1:] == [answer]
        await again.outgoing.idle()
    said = [row.text for row in await world.rows(messages)]
    assert not any(NUDGE in text for text in said), "the model is not told that it was said"


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_step_it_is_said_once(world: World, after: bool) -> None:
    number, killed = 0, True
    while killed:
        peer_id = 100 + number
        await talked(world, peer_id)
        steps = Steps(number, after=after)
        bot, _ = bot_that_starts(world, proactive={"messagesPerDay": 1000})
        first = starters_of(bot, Stumbling(world.path, steps))
        async with bot.live():
            stopped = asyncio.create_task(steps.stopped.wait())
            looking = asyncio.create_task(first.look())
            await asyncio.wait((stopped, looking), return_when=asyncio.FIRST_COMPLETED)
            killed = not looking.done()
            for task in (stopped, looking):
                task.cancel()
            await asyncio.gather(stopped, looking, return_exceptions=True)
        again, first = bot_that_starts(world, proactive={"messagesPerDay": 1000})
        async with again.live():
            await first.look()
            await world.wait_delivered(peer_id, 2)
            await again.outgoing.idle()
            await first.look()
        assert world.telegram.delivered[peer_id] == ["re: hello", f"re: {NUDGE}"]
        number += 1
    assert number > 5


async def test_a_model_that_gives_no_answer_means_no_message_and_no_line(world: World) -> None:
    await talked(world, PERSON)
    bot, first = bot_that_starts(world, unavailable="I cannot answer now.")
    world.model.failures += [NoAnswer(Failure.TIMEOUT), NoAnswer(Failure.TIMEOUT)]
    async with bot.live():
        assert await first.look() == 2 * LOOK
        await first.look()
        assert len(world.model.turns) == 2, "another person's turn comes first"
        await slept(world, 2)
        assert await first.look() == 4 * LOOK
        await bot.outgoing.idle()
        assert world.telegram.delivered[PERSON] == ["re: hello"]
        assert skipped(bot, "NoModelAnswer") == 2
        await slept(world, 2)
        assert await first.look() == LOOK
        await world.wait_delivered(PERSON, 2)


async def test_from_four_fifths_of_the_budget_on_what_is_left_is_for_answers(world: World) -> None:
    await talked(world, PERSON)
    await world.path.note_spent([Spending(datetime.now(UTC).date(), "m", 80, 0, 0)])
    _bot, first = bot_that_starts(world, budget=Budget(tokens=100, micros=0, exhausted_text=""))
    assert await first.look() == LOOK
    assert await queued(world) == []
    _bot, first = bot_that_starts(world, budget=Budget(tokens=101, micros=0, exhausted_text=""))
    await first.look()
    assert len(await queued(world)) == 1


async def test_a_paused_bot_writes_to_nobody(world: World) -> None:
    await talked(world, PERSON)
    bot, first = bot_that_starts(world)
    bot.steering.paused = True
    assert await first.look() == LOOK
    assert await queued(world) == []


async def test_the_first_message_says_who_writes_as_an_answer_would(world: World) -> None:
    await talked(world, PERSON)
    bot, first = bot_that_starts(world, disclosure=Disclosure.FIRST_REPLY)
    async with bot.live():
        await first.look()
        assert (await world.wait_delivered(PERSON, 2))[1] == texts.disclosed(f"re: {NUDGE}")


async def test_what_is_longer_than_a_message_is_one_message(world: World) -> None:
    await talked(world, PERSON)
    world.model.says = lambda _: "word " * 2000
    bot, first = bot_that_starts(world)
    async with bot.live():
        await first.look()
        assert len((await world.wait_delivered(PERSON, 2))[1]) <= 4096
        await bot.outgoing.idle()
    assert len(world.telegram.delivered[PERSON]) == 2


async def test_many_people_who_may_not_be_written_to_hold_nobody_up(world: World) -> None:
    await talked(world, *range(1, 23))
    for peer_id in range(1, 22):
        await world.path.opt_out(peer_id)
    _bot, first = bot_that_starts(world)
    assert await first.look() == timedelta(seconds=PAGE_SECONDS)
    await first.look()
    assert [peer_id for peer_id, _ in await queued(world)] == [22]


async def test_a_bot_that_may_be_deaf_writes_to_nobody(world: World) -> None:
    await talked(world, PERSON)
    bot, _ = bot_that_starts(world)
    assert await starters_of(bot, receives=False).look() == DEAF
    assert await queued(world) == []


async def test_outside_of_the_hours_the_store_is_not_asked(world: World) -> None:
    await talked(world, PERSON)
    closed = {"timeZone": "UTC", "workingHours": [{**ALL_DAY, "days": [f"{datetime.now(UTC) + timedelta(days=3):%a}"]}]}
    bot, _ = bot_that_starts(world, schedule=closed)
    nothing = Steps(0)
    assert await starters_of(bot, Stumbling(world.path, nothing)).look() == LOOK
    assert nothing.names == []
