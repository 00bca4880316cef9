"""Promises of what messages carry, on a real store: heard and seen where the owner wants that, given up in the end, paid for once."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from botfleet.spec.behaviour import MEDIA_TEXT
from botfleet.store.rows import InboxRow, Intake, Media, Spending
from botrunner.conversation.media import WORDLESS
from botrunner.conversation.tokens import Estimate
from botrunner.model.messages import has_pictures
from botrunner.model.provider import Failure, NoAnswer
from botrunner.model.transcription import Heard
from botrunner.telegram.files import Fetched, NotNow, Unread
from tests.contracts.store.samples import incoming
from tests.integration.botrunner.conversation.conftest import Bot, World
from tests.integration.botrunner.conversation.fakes import Steps, Stumbling
from tests.unit.core.test_spec import MINIMAL

VOICE, PHOTO = Media("voice", "audio/ogg", 5000, 7), Media("photo", "image/jpeg")
MODEL = {
    **MINIMAL["spec"]["model"],
    "vision": True,
    "transcription": {"name": "whisper-1", "pricePerMinute": 0.006},
}
COST = Spending(date(2026, 11, 1), "whisper-1", 0, 0, 600)
PICTURE = Fetched(b"\xff\xd8\xffpicture")


@dataclass
class FakeFiles:
    """Gives what a test put there, first what it says comes first."""

    says: list[Fetched | Unread | NotNow] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    async def fetch(self, row: InboxRow, most: int) -> Fetched | Unread | NotNow:
        self.asked.append(row.message_id)
        if self.says:
            return self.says.pop(0)
        return PICTURE if (row.media or {}).get("kind") == "photo" else Fetched(b"sound")


@dataclass
class FakeHears:
    """Hears what a test says."""

    says: list[Heard | NoAnswer] = field(default_factory=list)
    asked: int = 0

    async def hear(self, data: bytes, kind: str | None) -> Heard | NoAnswer:
        self.asked += 1
        return self.says.pop(0) if self.says else Heard("two beds", COST)


class Reader(Bot):
    """A bot that sees and hears."""

    files: FakeFiles
    hears: FakeHears

    def __post_init__(self) -> None:
        super().__post_init__()
        self.files, self.hears = FakeFiles(), FakeHears()
        reading = self.conversations._reading
        reading._files, reading._hears = self.files, self.hears


def reader(world: World, **spec: object) -> Reader:
    bot = world.bot(model=MODEL, **spec)
    return Reader(bot.path, bot.model, bot.telegram, bot.spec)


async def sends(world: World, bot: Bot | None, *carried: tuple[str, Media], first: int = 1, **more: Any) -> None:
    now = datetime.now(UTC)
    messages = [
        replace(incoming(number, media=media, date=now, **more), text=text)
        for number, (text, media) in enumerate(carried, first)
    ]
    peers = await world.path.take_in(Intake(messages=tuple(messages)))
    if bot is not None:
        bot.conversations.poke(peers)


@contextlib.asynccontextmanager
async def living(world: World, **spec: object) -> AsyncIterator[Reader]:
    bot = reader(world, **spec)
    async with bot.live():
        yield bot


async def test_a_voice_message_is_answered_by_what_is_said_in_it_and_its_words_are_the_history(world: World) -> None:
    async with living(world) as bot:
        await sends(world, bot, ("", VOICE), ("a caption", VOICE))
        assert await world.wait_delivered(5, 1) == ["re: two beds a caption\ntwo beds"]
    history = [row.text for row in await world.path.history(5, 10)]
    assert history[:2] == ["two beds", "a caption\ntwo beds"]
    assert (await world.path.spent_on(COST.day)).micros == 1200


async def test_silence_is_asked_for_in_words(world: World) -> None:
    async with living(world) as bot:
        bot.hears.says = [Heard("", COST)]
        await sends(world, bot, ("", VOICE))
        assert await world.wait_delivered(5, 1) == [MEDIA_TEXT]
    assert world.model.turns == []


@pytest.mark.parametrize("tries", [1, 2])
async def test_while_the_transcription_is_away_a_message_waits_and_is_then_heard(world: World, tries: int) -> None:
    async with living(world) as bot:
        bot.hears.says = [NoAnswer(Failure.UNREACHABLE)] * tries
        await sends(world, bot, ("", VOICE))
        assert await world.wait_delivered(5, 1) == ["re: two beds"]
    assert bot.hears.asked == tries + 1


@pytest.mark.parametrize(
    ("failure", "tries"), [(Failure.UNREACHABLE, 3), (Failure.SERVER_ERROR, 3), (Failure.REFUSED_REQUEST, 1)]
)
async def test_a_transcription_that_fails_three_times_or_is_refused_ends_with_the_line(
    world: World, failure: Failure, tries: int
) -> None:
    async with living(world) as bot:
        bot.hears.says = [NoAnswer(failure)] * 9
        await sends(world, bot, ("", VOICE))
        assert await world.wait_delivered(5, 1) == [MEDIA_TEXT]
        assert bot.hears.asked == tries
        assert bot.metrics.media.labels("voice", failure.value)._value.get() == 1
        await sends(world, bot, ("my caption", VOICE), first=2)
        assert (await world.wait_delivered(5, 2))[1] == "re: my caption", "a caption stands by itself"
    assert await world.inbox() == [("answered", None)] * 2


async def test_pictures_are_shown_with_their_words_one_album_is_one_turn(world: World) -> None:
    async with living(world, debounce=0.05) as bot:
        await sends(world, bot, ("which one?", PHOTO), ("", PHOTO), ("", PHOTO), grouped_id=70)
        assert await world.wait_delivered(5, 1) == [f"re: which one? {WORDLESS} {WORDLESS}"]
    assert bot.conversations.estimate.of("x" * 4000) == Estimate().of("x" * 4000), (
        "what a picture costs says nothing about words"
    )
    (prompt,) = world.model.asked_with
    assert [message["picture"].alone for message in prompt if "picture" in message] == [False, True, True]
    assert await world.inbox() == [("answered", None)] * 3


async def test_in_a_group_an_album_is_for_the_bot_when_its_caption_is(world: World) -> None:
    async with living(world, debounce=0.05) as bot:
        group = {"peer_id": -100, "sender_id": 5, "grouped_id": 70}
        await sends(world, bot, ("@concierge_bot which?", PHOTO), ("", PHOTO), **group)
        await sends(world, bot, ("", PHOTO), first=3, peer_id=-100, sender_id=5)
        await world.wait_delivered(-100, 1)
        await bot.at_rest()
    assert sum("picture" in message for message in world.model.asked_with[0]) == 2
    assert await world.inbox() == [("answered", None)] * 2 + [("skipped", "NotMentioned")]


@pytest.mark.parametrize("why", [Unread.GONE, Unread.TOO_LARGE, Unread.REFUSED, Fetched(b"<html>")])
async def test_a_picture_that_cannot_be_read_leaves_its_caption_or_the_line(
    world: World, why: Unread | Fetched
) -> None:
    async with living(world) as bot:
        bot.files.says = [why]
        await sends(world, bot, ("a caption", PHOTO))
        assert await world.wait_delivered(5, 1) == ["re: a caption"]
        bot.files.says = [why]
        await sends(world, bot, ("", PHOTO), first=2)
        assert (await world.wait_delivered(5, 2))[1] == MEDIA_TEXT
    assert not any(has_pictures(prompt) for prompt in world.model.asked_with)


async def test_what_telegram_does_not_give_now_is_fetched_later_and_given_up_after_three_tries(world: World) -> None:
    async with living(world) as bot:
        bot.files.says = [NotNow(), NotNow()]
        await sends(world, bot, ("one", PHOTO))
        assert await world.wait_delivered(5, 1) == ["re: one"]
        assert has_pictures(world.model.asked_with[-1])
        bot.files.says = [NotNow()] * 9
        await sends(world, bot, ("two", PHOTO), first=2)
        assert (await world.wait_delivered(5, 2))[1] == "re: two"
        assert not has_pictures(world.model.asked_with[-1])
    assert bot.files.asked == [1] * 3 + [2] * 3


async def test_pictures_that_no_model_takes_are_asked_for_in_words(world: World) -> None:
    world.model.failures = [NoAnswer(Failure.REFUSED_REQUEST, pictures_refused=True)]
    async with living(world) as bot:
        await sends(world, bot, ("", PHOTO))
        assert await world.wait_delivered(5, 1) == [MEDIA_TEXT]
    assert await world.inbox() == [("answered", None)]


async def test_a_spent_budget_hears_nothing(world: World) -> None:
    bot = reader(world)
    budget = replace(bot.spec.limits.budget, tokens=1)
    bot = Reader(bot.path, bot.model, bot.telegram, replace(bot.spec, limits=replace(bot.spec.limits, budget=budget)))
    await world.path.note_spent([Spending(datetime.now(UTC).date(), "m", 1, 1, 0)])
    async with bot.live():
        await sends(world, bot, ("", VOICE))
        assert await world.wait_delivered(5, 1) == [bot.spec.limits.budget.exhausted_text]
    assert bot.hears.asked == 0


async def test_a_budget_that_a_voice_message_spends_hears_no_other_of_the_same_turn(world: World) -> None:
    bot = reader(world)
    budget = replace(bot.spec.limits.budget, tokens=1)
    bot = Reader(bot.path, bot.model, bot.telegram, replace(bot.spec, limits=replace(bot.spec.limits, budget=budget)))
    today = Spending(datetime.now(UTC).date(), "whisper-1", 1, 0, 600)
    bot.hears.says = [Heard("one", today), Heard("two", today), Heard("three", today)]
    async with bot.live():
        await sends(world, bot, ("", VOICE), ("", VOICE), ("", VOICE))
        assert await world.wait_delivered(5, 1) == [bot.spec.limits.budget.exhausted_text]
    assert bot.hears.asked == 1


async def test_killed_after_a_voice_message_was_heard_it_is_not_paid_for_again(world: World) -> None:
    first = reader(world)
    steps = Steps()
    first.conversations._reading._path = Stumbling(world.path, steps)  # type: ignore[assignment]
    world.model.go.clear()  # killed while the model writes
    async with first.live():
        await sends(world, first, ("", VOICE))
        await world.model.wait_asked(1)
    assert steps.names == ["note_words"]
    world.model.go.set()
    second = reader(world)
    async with second.live():
        assert await world.wait_delivered(5, 1) == ["re: two beds"]
    assert (first.hears.asked, second.hears.asked) == (1, 0)
    assert (await world.path.spent_on(COST.day)).micros == 600
