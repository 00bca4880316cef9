"""Promises about what comes without words: one polite line, unless the owner wants none; words are answered as always."""

import asyncio
from datetime import UTC, datetime

from botfleet.spec.behaviour import MEDIA_TEXT, Disclosure
from botfleet.store.rows import Intake
from botrunner.conversation import texts
from tests.contracts.store.samples import incoming
from tests.integration.botrunner.conversation.conftest import World
from tests.waiting import until_async


async def test_what_comes_without_words_is_asked_for_in_words_once(world: World, silence: asyncio.Event) -> None:
    """A whole album, and a sticker right after it."""
    bot = world.bot(debounce=60)
    album = [incoming(number, " ", 5, grouped_id=70, date=datetime.now(UTC)) for number in range(1, 5)]
    async with bot.live():
        bot.conversations.poke(await world.path.take_in(Intake(messages=tuple(album))))
        await world.says(bot, " ", first=5)
        silence.set()
        assert await world.wait_delivered(5, 1) == [MEDIA_TEXT]
        await bot.at_rest()
    assert await world.inbox() == [("answered", None)] * 5
    assert world.telegram.delivered == {5: [MEDIA_TEXT]}
    assert world.model.turns == []
    assert await world.path.history(5, 10) == [], "no part of the conversation"


async def test_words_that_follow_a_picture_at_once_are_answered_and_the_line_is_not_needed(
    world: World, silence: asyncio.Event
) -> None:
    bot = world.bot(debounce=60)
    async with bot.live():
        await world.says(bot, " ")
        await world.says(bot, "what do you think?", first=2)
        silence.set()
        assert await world.wait_delivered(5, 1) == ["re: what do you think?"]
    assert await world.inbox() == [("skipped", "NoText"), ("answered", None)]


async def test_an_owner_who_wants_no_line_gets_none(world: World) -> None:
    bot = world.bot(conversation={"mediaText": ""})
    async with bot.live():
        await world.says(bot, " ")

        async def skipped() -> bool:
            return await world.inbox() == [("skipped", "NoText")]

        await until_async(skipped)
    assert world.telegram.delivered == {}


async def test_an_owners_own_line_is_said_and_first_of_all_who_says_it(world: World) -> None:
    bot = world.bot(conversation={"mediaText": "Напишите, пожалуйста."}, disclosure=Disclosure.FIRST_REPLY)
    async with bot.live():
        await world.says(bot, " ")
        assert await world.wait_delivered(5, 1) == [texts.disclosed("Напишите, пожалуйста.")]
        await world.says(bot, "hello", first=2)
        assert (await world.wait_delivered(5, 2))[1] == "re: hello"
