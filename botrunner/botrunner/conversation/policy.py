"""Why: what is to be done with a chat's pending messages, decided from data alone: no clock, no store, no Telegram."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from botfleet.effective import Persona
from botfleet.spec.behaviour import Disclosure

MAXIMUM_AGE = timedelta(minutes=1440)
NEW_CONVERSATION_AFTER = timedelta(hours=6)
TELEGRAM_SERVICE = 777000  # Telegram's own messages to people: login codes and the like
TURN_LIMIT = 50  # messages of one turn; what is older in a backlog is skipped


class Skip(StrEnum):
    """Why a message gets no answer; the reasons that stand in the inbox."""

    TOO_OLD = "TooOld"
    BACKLOG_TRUNCATED = "BacklogTruncated"
    OPTED_OUT = "OptedOut"
    NOT_PRIVATE = "NotPrivate"
    NO_TEXT = "NoText"
    SERVICE = "Service"
    BUDGET_EXHAUSTED = "BudgetExhausted"


class Command(StrEnum):
    """What people can say to any bot."""

    START = "start"
    STOP = "stop"


@dataclass(frozen=True)
class Pending:
    """What the policy needs to know of a message."""

    message_id: int
    text: str
    date: datetime


@dataclass(frozen=True)
class ChatFacts:
    """What the policy needs to know of a chat. `opted_out`: the person said /stop and not /start since."""

    peer_id: int
    opted_out: bool
    disclosed_at: datetime | None
    last_said_at: datetime | None


@dataclass(frozen=True)
class SkipMessages:
    """Close these without an answer."""

    message_ids: tuple[int, ...]
    reason: Skip


@dataclass(frozen=True)
class RunCommand:
    """Answer this one message with the command's fixed text."""

    message_id: int
    command: Command


@dataclass(frozen=True)
class AskModel:
    """Answer these together. `disclose`: say first that an AI writes."""

    message_ids: tuple[int, ...]
    disclose: bool


Step = SkipMessages | RunCommand | AskModel


def command_of(text: str, username: str | None) -> Command | None:
    """`/stop`, also `/stop@this_bot` and with words behind it; a command to another bot is none of ours."""
    word = text.split(maxsplit=1)[0] if text.split() else ""
    if not word.startswith("/"):
        return None
    name, _, whom = word[1:].partition("@")
    if whom and (username is None or whom.lower() != username.lower()):
        return None
    return Command(name.lower()) if name.lower() in set(Command) else None


def next_step(
    pending: Sequence[Pending], chat: ChatFacts, persona: Persona, username: str | None, now: datetime
) -> Step | None:
    """The first thing to do with the pending messages of a chat, in their order; None when there are none.

    The caller does it and asks again, so a command between two questions takes effect between them. What was asked before
    a /stop gets no answer any more: whoever says it wants to hear nothing, and does not wait for a model to be told so.
    """
    if not pending:
        return None
    if chat.peer_id == TELEGRAM_SERVICE:
        return _skip(pending, Skip.SERVICE)
    if chat.peer_id < 0:  # groups and channels have no answering rules yet; they are taken in and not answered
        return _skip(pending, Skip.NOT_PRIVATE)
    command = command_of(pending[0].text, username)
    if command is not None:
        return RunCommand(pending[0].message_id, command)
    if chat.opted_out or any(command_of(m.text, username) is Command.STOP for m in pending):
        return _skip(_until_command(pending, username), Skip.OPTED_OUT)
    old = [m for m in pending if now - m.date > MAXIMUM_AGE and command_of(m.text, username) is None]
    if old:
        return _skip(old, Skip.TOO_OLD)
    wordless = [m for m in pending if not m.text.strip()]
    if wordless:
        return _skip(wordless, Skip.NO_TEXT)
    turn = _until_command(pending, username)
    if len(turn) > TURN_LIMIT:
        return _skip(turn[:-TURN_LIMIT], Skip.BACKLOG_TRUNCATED)
    return AskModel(tuple(m.message_id for m in turn), disclose=_must_disclose(chat, persona, now))


def _skip(messages: Sequence[Pending], reason: Skip) -> SkipMessages:
    return SkipMessages(tuple(m.message_id for m in messages), reason)


def _until_command(pending: Sequence[Pending], username: str | None) -> Sequence[Pending]:
    for index, message in enumerate(pending):
        if command_of(message.text, username) is not None:
            return pending[:index]
    return pending


def _must_disclose(chat: ChatFacts, persona: Persona, now: datetime) -> bool:
    if persona.disclosure == Disclosure.ON_REQUEST:
        return False
    if chat.disclosed_at is None:
        return True
    if persona.disclosure == Disclosure.FIRST_REPLY:
        return False
    # A disclosure outside of the history (the answer to /start) is a part of its conversation.
    return now - max(chat.disclosed_at, chat.last_said_at or chat.disclosed_at) > NEW_CONVERSATION_AFTER
