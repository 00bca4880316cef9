"""Promises of a bot whose model has no answer: an outage is waited out, nonsense has an end, and the person is told if the owner likes."""

import asyncio
from typing import Any

import pytest

from botfleet.store.rows import Deletion, Intake, Spending
from botfleet.store.usage import Spent
from botrunner.conversation import texts
from botrunner.conversation.trouble import PATIENCE, TRIES, Failed, Trouble
from botrunner.model.provider import Failure, NoAnswer
from tests.integration.botrunner.conversation.conftest import World
from tests.integration.botrunner.conversation.test_budget import TODAY
from tests.integration.botrunner.conversation.test_chats import drained

SORRY = "Nobody is here just now. Your message is kept."
ENDS = [
    (Failure.REFUSED_REQUEST, Failed.MODEL_REFUSED),
    (Failure.BAD_ANSWER, Failed.BAD_ANSWER),
    (Failure.EMPTY_ANSWER, Failed.EMPTY_ANSWER),
]


def outage(times: int, failure: Failure = Failure.UNREACHABLE) -> list[NoAnswer]:
    return [NoAnswer(failure)] * times


@pytest.mark.parametrize(("failure", "reason"), ENDS)
async def test_a_turn_that_gets_no_usable_answer_three_times_is_given_up_with_its_reason(
    world: World, failure: Failure, reason: Failed
) -> None:
    bot = world.bot()
    world.model.failures = [NoAnswer(failure)] * TRIES
    async with bot.live():
        await world.says(bot, "one", "two")
        await drained(world)
        assert await world.inbox() == [("failed", reason.value)] * 2
        await world.says(bot, "three", first=3)
        assert await world.wait_delivered(5, 1) == ["re: three"], "and the chat goes on"
    assert world.model.turns == [["one", "two"]] * TRIES + [["three"]]
    assert bot.metrics.registry.get_sample_value("botfleet_runner_messages_failed_total", {"reason": reason.value}) == 2
    assert world.telegram.delivered[5] == ["re: three"], "nothing was said about it"


@pytest.mark.parametrize("failure", [failure for failure in Failure if failure.passes])
async def test_what_passes_ends_no_turn_however_often_it_comes(world: World, failure: Failure) -> None:
    bot = world.bot()
    world.model.failures = outage(TRIES * 3, failure)
    async with bot.live():
        await world.says(bot, "one")
        assert await world.wait_delivered(5, 1) == ["re: one"]
    assert len(world.model.turns) == TRIES * 3 + 1
    assert await world.inbox() == [("answered", None)]


async def test_an_outage_in_between_gives_no_further_tries(world: World) -> None:
    bot = world.bot()
    empty = NoAnswer(Failure.EMPTY_ANSWER)
    world.model.failures = [empty, *outage(2), empty, *outage(2), empty]
    async with bot.live():
        await world.says(bot, "one")
        await drained(world)
    assert await world.inbox() == [("failed", Failed.EMPTY_ANSWER.value)]
    assert len(world.model.turns) == 7


def test_what_is_said_meanwhile_makes_another_turn_with_tries_of_its_own() -> None:
    trouble, empty = Trouble(), NoAnswer(Failure.EMPTY_ANSWER)
    given_up = [trouble.no_answer(turn, empty, 0.0) for turn in ("one", "one", "one two", "one two", "one two")]
    assert given_up == [None, None, None, None, Failed.EMPTY_ANSWER]


async def test_a_turn_given_up_by_a_runner_that_is_killed_is_tried_anew_and_not_lost(world: World) -> None:
    await world.says(None, "one")
    world.model.failures = [NoAnswer(Failure.BAD_ANSWER)] * TRIES
    first = world.bot()
    path: Any = _StopsAt(world.path, "close_inbox")
    first.conversations._path = path
    async with first.live():
        await path.stopped.wait()
    assert await world.inbox() == [("pending", None)]
    second = world.bot()
    async with second.live():
        assert await world.wait_delivered(5, 1) == ["re: one"]


class _StopsAt:
    """A store at one of whose calls a runner is killed."""

    def __init__(self, path: object, name: str) -> None:
        self._path, self._name = path, name
        self.stopped = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        if name != self._name:
            return getattr(self._path, name)

        async def stop(*_: object, **__: object) -> None:
            self.stopped.set()
            await asyncio.Event().wait()

        return stop


async def test_in_an_outage_the_person_is_told_once_if_the_owner_wants_that_and_answered_when_it_is_over(
    world: World,
) -> None:
    bot = world.bot(unavailable=SORRY)
    world.model.failures = outage(PATIENCE * 4)
    async with bot.live():
        await world.says(bot, "one")
        await world.model.wait_asked(PATIENCE + 1)
        world.model.fail.clear()  # the outage lasts until "two" was said
        await world.says(bot, "two", first=2)
        world.model.fail.set()
        assert await world.wait_delivered(5, 2) == [SORRY, "re: one two"]
        world.model.failures = outage(PATIENCE)
        await world.says(bot, "three", first=3)
        assert await world.wait_delivered(5, 4) == [SORRY, "re: one two", SORRY, "re: three"], "another outage"
    assert await world.inbox() == [("answered", None)] * 3
    assert [row.text for row in await world.path.history(5, 20)] == ["one", "two", "re: one two", "three", "re: three"]


