"""Promises of a conversation: one answer to what was said quickly, nothing said over a newer message, nothing lost by a failure."""

import asyncio
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from botfleet.spec.behaviour import Disclosure
from botfleet.store.errors import LeaseLost
from botfleet.store.rows import Deletion, Edit, Intake
from botfleet.store.tables import leases
from botrunner.conversation import chats, texts
from botrunner.conversation.chats import GENERATIONS, LONGEST_DEBOUNCE
from botrunner.conversation.policy import NEW_CONVERSATION_AFTER
from botrunner.model.provider import Failure, NoAnswer
from tests.integration.botrunner.conversation.conftest import World
from tests.integration.botrunner.conversation.fakes import turn_of
from tests.waiting import DEADLINE, until, until_async


@dataclass
class Clock:
    """The monotonic clock of the conversations, which a test sets."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(chats, "time", clock)
    return clock


async def drained(world: World, peer_id: int = 5) -> None:
    """Nothing is pending any more."""

    async def nothing_pends() -> bool:
        return not await world.path.pending(peer_id)

    await until_async(nothing_pends)


async def test_messages_that_come_quickly_get_one_answer(world: World, silence: asyncio.Event) -> None:
    bot = world.bot(debounce=60)
    async with bot.live():
        await world.says(bot, "one")
        await world.says(bot, "two", first=2)
        silence.set()
        assert await world.wait_delivered(5, 1) == ["re: one two"]
    assert world.model.turns == [["one", "two"]]
    assert await world.inbox() == [("answered", None)] * 2


async def test_somebody_who_never_pauses_is_answered_all_the_same(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = 3600.0  # seconds of the clock; the time that the test itself takes is nothing beside them
    bot, began, number = world.bot(debounce=quiet), clock.now, 1

    async def set_within(event: asyncio.Event, seconds: float) -> bool:
        """The next message comes when nine tenths of the silence are over."""
        nonlocal number
        clock.now += min(seconds, 0.9 * quiet)
        if seconds < 0.9 * quiet:
            return False
        number += 1
        await world.says(bot, str(number), first=number)
        return event.is_set()

    monkeypatch.setattr(chats, "set_within", set_within)
    async with bot.live():
        await world.says(bot, "1")
        await world.model.wait_asked(1)
        assert number > 1
    assert world.model.turns == [[str(one) for one in range(1, number + 1)]]
    assert clock.now - began == pytest.approx(LONGEST_DEBOUNCE * quiet)


async def test_a_message_during_generation_joins_before_anything_is_sent(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, "two", first=2)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == ["re: one two"]
        await bot.outgoing.idle()
    assert world.model.turns == [["one"], ["one", "two"]]


async def test_after_three_generations_the_answer_is_stored_and_what_came_later_gets_its_own(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "0", first=1)
        for number in range(1, GENERATIONS + 1):
            await world.model.wait_asked(number)
            await world.says(bot, str(number), first=number + 1)
            world.model.go.set()
            await asyncio.sleep(0)
            world.model.go.clear()
        world.model.go.set()
        assert await world.wait_delivered(5, 2) == ["re: 0 1 2", "re: 3"]
    assert world.model.turns == [["0"], ["0", "1"], ["0", "1", "2"], ["3"]]


async def test_a_picture_during_generation_costs_no_second_call(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, " ", first=2)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == ["re: one"]
    assert len(world.model.turns) == 1
    assert await world.inbox() == [("answered", None), ("skipped", "NoText")]


async def test_what_is_deleted_during_generation_is_not_answered(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.path.take_in(Intake(deletions=(Deletion(1),)))
        world.model.go.set()
        await drained(world)
        await bot.conversations.drain()
    assert await world.outbox() == []
    assert bot.metrics.answered._value.get() == 0


async def test_an_edit_during_generation_is_what_is_answered(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.path.take_in(Intake(edits=(Edit(5, 1, "not one", datetime.now(UTC)),)))
        world.model.go.set()
        await world.wait_delivered(5, 1)
        await bot.outgoing.idle()
    assert world.telegram.delivered == {5: ["re: not one"]}
    assert world.model.turns == [["one"], ["not one"]]


async def test_an_edit_during_generation_that_changes_no_word_costs_no_second_call(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.path.take_in(Intake(edits=(Edit(5, 1, "one", datetime.now(UTC)),)))
        world.model.go.set()
        await world.wait_delivered(5, 1)
    assert world.model.turns == [["one"]]


async def test_an_edit_to_stop_during_generation_is_obeyed(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.path.take_in(Intake(edits=(Edit(5, 1, "/stop", datetime.now(UTC)),)))
        world.model.go.set()
        await world.wait_delivered(5, 1)
        await bot.outgoing.idle()
    assert world.telegram.delivered == {5: [texts.STOPPED]}
    assert await world.path.opted_out(5)


async def test_a_stop_during_generation_throws_the_answer_away(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await world.says(bot, "/stop", first=2)
        world.model.go.set()
        assert await world.wait_delivered(5, 1) == [texts.STOPPED]
        await bot.outgoing.idle()
    assert len(world.model.turns) == 1
    assert await world.path.opted_out(5)
    assert await world.inbox() == [("skipped", "OptedOut"), ("answered", None)]


async def test_a_stop_during_the_last_generation_throws_the_answer_away_too(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "0", first=1)
        for number in range(1, GENERATIONS):
            await world.model.wait_asked(number)
            await world.says(bot, str(number), first=number + 1)
            world.model.go.set()
            await asyncio.sleep(0)
            world.model.go.clear()
        await world.model.wait_asked(GENERATIONS)
        await world.says(bot, "/stop", first=200)
        world.model.go.set()
        assert (await world.wait_delivered(5, 1))[-1] == texts.STOPPED
        await bot.outgoing.idle()
    assert world.telegram.delivered[5] == [texts.STOPPED]


async def test_a_command_behind_a_question_does_not_make_the_model_answer_three_times(world: World) -> None:
    await world.says(None, "one", "/start")
    bot = world.bot()
    async with bot.live():
        assert await world.wait_delivered(5, 2) == ["re: one", texts.STARTED]
    assert world.model.turns == [["one"]]


async def test_who_said_stop_is_not_answered_until_they_say_start(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "/stop", "one", "two", "/start@concierge_bot", "three")
        assert await world.wait_delivered(5, 3) == [texts.STOPPED, texts.STARTED, "re: three"]
    assert [reason for _, reason in await world.inbox()] == [None, "OptedOut", "OptedOut", None, None]


@pytest.mark.parametrize(
    ("history", "remembered"),
    [(0, []), (1, ["re: b"]), (3, ["re: a", "b", "re: b"]), (20, ["a", "re: a", "b", "re: b"])],
)
async def test_the_model_is_shown_as_many_earlier_messages_as_the_owner_said(
    world: World, history: int, remembered: list[str]
) -> None:
    bot = world.bot(history=history, summarize=0)
    async with bot.live():
        for number, text in enumerate(("a", "b", "c"), 1):
            await world.says(bot, text, first=number)
            await world.wait_delivered(5, number)
    assert world.model.prompts[-1][1:] == [*remembered, "c"]


async def test_the_first_reply_says_who_writes_and_the_next_does_not(world: World) -> None:
    bot = world.bot(disclosure=Disclosure.FIRST_REPLY)
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        await world.says(bot, "two", first=2)
        assert await world.wait_delivered(5, 2) == [texts.disclosed("re: one"), "re: two"]


@pytest.mark.parametrize(
    ("disclosure", "said_in"),
    [
        (Disclosure.EVERY_CONVERSATION, {"one", "three", "five"}),
        (Disclosure.FIRST_REPLY, {"one"}),
        (Disclosure.ON_REQUEST, set()),
    ],
)
async def test_who_writes_is_said_in_every_conversation_once_if_the_owner_wants_that(
    world: World, disclosure: Disclosure, said_in: set[str]
) -> None:
    conversations = [["one", "two"], ["three", "four"], ["five", "six"]]
    numbers = itertools.count(1)
    for conversation in conversations:
        bot = world.bot(disclosure=disclosure)  # another run each time: what was said is remembered in the store
        async with bot.live():
            for text, number in zip(conversation, numbers, strict=False):
                await world.says(bot, text, first=number)
                await world.wait_delivered(5, number)
        await world.time_passes(NEW_CONVERSATION_AFTER + timedelta(minutes=1))
    expected = [
        texts.disclosed(f"re: {text}") if text in said_in else f"re: {text}" for text in itertools.chain(*conversations)
    ]
    assert world.telegram.delivered[5] == expected


async def test_a_pause_within_a_conversation_and_somebody_elses_conversation_begin_no_new_one(world: World) -> None:
    bot = world.bot(disclosure=Disclosure.EVERY_CONVERSATION)
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        for number, text in ((2, "two"), (3, "three")):
            await world.time_passes(NEW_CONVERSATION_AFTER - timedelta(minutes=1))
            await world.says(bot, text, first=number)
            await world.wait_delivered(5, number)
        await world.says(bot, "hello", first=4, peer_id=6)
        assert await world.wait_delivered(6, 1) == [texts.disclosed("re: hello")]
        assert world.telegram.delivered[5] == [texts.disclosed("re: one"), "re: two", "re: three"]


async def test_a_start_that_has_just_said_who_writes_is_part_of_the_conversation(world: World) -> None:
    bot = world.bot(disclosure=Disclosure.EVERY_CONVERSATION)
    async with bot.live():
        for first in (1, 3):
            await world.says(bot, "/start", first=first)
            await world.wait_delivered(5, first)
            await world.says(bot, "one", first=first + 1)
            assert (await world.wait_delivered(5, first + 1))[-2:] == [texts.STARTED, "re: one"]
            await world.time_passes(NEW_CONVERSATION_AFTER + timedelta(minutes=1))


async def test_a_model_without_an_answer_is_asked_again_and_the_message_stays_pending(world: World) -> None:
    bot = world.bot()
    world.model.failures = [NoAnswer(failure) for failure in (Failure.SERVER_ERROR, Failure.EMPTY_ANSWER)]
    async with bot.live():
        await world.says(bot, "one")
        assert await world.wait_delivered(5, 1) == ["re: one"]
    assert world.model.turns == [["one"]] * 3


async def test_the_model_is_not_asked_before_the_time_that_it_named(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, waits = world.bot(), list[float]()

    async def set_within(event: asyncio.Event, seconds: float) -> bool:
        """Nothing but a poke ends a wait."""
        waits.append(seconds)
        return await event.wait()

    async def looked() -> None:
        """The worker has been poked, has looked, and waits again."""
        so_far = len(waits)
        await until(lambda: len(waits) > so_far)

    monkeypatch.setattr(chats, "set_within", set_within)
    world.model.failures = [NoAnswer(Failure.RATE_LIMITED, retry_after=1)]
    async with bot.live():
        before = clock.now
        await world.says(bot, "one")
        await until(lambda: waits == [1])
        await world.says(bot, "two", first=2)  # being told of a message is no reason to ask sooner
        await looked()
        clock.now += 0.75
        bot.look_again()
        await looked()
        assert waits[-1] == 0.25
        assert world.model.turns == [["one"]]
        clock.now += 0.25
        bot.look_again()
        assert await world.wait_delivered(5, 1) == ["re: one two"]
        assert clock.now - before >= 1
    assert world.model.turns == [["one"], ["one", "two"]]


async def test_while_the_model_is_to_be_left_alone_a_stop_takes_effect_at_once(world: World) -> None:
    bot = world.bot()
    world.model.failures = [NoAnswer(Failure.QUOTA_EXHAUSTED, retry_after=3600)]
    async with bot.live():
        await world.says(bot, "one", peer_id=6)
        await world.model.wait_asked(1)
        await world.says(bot, "/stop", first=2, peer_id=6)
        assert await world.wait_delivered(6, 1) == [texts.STOPPED]
    assert len(world.model.turns) == 1


async def test_chats_go_on_side_by_side_up_to_the_bound_that_the_owner_said(world: World) -> None:
    bot = world.bot(concurrent=3)
    world.model.go.clear()
    people = range(5, 5 + 3 + 3)
    async with bot.live():
        for peer_id in people:
            await world.says(bot, "hello", peer_id=peer_id, first=peer_id * 10)
        await world.model.wait_asked(3)
        world.model.go.set()
        for peer_id in people:
            await world.wait_delivered(peer_id, 1)
    assert world.model.most_busy == 3


async def test_what_a_former_run_left_is_answered_without_being_told(world: World) -> None:
    for peer_id in range(10, 13):
        await world.says(None, "hello", peer_id=peer_id, first=peer_id)
    bot = world.bot()
    async with bot.live():
        for peer_id in range(10, 13):
            assert await world.wait_delivered(peer_id, 1) == ["re: hello"]


async def test_what_was_stored_untold_is_found_when_told_to_look(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        await world.says(None, "two", first=2)
        bot.conversations.look_again()
        assert await world.wait_delivered(5, 2) == ["re: one", "re: two"]


async def test_a_drain_lets_the_running_answer_be_stored_and_begins_nothing_new(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        draining = asyncio.create_task(bot.conversations.drain())
        await asyncio.sleep(0)
        await world.says(bot, "two", first=2)
        await world.says(bot, "other", first=3, peer_id=6)
        world.model.go.set()
        await asyncio.wait_for(draining, DEADLINE)
        await bot.outgoing.idle()
    assert world.telegram.delivered == {5: ["re: one"]}
    assert world.model.turns == [["one"]], "a newer message does not make it generate again"
    assert [row.message_id for row in await world.path.pending(5)] == [2]


async def test_a_stop_during_a_drain_throws_the_running_answer_away(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        draining = asyncio.create_task(bot.conversations.drain())
        await asyncio.sleep(0)
        await world.says(bot, "/stop", first=2)
        world.model.go.set()
        await asyncio.wait_for(draining, DEADLINE)
        await bot.outgoing.idle()
    assert world.telegram.delivered == {5: [texts.STOPPED]}
    assert await world.path.opted_out(5)
    assert world.model.turns == [["one"]]


async def test_a_drain_ends_a_debounce(world: World) -> None:
    bot = world.bot(debounce=60)
    async with bot.live():
        await world.says(bot, "one")
        await asyncio.wait_for(bot.conversations.drain(), DEADLINE)
    assert await world.inbox() == [("pending", None)]
    assert world.model.turns == []


async def test_a_drain_ends_a_back_off(world: World) -> None:
    bot = world.bot()
    world.model.failures = [NoAnswer(Failure.RATE_LIMITED, retry_after=3600)]
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(1)
        await asyncio.wait_for(bot.conversations.drain(), DEADLINE)
    assert await world.inbox() == [("pending", None)]
    assert world.model.turns == [["one"]]


async def test_nothing_is_kept_of_a_chat_that_is_served(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        async with asyncio.timeout(DEADLINE):
            await bot.outgoing.idle()
            await bot.conversations._workers.idle()
        assert bot.conversations._workers._poked == {}
        assert bot.outgoing._workers._poked == {}


async def test_a_lost_lease_ends_it_and_nothing_is_stored(world: World) -> None:
    bot = world.bot()
    world.model.go.clear()
    with pytest.raises(ExceptionGroup) as ended:
        async with bot.live():
            await world.says(bot, "one")
            await world.model.wait_asked(1)
            async with world.store.begin() as connection:
                await connection.execute(sa.update(leases).values(token=4))
            world.model.go.set()
            await until(lambda: not bot.conversations._workers._poked)
    assert ended.group_contains(LeaseLost)
    assert await world.outbox() == []


def test_the_fake_models_turn_is_what_was_said_since_the_bot_spoke() -> None:
    said = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    assert turn_of([{"role": role, "content": text} for role, text in said]) == ["c"]  # type: ignore[typeddict-item]


async def test_a_poke_while_everything_ends_is_no_error_of_its_own(world: World) -> None:
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
    bot.conversations.poke([7])
    bot.outgoing.poke(7)
    assert bot.outgoing._workers._poked == {}
