"""Topics of a group: each is a conversation of its own, for the model too, and whatever the bot says stays where it was asked."""

import json
from typing import Any

import pytest

from botfleet.store.tables import Sender, outbox
from botrunner.conversation import texts
from tests.integration.botrunner.conversation.conftest import World
from tests.integration.botrunner.conversation.test_groups import (
    BOB,
    GROUP,
    closed_for_days,
    heard,
    replies,
    says,
    settled,
    texts_of,
)

FOR_IT: dict[str, Any] = {"mentioned": True}
POST = 40


@pytest.fixture
def plainly(world: World) -> World:
    """The model answers the texts of the objects that it is shown."""
    world.model.says = texts_of
    return world


def shown(world: World) -> list[str]:
    """What the model was shown last, without the persona."""
    return [json.loads(said)["text"] if said.startswith("{") else said for said in world.model.prompts[-1][1:]]


async def test_what_was_said_in_another_topic_is_not_shown_to_the_model(plainly: World) -> None:
    bot = plainly.bot()
    async with bot.live():
        for number, (text, topic_id) in enumerate([("a", 3), ("b", 4), ("c", None), ("d", 3)], 11):
            await heard(plainly, bot, says(number, text, topic_id=topic_id, **FOR_IT))
            await plainly.wait_delivered(GROUP, number - 10)
    assert shown(plainly) == ["a", "re: a", "d"]
    assert [len(prompt) for prompt in plainly.model.prompts] == [2, 2, 2, 4]


async def test_typing_is_shown_in_the_topic_of_the_question(plainly: World) -> None:
    bot = plainly.bot()
    plainly.model.go.clear()
    async with bot.live():
        await heard(plainly, bot, says(11, "a", topic_id=3, **FOR_IT))
        await plainly.telegram.wait(lambda: ("typing", GROUP, 3) in plainly.telegram.shown)
        plainly.model.go.set()
        await plainly.wait_delivered(GROUP, 1)
    assert ("typing", GROUP) not in plainly.telegram.shown


async def test_a_long_past_of_a_topic_is_not_summed_up_and_no_summary_is_shown_there(plainly: World) -> None:
    bot = plainly.bot(history=2, summarize=2)
    plainly.model.says = lambda _turn: "said"
    async with bot.live():
        for number in range(11, 15):
            await heard(plainly, bot, says(number, "in topic", topic_id=3, **FOR_IT))
            await plainly.wait_delivered(GROUP, number - 10)
            await bot.conversations.idle_memory()
        assert len(plainly.model.prompts) == 4, "the answers alone"
        for number in range(15, 18):
            await heard(plainly, bot, says(number, "outside", **FOR_IT))
            await plainly.wait_delivered(GROUP, number - 10)
            await bot.conversations.idle_memory()
        assert (await plainly.path.remembered(GROUP, 2)).summary is not None
        summed_up = next(prompt for prompt in plainly.model.prompts if "notes" in prompt[0])
        assert "in topic" not in summed_up[1]
        await heard(plainly, bot, says(18, "again in topic", topic_id=3, **FOR_IT))
        await plainly.wait_delivered(GROUP, 8)
    assert shown(plainly) == ["in topic", "said", "again in topic"]


async def test_what_is_said_without_a_model_stays_in_the_topic_too(plainly: World) -> None:
    schedule = closed_for_days() | {"outsideHours": "Message", "message": "We are back on Monday."}
    bot = plainly.bot(schedule=schedule)
    async with bot.live():
        await heard(plainly, bot, says(11, "a", topic_id=3, **FOR_IT), says(12, "/stop", BOB, topic_id=4))
        await plainly.wait_delivered(GROUP, 2)
    said = {text: (reply_to, topic) for text, reply_to, topic in await replies(plainly)}
    assert said.pop(texts.STOPPED) == (12, 4)
    assert list(said.values()) == [(11, 3)]


async def test_under_a_channels_post_the_same_holds_for_its_comments(plainly: World) -> None:
    bot = plainly.bot()
    post = says(POST, "news", None, sender_kind=Sender.CHANNEL)
    async with bot.live():
        await heard(plainly, bot, post, says(41, "a", thread_id=POST, reply_to_message_id=POST, **FOR_IT))
        await plainly.wait_delivered(GROUP, 1)
        await heard(plainly, bot, says(42, "b", **FOR_IT))
        await plainly.wait_delivered(GROUP, 2)
        assert shown(plainly) == ["b"], "what is said under a post is no part of the group's conversation"
        await bot.outgoing.idle()
        ours = next(row.sent_message_id for row in await plainly.rows(outbox) if row.text == "re: b")
        await heard(plainly, bot, says(43, "c", thread_id=42, reply_to_message_id=ours, **FOR_IT))
        await plainly.wait_delivered(GROUP, 3)
        assert shown(plainly) == ["b", "re: b", "c"], "a thread that a person has begun is"
        await heard(plainly, bot, says(44, "d", BOB, thread_id=POST, reply_to_message_id=41, **FOR_IT))
        await plainly.wait_delivered(GROUP, 4)
        await settled(plainly)
    assert shown(plainly) == ["a", "re: a", "d"]
    assert [(reply_to, topic) for _, reply_to, topic in await replies(plainly)] == [
        (41, POST), (42, None), (43, None), (44, POST),
    ]  # fmt: skip