async def test_each_outage_is_told_also_to_who_waits_through_two_of_them(world: World) -> None:
    def says(turn: list[str]) -> str:
        world.model.failures = outage(PATIENCE) if turn == ["one"] else []
        return f"re: {turn[-1]}"

    world.model.says, world.model.failures = says, outage(PATIENCE)
    await world.says(None, "one", "/start", "three")
    bot = world.bot(unavailable=SORRY)
    async with bot.live():
        assert await world.wait_delivered(5, 5) == [SORRY, "re: one", texts.STARTED, SORRY, "re: three"]


def test_an_outage_is_named_after_the_message_that_waited_first_until_somebody_answers() -> None:
    trouble = Trouble()
    assert [trouble.began_with(oldest) for oldest in (7, 9)] == [7, 7]
    trouble.is_answered()
    assert trouble.began_with(9) == 9


async def test_a_stumble_is_not_worth_a_word_but_a_long_wait_that_was_named_is(world: World) -> None:
    bot = world.bot(unavailable=SORRY)
    world.model.failures = outage(PATIENCE - 1)
    async with bot.live():
        await world.says(bot, "one")
        assert await world.wait_delivered(5, 1) == ["re: one"]
        world.model.failures = [NoAnswer(Failure.QUOTA_EXHAUSTED, retry_after=3600)]
        await world.says(bot, "two", peer_id=6, first=2)
        assert await world.wait_delivered(6, 1) == [SORRY]


async def test_an_outage_that_nobody_wants_to_speak_of_is_silent(world: World) -> None:
    bot = world.bot()
    world.model.failures = outage(PATIENCE * 2)
    async with bot.live():
        await world.says(bot, "one")
        assert await world.wait_delivered(5, 1) == ["re: one"]


async def test_told_before_a_kill_the_person_is_not_told_again_after_it(world: World) -> None:
    first = world.bot(unavailable=SORRY)
    world.model.failures = outage(1000)
    async with first.live():
        await world.says(first, "one")
        await world.wait_delivered(5, 1)
    second = world.bot(unavailable=SORRY)
    asked = len(world.model.turns)
    async with second.live():
        await world.model.wait_asked(asked + PATIENCE + 2)
        world.model.failures = []
        assert await world.wait_delivered(5, 2) == [SORRY, "re: one"]


async def test_a_turn_that_is_given_up_is_told_too_if_the_owner_wants_that(world: World) -> None:
    bot = world.bot(unavailable=SORRY)
    world.model.failures = [NoAnswer(Failure.EMPTY_ANSWER)] * TRIES
    async with bot.live():
        await world.says(bot, "one")
        assert await world.wait_delivered(5, 1) == [SORRY]
        await drained(world)
    assert await world.inbox() == [("failed", Failed.EMPTY_ANSWER.value)]


async def test_who_said_stop_or_took_the_question_back_is_told_nothing(world: World) -> None:
    bot = world.bot(unavailable=SORRY)
    world.model.failures = [NoAnswer(Failure.QUOTA_EXHAUSTED, retry_after=3600)] * 2
    world.model.fail.clear()
    async with bot.live():
        await world.says(bot, "one", peer_id=6)
        await world.says(bot, "two", peer_id=7, first=2)
        await world.model.wait_asked(2)
        await world.says(bot, "/stop", peer_id=6, first=3)
        await world.path.take_in(Intake(deletions=(Deletion(2),)))
        world.model.fail.set()
        assert await world.wait_delivered(6, 1) == [texts.STOPPED]
        await bot.outgoing.idle()
    assert 7 not in world.telegram.delivered


async def test_what_was_thrown_away_is_counted_before_the_next_try(world: World) -> None:
    bot = world.bot()
    paid = (Spending(TODAY, "m", 5, 1, 0),)
    world.model.failures = [NoAnswer(Failure.EMPTY_ANSWER, spent=paid)] * 2
    world.model.spent = (Spending(TODAY, "m", 100, 0, 0),)
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
    assert await world.path.spent_on(TODAY) == Spent(112, 0)


def test_the_next_question_waits_longer_each_time_or_as_long_as_the_endpoint_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()  # the back-off as it is
    trouble = Trouble()
    waits = []
    for _ in range(8):
        trouble.no_answer("turn", NoAnswer(Failure.TIMEOUT), 100.0)
        waits.append(trouble.again_at - 100)
    assert all(2.0**n / 2 <= wait <= 2.0**n for n, wait in enumerate(waits[:6]))
    assert all(30 <= wait <= 60 for wait in waits[6:])
    trouble.no_answer("turn", NoAnswer(Failure.RATE_LIMITED, retry_after=7), 100.0)
    assert trouble.again_at == 107
