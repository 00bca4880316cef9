"""Who waits sees that the message was read and that an answer is being written; the answer never waits for that, or fails by it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from botfleet.store.rows import Deletion, Intake
from botrunner.conversation import presence, texts
from tests.integration.botrunner.conversation.conftest import World
from tests.waiting import DEADLINE, until


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TYPING_SECONDS", 0.01)


def typings(world: World) -> int:
    return world.telegram.shown.count(("typing", 5))


async def nothing_more_is_shown(world: World) -> bool:
    """Seen over many times the pause between two."""
    before = typings(world)
    await asyncio.sleep(10 * presence.TYPING_SECONDS)
    return typings(world) == before


async def test_typing_is_shown_again_and_again_while_the_model_writes_and_no_longer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wanted(_: int) -> bool:
        return True

    bot = world.bot()
    monkeypatch.setattr(bot.conversations._looking, "is_wanted", wanted)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.telegram.wait(lambda: typings(world) >= 3)
        world.model.go.set()
        await world.wait_delivered(5, 1)
        assert await nothing_more_is_shown(world)
    assert {what[:2] for what in world.telegram.shown} == {("typing", 5), ("read", 5)}


async def test_an_owner_who_does_not_want_typing_gets_none(world: World) -> None:
    bot = world.bot(typing=False)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        assert await nothing_more_is_shown(world)
        world.model.go.set()
        await world.wait_delivered(5, 1)
    assert world.telegram.shown == [("read", 5, 1)]


async def test_the_chat_is_read_up_to_the_newest_message_that_is_answered_when_the_model_begins(world: World) -> None:
    bot = world.bot(typing=False)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one", "two")
        await world.model.wait_asked(1)
        await world.telegram.wait(lambda: world.telegram.shown == [("read", 5, 2)])
        await world.says(bot, "three", first=3)
        world.model.go.set()
        await world.wait_delivered(5, 1)
    assert world.telegram.shown == [("read", 5, 2), ("read", 5, 3)]


async def hangs() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("shows", [hangs, fails])
async def test_what_cannot_be_shown_delays_no_answer_and_fails_none(
    world: World, shows: Callable[[], Awaitable[None]]
) -> None:
    world.telegram.shows = shows
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.telegram.wait(lambda: len(world.telegram.shown) == 2)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == ["re: one"]
        await world.says(bot, "two", first=2)
        assert await world.wait_delivered(5, 2) == ["re: one", "re: two"]


async def test_a_store_that_fails_between_two_typings_ends_the_typing_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: int) -> bool:
        raise RuntimeError("on purpose")

    bot = world.bot()
    monkeypatch.setattr(bot.conversations._looking, "is_wanted", gone)
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await until(lambda: typings(world) == 1)
        assert await nothing_more_is_shown(world)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == ["re: one"]


async def test_who_said_stop_sees_no_typing(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "/stop")
        await world.wait_delivered(5, 1)
        await world.says(bot, "are you there?", first=2)
        await bot.conversations.drain()
    assert world.telegram.shown == []


async def test_a_stop_while_the_model_writes_ends_the_typing(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.telegram.wait(lambda: typings(world) >= 2)
        await world.says(bot, "/stop", first=2)
        assert await until_silent(world)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == [texts.STOPPED]


async def test_a_question_that_is_deleted_while_the_model_writes_ends_the_typing(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.telegram.wait(lambda: typings(world) >= 2)
        await world.path.take_in(Intake(deletions=(Deletion(1),)))
        assert await until_silent(world)


async def until_silent(world: World) -> bool:
    async with asyncio.timeout(DEADLINE):
        while not await nothing_more_is_shown(world):
            pass
    return True


async def test_a_picture_while_the_model_writes_ends_no_typing(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.telegram.wait(lambda: typings(world) >= 1)
        await world.says(bot, " ", first=2)
        before = typings(world)
        await world.telegram.wait(lambda: typings(world) >= before + 3)


async def test_nothing_of_it_is_kept_when_the_answer_is_there(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        await until(lambda: not bot.conversations._presence._tasks)
