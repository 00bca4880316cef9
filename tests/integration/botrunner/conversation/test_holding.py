"""Promises of what is held back: it waits, is answered together, and a restart changes nothing of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botfleet.effective import effective
from botfleet.spec import TelegramBotSpec
from botfleet.spec.behaviour import Disclosure
from botfleet.spec.schedule import MESSAGE
from botfleet.store.tables import outbox
from botrunner.conversation import texts
from botrunner.conversation.chats import Conversations
from botrunner.conversation.holding import WINDOW, Held, after_the_rush, outside_hours
from botrunner.conversation.policy import AskModel, ChatFacts, Pending, SkipMessages, next_step
from botrunner.conversation.skips import Skip
from tests.integration.botrunner.conversation.conftest import ME, Bot, World
from tests.unit.core.test_spec import MINIMAL

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
OFFICE: dict[str, Any] = {
    "timeZone": "UTC",
    "workingHours": [{"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "09:00", "to": "18:00"}],
}


class Clock:
    """The time that a bot believes it is."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def bot_at(world: World, clock: Clock, **spec: Any) -> Bot:
    """A bot whose conversations live by this clock."""
    bot = world.bot(**spec)
    bot.conversations = Conversations(
        bot.path, bot.spec, bot.model, ME, bot.outgoing.poke, bot.metrics, bot.telegram, bot.steering, now=clock
    )
    return bot


def ago(*seconds: float) -> Sequence[datetime]:
    return [NOW - timedelta(seconds=one) for one in seconds]


def rushed(answered_at: Sequence[datetime], limit: int, now: datetime) -> datetime | None:
    """Of all answers of a chat, the newest first, as the store tells the one that matters."""
    return after_the_rush(answered_at[limit - 1] if len(answered_at) >= limit else None, now)


def test_a_chat_is_answered_as_often_in_a_minute_as_the_owner_said() -> None:
    assert rushed([], 2, NOW) is None
    assert rushed(ago(1), 2, NOW) is None
    assert rushed(ago(1, 50), 2, NOW) == NOW + timedelta(seconds=10)
    assert rushed(ago(1, 60), 2, NOW) is None
    assert rushed(ago(1, 2, 3), 2, NOW) == NOW + timedelta(seconds=58)
    assert rushed(ago(-3600), 1, NOW) is None, "the clock was set back: nobody waits for an hour"


@given(st.lists(st.floats(0, 300), max_size=30), st.integers(1, 5))
def test_no_minute_has_more_answers_than_the_limit(gaps: list[float], limit: int) -> None:
    answered: list[datetime] = []
    now = NOW
    for gap in gaps:
        now += timedelta(seconds=gap)
        now = rushed(answered[::-1], limit, now) or now
        assert rushed(answered[::-1], limit, now) is None, "the wait is long enough"
        answered.append(now)
    for at in answered:
        assert sum(at - WINDOW < other <= at for other in answered) <= limit


async def test_what_is_asked_beyond_the_limit_of_a_minute_is_answered_later_together(world: World) -> None:
    clock = Clock(datetime.now(UTC))
    bot = bot_at(world, clock, per_minute=2)
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        clock.now = datetime.now(UTC)  # its minute has begun, however long that took
        await world.says(bot, "two", first=2)
        await world.wait_delivered(5, 2)
        await world.says(bot, "three", first=3)
        await world.says(bot, "elsewhere", first=9, peer_id=6)
        assert await world.wait_delivered(6, 1) == ["re: elsewhere"], "other chats go on"
        await world.says(bot, "/start", first=4, peer_id=6)
        await world.says(bot, "four", first=5)
    assert [row.text for row in await world.path.pending(5)] == ["three", "four"]
    again = bot_at(world, clock, per_minute=2)  # a restart in between changes nothing
    async with again.live():
        again.conversations.look_again()
        await world.says(again, "/stop", first=20, peer_id=6)
        await world.wait_delivered(6, 2)
        assert len(world.telegram.delivered[5]) == 2
    clock.now += 2 * WINDOW
    last = bot_at(world, clock, per_minute=2)
    async with last.live():
        assert await world.wait_delivered(5, 3) == ["re: one", "re: two", "re: three four"]


