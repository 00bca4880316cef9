"""Promises of what is done with pending messages: commands, opt-out, disclosure, age; all decided without a clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from botfleet.effective import EffectiveSpec, effective
from botfleet.spec import Disclosure, TelegramBotSpec
from botfleet.store.tables import Sender
from botrunner.conversation.commands import ADMINS, EVERYBODYS, Command, Told, command_of
from botrunner.conversation.policy import (
    MAXIMUM_AGE,
    NEW_CONVERSATION_AFTER,
    TELEGRAM_SERVICE,
    TURN_LIMIT,
    AskForWords,
    AskModel,
    ChatFacts,
    Pending,
    RunCommand,
    SkipMessages,
    next_step,
    steering_step,
)
from botrunner.conversation.skips import Skip
from tests.unit.core.test_spec import MINIMAL

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def spec(disclosure: Disclosure = Disclosure.FIRST_REPLY, **parts: object) -> EffectiveSpec:
    whole = effective(TelegramBotSpec.model_validate({**MINIMAL["spec"], **parts}))
    return replace(whole, persona=replace(whole.persona, disclosure=disclosure))


FIRST = spec()
SILENT = spec(conversation={"mediaText": ""})


def pending(*texts: str, age: timedelta = timedelta(0)) -> list[Pending]:
    return [Pending(i, text, NOW - age) for i, text in enumerate(texts, 1)]


def chat(
    peer_id: int = 7,
    opted_out: bool = False,
    disclosed_at: datetime | None = NOW,
    last_said_at: datetime | None = NOW,
    blocked: bool = False,
    **more: Any,
) -> ChatFacts:
    who = frozenset({peer_id} if opted_out else ())
    whom = frozenset({peer_id} if blocked else ())
    return ChatFacts(peer_id, who, disclosed_at, last_said_at, blocked=whom, **more)


def test_several_messages_are_answered_together() -> None:
    assert next_step(pending("a", "b"), chat(), FIRST, "bot", NOW) == AskModel((1, 2), disclose=False)


def test_nothing_pending_is_nothing_to_do() -> None:
    assert next_step([], chat(), FIRST, "bot", NOW) is None


def test_what_was_asked_before_a_stop_is_not_answered_any_more() -> None:
    messages = pending("a", "/stop", "b")
    assert next_step(messages, chat(), FIRST, "bot", NOW) == SkipMessages((1,), Skip.OPTED_OUT)
    assert next_step(messages[1:], chat(), FIRST, "bot", NOW) == RunCommand(2, Told(Command.STOP))
    assert next_step(messages[2:], chat(opted_out=True), FIRST, "bot", NOW) == SkipMessages((3,), Skip.OPTED_OUT)


def test_somebody_who_opted_out_can_come_back() -> None:
    messages = pending("a", "/start", "b")
    assert next_step(messages, chat(opted_out=True), FIRST, "bot", NOW) == SkipMessages((1,), Skip.OPTED_OUT)
    assert next_step(messages[1:], chat(opted_out=True), FIRST, "bot", NOW) == RunCommand(2, Told(Command.START))


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
    told = command_of(text, "bot", private=True)
    assert (told and told.command) == command


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
    assert next_step(pending("a"), facts, spec(disclosure), "bot", NOW) == AskModel((1,), disclose=discloses)


def test_what_is_too_old_gets_no_late_answer_but_a_stop_is_never_too_old() -> None:
    old = pending("a", "/stop", age=MAXIMUM_AGE * 2)
    assert next_step(old[:1], chat(), FIRST, "bot", NOW) == SkipMessages((1,), Skip.TOO_OLD)
    assert next_step(old[1:], chat(), FIRST, "bot", NOW) == RunCommand(2, Told(Command.STOP))


def test_of_a_long_backlog_the_newest_are_answered() -> None:
    step = next_step(pending(*(["a"] * (TURN_LIMIT + 3))), chat(), FIRST, "bot", NOW)
    assert step == SkipMessages((1, 2, 3), Skip.BACKLOG_TRUNCATED)


def test_telegrams_own_messages_are_not_answered() -> None:
    assert next_step(pending("a"), chat(TELEGRAM_SERVICE), FIRST, "bot", NOW) == SkipMessages((1,), Skip.SERVICE)


GROUP = -1_000_000_000_500


def said(message_id: int, text: str, sender: int | None = 5, **more: Any) -> Pending:
    return Pending(message_id, text, NOW, sender, **{"addressed": True, **more})


def test_of_messages_that_are_refused_those_with_the_first_reason_are_closed_together() -> None:
    messages = [said(1, "a", addressed=False), said(2, "b", sender_kind="bot"), said(3, "c", addressed=False)]
    assert next_step(messages, chat(GROUP), FIRST, "bot", NOW) == SkipMessages((1, 3), Skip.NOT_MENTIONED)


def test_a_turn_in_a_group_is_one_persons_in_one_topic() -> None:
    messages = [said(1, "a"), said(2, "b", 6), said(3, "c"), said(4, "d", topic_id=9)]
    assert next_step(messages, chat(GROUP), FIRST, "bot", NOW) == AskModel((1, 3), disclose=False)
    assert next_step(messages[1:], chat(GROUP), FIRST, "bot", NOW) == AskModel((2,), disclose=False)


def test_in_a_group_a_stop_silences_its_sender_alone() -> None:
    messages = [said(1, "a"), said(2, "b", 6), said(3, "/stop", 6)]
    assert next_step(messages, chat(GROUP), FIRST, "bot", NOW) == SkipMessages((2,), Skip.OPTED_OUT)
    assert next_step(messages[::2], chat(GROUP), FIRST, "bot", NOW) == RunCommand(3, Told(Command.STOP))
    out = ChatFacts(GROUP, frozenset({6}), NOW, NOW)
    assert next_step(messages[:2], out, FIRST, "bot", NOW) == SkipMessages((2,), Skip.OPTED_OUT)
    assert next_step(messages[:1], out, FIRST, "bot", NOW) == AskModel((1,), disclose=False)
    whole = ChatFacts(GROUP, frozenset({GROUP}), NOW, NOW)
    assert next_step(messages[:2], whole, FIRST, "bot", NOW) == SkipMessages((1,), Skip.OPTED_OUT)


NOT_ANSWERED: list[tuple[dict[str, Any], Skip]] = [
    ({"users": {"deny": [5]}}, Skip.DENIED),
    ({"users": {"allow": [9]}}, Skip.NOT_ALLOWED),
    ({"privateChats": False}, Skip.PRIVATE_CHATS_OFF),
]


@pytest.mark.parametrize(("access", "reason"), NOT_ANSWERED)
def test_who_may_not_be_answered_can_say_stop_and_forget_and_nothing_else(access: dict[str, Any], reason: Skip) -> None:
    closed = spec(access=access)
    for text, command in (("/stop", Command.STOP), ("/forget", Command.FORGET)):
        assert next_step([said(1, text)], chat(5), closed, "bot", NOW) == RunCommand(1, Told(command))
        assert next_step([said(1, "a"), said(2, text)], chat(5), closed, "bot", NOW) == SkipMessages((1,), reason)
    for text in ("a", "/start", "/help"):
        assert next_step([said(1, text)], chat(5), closed, "bot", NOW) == SkipMessages((1,), reason)


def test_a_bots_stop_is_heard_no_more_than_what_it_says() -> None:
    said_by_a_bot = replace(said(1, "/stop"), sender_kind=Sender.BOT)
    assert next_step([said_by_a_bot], chat(5), FIRST, "bot", NOW) == SkipMessages((1,), Skip.FROM_BOT)


def test_what_comes_without_words_is_asked_for_in_words_unless_there_are_some_or_the_owner_wants_nothing() -> None:
    assert next_step(pending("", " "), chat(), FIRST, "bot", NOW) == AskForWords((1, 2), disclose=False)
    assert next_step(pending("", "b"), chat(), FIRST, "bot", NOW) == SkipMessages((1,), Skip.NO_TEXT)
    assert next_step(pending("", " "), chat(), SILENT, "bot", NOW) == SkipMessages((1, 2), Skip.NO_TEXT)
    everything = spec(access={"groups": "All"})
    assert next_step([said(1, "", addressed=False)], chat(GROUP), everything, "bot", NOW) == SkipMessages(
        (1,), Skip.NO_TEXT
    )
    assert next_step([said(1, "")], chat(GROUP), everything, "bot", NOW) == AskForWords((1,), disclose=False)


def test_what_was_asked_before_a_forget_is_not_answered_any_more() -> None:
    messages = pending("a", "b", "/forget", "c")
    assert next_step(messages, chat(), FIRST, "bot", NOW) == SkipMessages((1, 2), Skip.FORGOTTEN)
    assert next_step(messages[2:], chat(), FIRST, "bot", NOW) == RunCommand(3, Told(Command.FORGET))
    assert next_step(messages[3:], chat(), FIRST, "bot", NOW) == AskModel((4,), disclose=False)


@pytest.mark.parametrize("command", ADMINS)
def test_an_admins_command_is_a_text_like_any_other_to_everybody_else(command: Command) -> None:
    messages = pending(f"/{command} 5")
    assert next_step(messages, chat(), FIRST, "bot", NOW) == AskModel((1,), disclose=False)
    assert steering_step(messages, chat(), "bot") is None
    assert next_step(messages, chat(admin=True), FIRST, "bot", NOW) == RunCommand(1, Told(command, ("5",)))


def test_what_an_admin_says_to_the_bot_comes_before_what_waits_for_the_model() -> None:
    messages = pending("a", "/help", "/resume", "/status")
    assert steering_step(messages, chat(admin=True), "bot") == RunCommand(3, Told(Command.RESUME))
    assert steering_step(messages, chat(peer_id=-7, admin=True), "bot") is None
    assert steering_step(messages[:2], chat(admin=True), "bot") is None


@pytest.mark.parametrize("command", EVERYBODYS)
def test_who_is_blocked_is_not_answered_but_can_stop_and_be_forgotten(command: Command) -> None:
    step = next_step(pending(f"/{command}", "a"), chat(blocked=True), FIRST, "bot", NOW)
    if command in (Command.STOP, Command.FORGET):
        assert step == RunCommand(1, Told(command))
    else:
        assert step == SkipMessages((1,), Skip.BLOCKED)
    assert next_step(pending("a", "b"), chat(blocked=True), FIRST, "bot", NOW) == SkipMessages((1, 2), Skip.BLOCKED)


def test_a_chat_that_is_taken_over_is_the_persons_and_its_commands_are_obeyed() -> None:
    taken = chat(taken_until=NOW + timedelta(seconds=1))
    assert next_step(pending("a", "/help"), taken, FIRST, "bot", NOW) == SkipMessages((1,), Skip.TAKEN_OVER)
    assert next_step(pending("/help", "a"), taken, FIRST, "bot", NOW) == RunCommand(1, Told(Command.HELP))


def test_what_was_written_before_the_end_of_a_takeover_stays_the_persons_to_answer() -> None:
    over = chat(taken_until=NOW - timedelta(seconds=10))
    late = [Pending(1, "during", NOW - timedelta(seconds=11)), Pending(2, "after", NOW - timedelta(seconds=10))]
    assert next_step(late, over, FIRST, "bot", NOW) == SkipMessages((1,), Skip.TAKEN_OVER)
    assert next_step(late[1:], over, FIRST, "bot", NOW) == AskModel((2,), disclose=False)


def carrying(**what: Any) -> Pending:
    return Pending(1, " ", NOW, sender_id=7, **what)


@pytest.mark.parametrize("what", [{"spoken": True}, {"seen": True}])
def test_a_picture_that_is_seen_and_a_voice_that_is_heard_are_answered_like_words(what: dict[str, bool]) -> None:
    assert next_step([carrying(**what)], chat(), SILENT, "bot", NOW) == AskModel((1,), disclose=False)


def test_what_is_neither_seen_nor_heard_is_left_out_of_a_turn_that_has_more() -> None:
    both = [carrying(seen=True), Pending(2, " ", NOW, sender_id=7)]
    assert next_step(both, chat(), FIRST, "bot", NOW) == SkipMessages((2,), Skip.NO_TEXT)


def test_in_a_group_a_picture_without_words_is_looked_at_only_when_it_is_for_the_bot() -> None:
    everything, group = spec(access={"groups": "All"}), chat(peer_id=-100)
    assert next_step([carrying(seen=True)], group, everything, "bot", NOW) == SkipMessages((1,), Skip.NO_TEXT)
    for mine in ({"seen": True, "addressed": True}, {"spoken": True}):
        assert next_step([carrying(**mine)], group, everything, "bot", NOW) == AskModel((1,), disclose=False)


def test_what_is_said_in_a_voice_message_is_never_a_command() -> None:
    assert next_step([carrying(spoken=True)], chat(), FIRST, "bot", NOW) == AskModel((1,), disclose=False)
