"""Promises of `botrunner chat`: the same rules and prompt as on Telegram, and a failure in words with what to do."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from botfleet.effective import EffectiveSpec, effective
from botfleet.manifest import parse_bot
from botrunner.conversation import texts
from botrunner.conversation.prompt import TRUTHFUL
from botrunner.model.pace import Allowance
from botrunner.model.provider import Answer, ChatMessage, Failure, NoAnswer
from botrunner.terminal.chat import Outcome, Talk, hold, told
from tests.unit.core.test_spec import bot


def spec(**changes: object) -> EffectiveSpec:
    return effective(parse_bot(bot(**changes), "here").spec)


class Echo:
    """A model that says which question it was, and keeps what it was asked."""

    allowance: Allowance | None = None

    def __init__(self, *instead: NoAnswer) -> None:
        self.asked: list[Sequence[ChatMessage]] = []
        self._instead = list(instead)

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        self.asked.append(messages)
        return self._instead.pop(0) if self._instead else Answer(f"**answer** {len(self.asked)}", False, 1, 1)

    async def close(self) -> None:
        """It has no connections."""


def talked(model: Echo, spec: EffectiveSpec, *lines: str) -> tuple[list[str], bool]:
    shown: list[str] = []
    with asyncio.Runner() as runner:
        whole = hold(Talk(spec, model), spec, "concierge", iter(lines), runner.run, shown.append)
    return shown, whole


def test_persona_prompt_and_history_are_those_of_the_bot() -> None:
    model = Echo()
    shown, whole = talked(model, spec(), "one", "", "two")
    assert whole
    assert shown == [f"concierge: {texts.DISCLOSURE}\n\n  answer 1", "concierge: answer 2"]
    system, *rest = model.asked[1]
    assert system["content"] == f"You are the concierge.\n\n{TRUTHFUL}"
    assert [(one["role"], one["content"]) for one in rest] == [
        ("user", "one"),
        ("assistant", f"{texts.DISCLOSURE}\n\nanswer 1"),
        ("user", "two"),
    ]


@pytest.mark.parametrize(("messages", "seen"), [(0, 0), (2, 2), (20, 4)])
def test_no_more_history_is_shown_to_the_model_than_the_bot_would_show(messages: int, seen: int) -> None:
    model = Echo()
    talked(model, spec(spec__conversation={"historyMessages": messages}), "one", "two", "three")
    assert len(model.asked[-1]) == 1 + seen + 1


def test_no_more_tokens_of_history_are_shown_than_the_bot_would_show() -> None:
    model = Echo()
    talked(model, spec(spec__conversation={"historyTokens": 100}), "long " * 60, "two", "three")
    assert not any("long" in str(one["content"]) for one in model.asked[2][1:])
    assert [one["content"] for one in model.asked[2][-3:]] == ["two", "answer 2", "three"]


def test_stop_and_start_work_as_for_anybody_and_quit_ends_it() -> None:
    model = Echo()
    shown, _ = talked(model, spec(), "/stop", "one", "/start", "two", "/quit", "three")
    assert shown == [
        f"concierge: {texts.STOPPED}",
        "  (The bot says nothing: /start brings it back.)",
        f"concierge: {texts.STARTED}",
        "concierge: answer 1",
    ]


async def test_who_writes_is_said_as_often_as_the_owner_wants() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    every = Talk(spec(spec__persona__disclosure="EveryConversation"), Echo(), now=lambda: now)
    first, second = await every.say("a"), await every.say("b")
    now += timedelta(hours=7)
    third = await every.say("c")
    assert [texts.DISCLOSURE in str(said) for said in (first, second, third)] == [True, False, True]
    assert texts.DISCLOSURE not in str(await Talk(spec(spec__persona__disclosure="OnRequest"), Echo()).say("a"))


def test_a_question_without_an_answer_is_told_and_is_no_part_of_the_conversation() -> None:
    model = Echo(NoAnswer(Failure.UNAUTHORIZED))
    shown, whole = talked(model, spec(), "one", "two")
    assert whole
    assert shown[0] == (
        "! The endpoint refuses the key. Put the right one into Secret openai, key api-key; the model may also be closed to it."
    )
    assert shown[1].startswith(f"concierge: {texts.DISCLOSURE}")
    assert [one["content"] for one in model.asked[1]][1:] == ["two"]
    assert talked(Echo(NoAnswer(Failure.TIMEOUT)), spec(), "one")[1] is False


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_of_the_model_has_words_that_say_what_to_do(failure: Failure) -> None:
    words = told(NoAnswer(failure, retry_after=3), spec())
    assert "{" not in words
    assert words.endswith("(It asks to wait 3 s.)")
    assert any(verb in words for verb in ("Check", "Say it again", "say it again", "Put", "Add"))


def test_control_c_while_the_model_writes_ends_the_question() -> None:
    def lines() -> Iterator[str]:
        yield "one"

    def interrupted(call: object) -> Outcome:
        call.close()  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold(Talk(spec(), Echo()), spec(), "c", lines(), interrupted, print)