async def test_a_stop_is_heard_while_a_chat_is_held_back(world: World) -> None:
    clock = Clock(datetime.now(UTC))
    bot = bot_at(world, clock, per_minute=1)
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        clock.now = datetime.now(UTC)
        await world.says(bot, "two", first=2)
        await world.says(bot, "/stop", first=3)
        assert await world.wait_delivered(5, 2) == ["re: one", texts.STOPPED]


def spec(**schedule: Any) -> Any:
    return effective(TelegramBotSpec.model_validate({**MINIMAL["spec"], "schedule": {**OFFICE, **schedule}}))


def test_outside_of_the_hours_an_answer_is_held_until_they_begin_if_the_owner_wants_that() -> None:
    evening, opening = NOW.replace(hour=20), NOW.replace(day=26, hour=9)
    assert outside_hours(spec(), NOW) is None
    assert outside_hours(spec(), evening) == Held(opening)
    assert outside_hours(spec(outsideHours="Message"), evening) == Held(opening, MESSAGE, "closed:2026-11-25T18:00Z")
    assert outside_hours(spec(outsideHours="Reply"), evening) is None


@pytest.mark.parametrize(
    ("outside", "said"),
    [("Queue", []), ("Reply", ["re: one"]), ("Message", ["We sleep."])],
)
async def test_what_comes_outside_of_the_hours_waits_or_not_as_the_owner_said(
    world: World, outside: str, said: list[str]
) -> None:
    clock = Clock(NOW.replace(hour=20))
    schedule = {**OFFICE, "outsideHours": outside, "message": "We sleep."}
    bot = bot_at(world, clock, schedule=schedule)
    async with bot.live():
        await world.says(bot, "one")
        if said:
            await world.wait_delivered(5, 1)
        await bot.at_rest()  # nobody waits for hours in memory
        await bot.outgoing.idle()
    assert world.telegram.delivered.get(5, []) == said
    clock.now = NOW.replace(day=26, hour=9)
    async with bot_at(world, clock, schedule=schedule).live():
        expected = ["We sleep.", "re: one"] if outside == "Message" else ["re: one"]
        assert await world.wait_delivered(5, len(expected)) == expected


async def test_the_line_outside_of_the_hours_is_said_once_a_chat_and_closed_time(world: World) -> None:
    clock = Clock(NOW.replace(hour=20))
    parts: dict[str, Any] = {
        "schedule": {**OFFICE, "outsideHours": "Message", "message": "We sleep."},
        "disclosure": Disclosure.FIRST_REPLY,
    }
    for number in (1, 2):  # and a restart says nothing again
        bot = bot_at(world, clock, **parts)
        async with bot.live():
            await world.says(bot, "one", first=number)
            await world.says(bot, "two", first=number, peer_id=6)
            for peer_id in (5, 6):
                await world.wait_delivered(peer_id, 1)
            await bot.at_rest()
            await bot.outgoing.idle()
        clock.now += timedelta(hours=1)
    assert world.telegram.delivered == {5: [texts.disclosed("We sleep.")], 6: [texts.disclosed("We sleep.")]}
    clock.now = NOW.replace(day=26, hour=19)
    later = bot_at(world, clock, **parts)
    async with later.live():
        await world.wait_delivered(5, 2)
        await later.outgoing.idle()
    assert world.telegram.delivered[5] == [texts.disclosed("We sleep."), "We sleep."], "another closed time"
    assert [row.text for row in await world.path.pending(5)] == ["one", "one"], "and all of it waits"
    assert {row.cause for row in await world.rows(outbox) if row.peer_id == 5} == {
        "closed:2026-11-25T18:00Z",
        "closed:2026-11-26T18:00Z",
    }


def test_nobody_has_waited_too_long_because_of_the_hours() -> None:
    friday = datetime(2026, 11, 27, 19, tzinfo=UTC)
    monday = datetime(2026, 11, 30, 9, tzinfo=UTC)
    chat = ChatFacts(5, frozenset(), NOW, NOW)
    asked = [Pending(1, "a", friday, 5)]
    assert monday - friday > timedelta(hours=24)
    assert next_step(asked, chat, spec(), "bot", monday) == AskModel((1,), disclose=False)
    assert next_step(asked, chat, spec(outsideHours="Reply"), "bot", monday) == SkipMessages((1,), Skip.TOO_OLD)
    late = monday + timedelta(days=2, hours=7)
    assert next_step(asked, chat, spec(), "bot", late) == SkipMessages((1,), Skip.TOO_OLD), "three working days later"
