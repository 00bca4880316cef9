"""Promises of groups: who is answered, by a reply, each by themselves; whose /stop counts; and two bots that come to an end."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from botfleet.store.messages import MessagePath
from botfleet.store.rows import Incoming, Intake
from botfleet.store.tables import Sender, outbox
from botrunner.conversation import texts
from tests.contracts.store.samples import incoming
from tests.integration.botrunner.conversation.conftest import Bot, World
from tests.integration.botrunner.conversation.fakes import FakeModel, FakeTelegram
from tests.waiting import until_async

GROUP, ALICE, BOB = -1_000_000_000_500, 5, 6
NAMES = {ALICE: "Alice", BOB: "Bob"}


def closed_for_days() -> dict[str, Any]:
    """Working hours, and none of them is now or soon."""
    days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    then = days[(datetime.now(UTC).weekday() + 3) % 7]
    return {"timeZone": "UTC", "workingHours": [{"days": [then], "from": "09:00", "to": "10:00"}]}


def says(message_id: int, text: str, sender: int | None = ALICE, peer_id: int = GROUP, **more: Any) -> Incoming:
    given = {"sender_id": sender, "sender_name": NAMES.get(sender or 0), "date": datetime.now(UTC)} | more
    return incoming(message_id, text, peer_id, **given)


async def heard(world: World, bot: Bot | None, *messages: Incoming) -> None:
    peers = await world.path.take_in(Intake(messages=messages))
    if bot is not None:
        bot.conversations.poke(peers)


async def settled(world: World, *peer_ids: int) -> None:
    """Nothing is pending any more."""

    async def nothing_pends() -> bool:
        return not [row for peer_id in (peer_ids or (GROUP,)) for row in await world.path.pending(peer_id)]

    await until_async(nothing_pends)


async def replies(world: World) -> list[tuple[str, int | None, int | None]]:
    rows = sorted(await world.rows(outbox), key=lambda row: int(row.position))
    return [(row.text, row.reply_to_message_id, row.topic_id) for row in rows]


def texts_of(turn: list[str]) -> str:
    return "re: " + " ".join(json.loads(line)["text"] if line.startswith("{") else line for line in turn)


@pytest.fixture
def plainly(world: World) -> World:
    """The model answers the texts of the objects that it is shown."""
    world.model.says = texts_of
    return world


async def test_what_is_for_somebody_else_is_not_answered_and_what_names_the_bot_is_by_a_reply(plainly: World) -> None:
    bot = plainly.bot()
    async with bot.live():
        await heard(
            plainly, bot, says(1, "hello Bob"), says(2, "@Concierge_Bot, breakfast?"), says(3, "me@concierge_bot")
        )
        assert await plainly.wait_delivered(GROUP, 1) == ["re: @Concierge_Bot, breakfast?"]
        await settled(plainly)
        await bot.at_rest()
    assert await replies(plainly) == [("re: @Concierge_Bot, breakfast?", 2, None)]
    assert await plainly.inbox() == [("skipped", "NotMentioned"), ("answered", None), ("skipped", "NotMentioned")]
    assert bot.metrics.skipped.labels("NotMentioned")._value.get() == 2


async def test_a_link_to_the_bots_account_is_a_mention_and_so_is_a_reply_to_one_of_its_messages(plainly: World) -> None:
    bot = plainly.bot()
    async with bot.live():
        await heard(plainly, bot, says(1, "this one, breakfast?", mentioned=True))
        await plainly.wait_delivered(GROUP, 1)
        await bot.outgoing.idle()
        (sent,) = [row.sent_message_id for row in await plainly.rows(outbox)]
        await heard(plainly, bot, says(2, "sure?", reply_to_message_id=sent), says(3, "no", reply_to_message_id=1))
        assert await plainly.wait_delivered(GROUP, 2) == ["re: this one, breakfast?", "re: sure?"]
        await settled(plainly)
    asked = json.loads(plainly.model.prompts[-1][-1])
    assert asked == {
        "from": "Alice",
        "id": ALICE,
        "in_reply_to": {"by_you": True, "text": "re: this one, breakfast?"},
        "text": "sure?",
    }


async def test_what_somebody_else_said_is_shown_when_it_is_answered_to_the_bot(plainly: World) -> None:
    bot = plainly.bot(access={"users": {"deny": [BOB]}})
    async with bot.live():
        await heard(plainly, bot, says(1, "a sunny room would be nice", 7, sender_name="Carol"), says(2, "psst", BOB))
        await settled(plainly)
        await heard(plainly, bot, says(3, "@concierge_bot any?", reply_to_message_id=1))
        await plainly.wait_delivered(GROUP, 1)
        await heard(plainly, bot, says(4, "@concierge_bot and?", reply_to_message_id=2))
        await plainly.wait_delivered(GROUP, 2)
    first, second = (json.loads(prompt[-1]) for prompt in plainly.model.prompts)
    assert first["in_reply_to"] == {"from": "Carol", "id": 7, "text": "a sunny room would be nice"}
    assert "in_reply_to" not in second, "who is denied is not read either"


async def test_two_people_who_ask_at_once_get_an_answer_each(plainly: World) -> None:
    await heard(
        plainly, None, says(1, "@concierge_bot a"), says(2, "@concierge_bot b", BOB), says(3, "c @concierge_bot")
    )
    bot = plainly.bot()
    async with bot.live():
        await plainly.wait_delivered(GROUP, 2)
        await settled(plainly)
    assert await replies(plainly) == [
        ("re: @concierge_bot a c @concierge_bot", 3, None),
        ("re: @concierge_bot b", 2, None),
    ]
    assert plainly.model.prompts[1][1:3] == [
        '{"from": "Alice", "id": 5, "text": "@concierge_bot a"}',
        '{"from": "Alice", "id": 5, "text": "c @concierge_bot"}',
    ], "the history of a group says who said what"


async def test_an_answer_stays_in_its_topic(plainly: World) -> None:
    at = {"mentioned": True}
    await heard(plainly, None, says(11, "a", topic_id=3, **at), says(12, "b", topic_id=4, **at), says(13, "c", **at))
    async with plainly.bot().live():
        await plainly.wait_delivered(GROUP, 3)
        await settled(plainly)
    assert await replies(plainly) == [("re: a", 11, 3), ("re: b", 12, 4), ("re: c", 13, None)]


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        (says(1, "a", mentioned=True), [1, None]),
        (says(1, "a", mentioned=True, topic_id=3), [1, 1]),
        (says(2, "a", mentioned=True, reply_to_message_id=1), [2, 2]),  # a comment under a post, or in a thread
        (says(1, "a", ALICE, ALICE), [None, None]),
    ],
)
async def test_of_a_long_answer_the_first_part_replies_and_all_that_would_leave_their_thread_otherwise(
    world: World, message: Incoming, answers: list[int | None]
) -> None:
    world.model.says = lambda _turn: "word " * 1000
    await heard(world, None, message)
    bot = world.bot()
    async with bot.live():
        await world.wait_delivered(message.peer_id, 2)
    assert [reply_to for _, reply_to, _ in await replies(world)] == answers


async def test_a_stop_in_a_group_is_its_senders_alone_and_for_everywhere(plainly: World) -> None:
    bot = plainly.bot(access={"groups": "All"})
    async with bot.live():
        await heard(plainly, bot, says(1, "/stop"))
        assert await plainly.wait_delivered(GROUP, 1) == [texts.STOPPED]
        await heard(plainly, bot, says(2, "a"), says(3, "b", BOB), says(4, "c", ALICE, ALICE))
        assert await plainly.wait_delivered(GROUP, 2) == [texts.STOPPED, "re: b"]
        await settled(plainly, GROUP, ALICE)
        await heard(plainly, bot, says(5, "/start@concierge_bot"), says(6, "d"))
        assert (await plainly.wait_delivered(GROUP, 4))[2:] == [texts.STARTED, "re: d"]
    reasons = {row[0]: row[1] for row in zip(range(1, 7), [r for _, r in await plainly.inbox()], strict=True)}
    assert sorted(key for key, reason in reasons.items() if reason == "OptedOut") == [2, 4], "of both chats"


async def test_a_stop_waits_for_nobody_elses_answer(plainly: World) -> None:
    plainly.model.go.clear()
    await heard(plainly, None, says(1, "@concierge_bot a"))
    bot = plainly.bot(schedule=closed_for_days())
    async with bot.live():
        await heard(plainly, bot, says(2, "/stop", BOB))
        assert await plainly.wait_delivered(GROUP, 1) == [texts.STOPPED]
    assert [row.message_id for row in await plainly.path.pending(GROUP)] == [1]
    assert (await plainly.path.silenced_of({ALICE, BOB, GROUP})).opted_out == {BOB}


async def test_a_stop_throws_only_its_senders_answer_away(plainly: World) -> None:
    bot = plainly.bot(access={"groups": "All"})
    plainly.model.go.clear()
    async with bot.live():
        await heard(plainly, bot, says(1, "a"))
        await plainly.model.wait_asked(1)
        await heard(plainly, bot, says(2, "/stop", BOB))
        plainly.model.go.set()
        await plainly.wait_delivered(GROUP, 2)
        assert sorted(plainly.telegram.delivered[GROUP]) == [texts.STOPPED, "re: a"]
    assert len(plainly.model.turns) == 1


async def test_an_answer_that_waits_to_be_sent_is_not_sent_to_who_said_stop_meanwhile(plainly: World) -> None:
    bot = plainly.bot(access={"groups": "All"})
    plainly.telegram.connected.clear()
    async with bot.live():
        await heard(plainly, bot, says(1, "a"), says(2, "b", BOB))
        await settled(plainly)
        await plainly.path.opt_out(ALICE)
        plainly.telegram.connected.set()
        assert await plainly.wait_delivered(GROUP, 1) == ["re: b"]
        await bot.outgoing.idle()
    assert await plainly.outbox() == [("cancelled", "OptedOut"), ("sent", None)]


async def test_an_admin_who_writes_anonymously_speaks_for_the_group(plainly: World) -> None:
    bot = plainly.bot(access={"groups": "All"})
    async with bot.live():
        await heard(plainly, bot, says(1, "/stop", GROUP))
        await plainly.wait_delivered(GROUP, 1)
        await heard(plainly, bot, says(2, "a"), says(3, "b", BOB), says(4, "c", ALICE, ALICE))
        await plainly.wait_delivered(ALICE, 1)
        await settled(plainly, GROUP, ALICE)
    assert plainly.telegram.delivered[GROUP] == [texts.STOPPED]


async def test_a_channels_posts_and_other_bots_words_are_not_answered(plainly: World) -> None:
    bot = plainly.bot(access={"groups": "All"})
    async with bot.live():
        await heard(
            plainly,
            bot,
            says(1, "news", None, sender_kind=Sender.CHANNEL),
            says(2, "@concierge_bot hello", 8, sender_kind=Sender.BOT),
            says(3, "/stop@concierge_bot", 8, sender_kind=Sender.BOT),
        )
        await settled(plainly)
        await bot.at_rest()
    assert await plainly.inbox() == [("skipped", "ChannelPost"), ("skipped", "FromBot"), ("skipped", "FromBot")]
    assert plainly.telegram.delivered == {}


async def test_two_bots_in_a_group_where_everything_is_answered_come_to_an_end(store: Any, lease: Any) -> None:
    """What one says, the other hears, as Telegram tells it: each answers the person, and none the other."""
    worlds = [World(store, MessagePath(store, lease, account), FakeModel(), FakeTelegram()) for account in (777, 778)]
    bots = [world.bot(access={"groups": "All"}) for world in worlds]
    for world in worlds:
        world.model.says = texts_of
    async with bots[0].live(), bots[1].live():
        for world, bot in zip(worlds, bots, strict=True):
            await heard(world, bot, says(1, "hello bots"))
        for number, (world, other, other_bot) in enumerate(zip(worlds, worlds[::-1], bots[::-1], strict=True), 2):
            (text,) = await world.wait_delivered(GROUP, 1)
            await heard(other, other_bot, says(number, text, 777 + number - 2, sender_kind=Sender.BOT))
        for world in worlds:
            await settled(world)
    assert [world.telegram.delivered for world in worlds] == [{GROUP: ["re: hello bots"]}] * 2
    assert [len(world.model.turns) for world in worlds] == [1, 1]


async def test_in_a_group_pictures_are_not_remarked_on_unless_they_are_for_the_bot(plainly: World) -> None:
    bot = plainly.bot(access={"groups": "All"})
    async with bot.live():
        await heard(plainly, bot, says(1, " "), says(2, " ", BOB, mentioned=True))
        assert await plainly.wait_delivered(GROUP, 1) == [bot.spec.conversation.media_text]
        await settled(plainly)
    assert await plainly.inbox() == [("skipped", "NoText"), ("answered", None)]
    assert (await replies(plainly))[0][1] == 2


async def test_in_a_group_who_is_blocked_is_not_answered_and_others_are(plainly: World) -> None:
    bot = plainly.bot()
    await plainly.path.block(ALICE, 42)
    async with bot.live():
        await heard(plainly, bot, says(1, "@concierge_bot a"), says(2, "@concierge_bot b", BOB))
        await settled(plainly)
        await bot.outgoing.idle()
    assert await replies(plainly) == [("re: @concierge_bot b", 2, None)]
    assert await plainly.inbox() == [("skipped", "Blocked"), ("answered", None)]


async def test_an_answer_to_who_is_blocked_before_it_is_sent_is_not_sent_to_a_group(plainly: World) -> None:
    bot = plainly.bot()
    plainly.telegram.connected.clear()
    async with bot.live():
        await heard(plainly, bot, says(1, "@concierge_bot a"), says(2, "@concierge_bot b", BOB))
        await settled(plainly)
        await plainly.path.block(ALICE, 42)
        plainly.telegram.connected.set()
        await plainly.wait_delivered(GROUP, 1)
        await bot.outgoing.idle()
    assert sorted(await plainly.outbox(), key=str) == [("cancelled", "Blocked"), ("sent", None)]
    assert plainly.telegram.delivered[GROUP] == ["re: @concierge_bot b"]


async def test_a_group_knows_start_and_stop_alone(plainly: World) -> None:
    """What others read along is no place for the rest; an admin's command is a text there, too."""
    bot = plainly.bot(admins=(ALICE,))
    async with bot.live():
        await heard(plainly, bot, says(1, "/forget"), says(2, "/pause"), says(3, "@concierge_bot /help"))
        await heard(plainly, bot, says(4, "/facts@concierge_bot 5", BOB))
        await settled(plainly)
        await bot.outgoing.idle()
    assert await plainly.inbox() == [("skipped", "NotMentioned")] * 2 + [("answered", None)] * 2
    assert await replies(plainly) == [
        ("re: @concierge_bot /help", 3, None),
        ("re: /facts@concierge_bot 5", 4, None),
    ]
    assert not bot.steering.paused
