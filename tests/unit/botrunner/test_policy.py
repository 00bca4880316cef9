"""Promises of what is done with pending messages: commands, opt-out, disclosure, age; all decided without a clock."""

from datetime import UTC, datetime, timedelta

import pytest

from botfleet.effective import Persona
from botfleet.spec import Disclosure
from botrunner.conversation.policy import (
    MAXIMUM_AGE,
    NEW_CONVERSATION_AFTER,
    TELEGRAM_SERVICE,
    TURN_LIMIT,
    AskModel,
    ChatFacts,
    Command,
    Pending,
    RunCommand,
    Skip,
    SkipMessages,
    command_of,
    next_step,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIRST = Persona("You are.", Disclosure.FIRST_REPLY)


def pending(*texts: str, age: timedelta = timedelta(0)) -> list[Pending]:
    return [Pending(i, text, NOW - age) for i, text in enumerate(texts, 1)]


def chat(
    peer_id: int = 7,
    opted_out: bool = False,
    disclosed_at: datetime | None = NOW,
    last_said_at: datetime | None = NOW,
) -> ChatFacts:
    return ChatFacts(peer_id, opted_out, disclosed_at, last_said_at)


def test_several_messages_are_answered_together() -> None:
    assert next_step(pending("a", "b"), chat(), FIRST, "bot", NOW) == AskModel((1, 2), disclose=False)


def test_nothing_pending_is_nothing_to_do() -> None:
    assert next_step([], chat(), FIRST, "bot", NOW) is None


def test_what_was_asked_before_a_stop_is_not_answered_any_more() -> None:
    messages = pending("a", "/stop", "b")
    assert next_step(messages, chat(), FIRST, "bot", NOW) == SkipMessages((1,), Skip.OPTED_OUT)
    assert next_step(messages[1:], chat(), FIRST, "bot", NOW) == RunCommand(2, Command.STOP)
    assert next_step(messages[2:], chat(opted_out=True), FIRST, "bot", NOW) == SkipMessages((3,), Skip.OPTED_OUT)


def test_somebody_who_opted_out_can_come_back() -> None:
    messages = pending("a", "/start", "b")
    assert next_step(messages, chat(opted_out=True), FIRST, "bot", NOW) == SkipMessages((1,), Skip.OPTED_OUT)
    assert next_step(messages[1:], chat(opted_out=True), FIRST, "bot", NOW) == RunCommand(2, Command.START)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/stop", Command.STOP),
        ("/STOP now", Command.STOP),
        ("/stop@Bot", Command.STOP),
        ("/stop@other", None),
        ("/start deep-link", Command.START),
        ("stop", None),
        ("/stopper", None),
        ("/", None),
        ("", None),
        ("  /stop", Command.STOP),
    ],
)
def test_commands_are_known_by_their_first_word(text: str, command: Command | None) -> None:
    assert command_of(text, "bot") == command


@pytest.mark.parametrize(
    ("disclosure", "disclosed_at", "last_said_at", "discloses"),
    [
        (Disclosure.FIRST_REPLY, None, None, True),
        (Disclosure.FIRST_REPLY, NOW - timedelta(days=99), NOW - timedelta(days=99), False),
        (Disclosure.EVERY_CONVERSATION, None, None, True),
        (Disclosure.EVERY_CONVERSATION, NOW - timedelta(days=1), NOW - NEW_CONVERSATION_AFTER * 2, True),
        (Disclosure.EVERY_CONVERSATION, NOW - timedelta(days=1), NOW - NEW_CONVERSATION_AFTER / 2, False),
        (Disclosure.EVERY_CONVERSATION, NOW, None, False),
        (Disclosure.EVERY_CONVERSATION, NOW, NOW - timedelta(days=1), False),
        (Disclosure.EVERY_CONVERSATION, NOW - timedelta(days=1), None, True),
        (Disclosure.ON_REQUEST, None, None, False),
    ],
)
def test_a_bot_says_that_it_is_an_ai_when_its_owner_chose(
    disclosure: Disclosure, disclosed_at: datetime | None, last_said_at: datetime | None, discloses: bool
) -> None:
    facts = chat(disclosed_at=disclosed_at, last_said_at=last_said_at)
    assert next_step(pending("a"), facts, Persona("p", disclosure), "bot", NOW) == AskModel((1,), disclose=discloses)


def test_what_is_too_old_gets_no_late_answer_but_a_stop_is_never_too_old() -> None:
    old = pending("a", "/stop", age=MAXIMUM_AGE * 2)
    assert next_step(old[:1], chat(), FIRST, "bot", NOW) == SkipMessages((1,), Skip.TOO_OLD)
    assert next_step(old[1:], chat(), FIRST, "bot", NOW) == RunCommand(2, Command.STOP)


def test_of_a_long_backlog_the_newest_are_answered() -> None:
    step = next_step(pending(*(["a"] * (TURN_LIMIT + 3))), chat(), FIRST, "bot", NOW)
    assert step == SkipMessages((1, 2, 3), Skip.BACKLOG_TRUNCATED)


def test_groups_telegrams_own_messages_and_messages_without_words_are_not_answered() -> None:
    assert next_step(pending("a"), chat(peer_id=-5), FIRST, "bot", NOW) == SkipMessages((1,), Skip.NOT_PRIVATE)
    assert next_step(pending("a"), chat(TELEGRAM_SERVICE), FIRST, "bot", NOW) == SkipMessages((1,), Skip.SERVICE)
    assert next_step(pending("", "b"), chat(), FIRST, "bot", NOW) == SkipMessages((1,), Skip.NO_TEXT)
