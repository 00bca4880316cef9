"""Promises of a bot to which more people write than it can answer: what needs no model waits for no place and for no turn."""

import asyncio

import pytest

from botrunner.conversation import texts
from botrunner.model.provider import Failure, NoAnswer
from tests.integration.botrunner.conversation.conftest import Bot, World
from tests.waiting import DEADLINE, until

ADMIN, LATE, PLACES = 9, 8, 2


async def crowded(world: World, bot: Bot) -> None:
    """All places are taken by chats whose model has no answer for an hour."""
    bot.conversations._workers._at_once = PLACES
    world.model.failures = [NoAnswer(Failure.QUOTA_EXHAUSTED, retry_after=3600)] * PLACES
    for peer_id in range(1, PLACES + 1):
        await world.says(bot, "hello", peer_id=peer_id, first=peer_id)
    await until(lambda: not world.model.failures)


async def in_the_queue(bot: Bot, people: int) -> None:
    await until(lambda: len(bot.conversations._slots._waiters or ()) == people)


async def test_an_admin_is_obeyed_at_once_while_every_place_waits_for_the_model(world: World) -> None:
    bot = world.bot(admins=(ADMIN,))
    async with bot.live():
        await crowded(world, bot)
        await world.says(bot, "/status", "/pause", peer_id=ADMIN, first=10)
        assert (await world.wait_delivered(ADMIN, 2))[1] == texts.PAUSED
        assert bot.steering.paused
    assert len(world.model.turns) == PLACES, "in passing no model is asked"


async def test_a_stop_takes_effect_at_once_while_every_place_waits_for_the_model(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await crowded(world, bot)
        await world.says(bot, "a question", peer_id=LATE, first=10)
        await world.says(bot, "/stop", peer_id=LATE, first=11)
        assert await world.wait_delivered(LATE, 1) == [texts.STOPPED]
        assert (await world.path.silence(LATE)).opted_out
    assert len(world.model.turns) == PLACES, "in passing no model is asked"


async def test_who_is_held_back_in_passing_makes_room_for_the_next(world: World) -> None:
    bot = world.bot(admins=(ADMIN,), per_minute=1)
    bot.conversations._workers._passing = 1
    async with bot.live():
        await world.says(bot, "hello", peer_id=LATE, first=20)
        await world.wait_delivered(LATE, 1)
        await bot.at_rest()
        await crowded(world, bot)
        await world.says(bot, "again", peer_id=LATE, first=21)
        await world.says(bot, "/pause", peer_id=ADMIN, first=22)
        assert await world.wait_delivered(ADMIN, 1) == [texts.PAUSED]
    assert world.telegram.delivered[LATE] == ["re: hello"]


async def test_a_command_that_a_former_run_left_is_obeyed_though_more_chats_than_places_wait_for_the_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = world.path.pause

    async def once_all_places_wait(peer_id: int) -> None:
        await world.model.wait_asked(PLACES)
        await pause(peer_id)

    monkeypatch.setattr(world.path, "pause", once_all_places_wait)
    for peer_id in range(1, 8):
        await world.says(None, "hello", peer_id=peer_id, first=peer_id)
    await world.says(None, "/pause", peer_id=ADMIN, first=10)
    bot = world.bot(admins=(ADMIN,))
    bot.conversations._workers._at_once = PLACES
    world.model.go.clear()
    async with bot.live():
        assert await world.wait_delivered(ADMIN, 1) == [texts.PAUSED]
    assert len(world.model.turns) == PLACES


async def test_all_are_answered_though_there_are_fewer_places_than_chats(world: World) -> None:
    bot = world.bot()
    bot.conversations._workers._at_once = PLACES
    world.model.go.clear()
    async with bot.live():
        for peer_id in range(1, 8):
            await world.says(bot, "hello", peer_id=peer_id, first=peer_id)
        await world.model.wait_asked(PLACES)
        world.model.go.set()
        for peer_id in range(1, 8):
            assert await world.wait_delivered(peer_id, 1) == ["re: hello"]
    assert world.model.most_busy <= PLACES


async def test_a_stop_of_somebody_who_waits_for_their_turn_takes_effect_at_once(world: World) -> None:
    bot = world.bot(concurrent=1)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, "two", peer_id=6, first=2)
        await in_the_queue(bot, 1)
        await world.says(bot, "/stop", peer_id=6, first=3)
        assert await world.wait_delivered(6, 1) == [texts.STOPPED]
        await in_the_queue(bot, 0)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == ["re: one"]
        await world.says(bot, "three", first=4)
        assert await world.wait_delivered(5, 2) == ["re: one", "re: three"], "the turn that nobody took was given back"
    assert world.model.turns == [["one"], ["three"]]


async def test_who_writes_again_while_they_wait_for_their_turn_keeps_it(world: World) -> None:
    bot = world.bot(concurrent=1)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        for peer_id, text in ((6, "two"), (7, "three")):
            await world.says(bot, text, peer_id=peer_id, first=peer_id)
            await in_the_queue(bot, peer_id - 5)
        await world.says(bot, "and more", peer_id=6, first=10)
        await until(lambda: not bot.conversations._workers._poked[6].is_set())
        world.model.go.set()
        await world.wait_delivered(7, 1)
    assert world.model.turns == [["one"], ["two", "and more"], ["three"]]


async def test_a_drain_ends_the_wait_for_a_turn(world: World) -> None:
    bot = world.bot(concurrent=1)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, "two", peer_id=6, first=2)
        await in_the_queue(bot, 1)
        draining = asyncio.create_task(bot.conversations.drain())
        await in_the_queue(bot, 0)
        world.model.go.set()
        await asyncio.wait_for(draining, DEADLINE)
    assert world.model.turns == [["one"]]
