"""Why: what is to be done with a chat's pending messages, decided from data alone: no clock, no store, no Telegram."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from botfleet.effective import EffectiveSpec, Persona, Schedule
from botfleet.spec.behaviour import Disclosure
from botfleet.spec.schedule import OutsideHours
from botrunner.conversation.access import Letter, refusal
from botrunner.conversation.skips import Skip
from botrunner.conversation.timetable import Timetable

MAXIMUM_AGE = timedelta(minutes=1440)
NEW_CONVERSATION_AFTER = timedelta(hours=6)
TELEGRAM_SERVICE = 777000  # Telegram's own messages to people: login codes and the like
TURN_LIMIT = 50  # messages of one turn; what is older in a backlog is skipped


class Command(StrEnum):
    """What people can say to any bot."""

    START = "start"
    STOP = "stop"


@dataclass(frozen=True)
class Pending:
    """What the policy needs to know of a message. `sender_kind`: a `tables.Sender`; `addressed`: it is meant for the bot."""

    message_id: int
    text: str
    date: datetime
    sender_id: int | None = None
    sender_kind: str | None = None
    addressed: bool = False
    topic_id: int | None = None


@dataclass(frozen=True)
class ChatFacts:
    """What the policy needs to know of a chat.

    `opted_out`: those of its people who said /stop and not /start since; the group itself, if its admin said so anonymously.
    """

    peer_id: int
    opted_out: frozenset[int]
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


@dataclass(frozen=True)
class AskForWords:
    """Answer these together with the line for what came without words. `disclose`: say first that an AI writes."""

    message_ids: tuple[int, ...]
    disclose: bool


Step = SkipMessages | RunCommand | AskModel | AskForWords


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
    pending: Sequence[Pending], chat: ChatFacts, spec: EffectiveSpec, username: str | None, now: datetime
) -> Step | None:
    """The first thing to do with the pending messages of a chat, in their order; None when there are none.

    The caller does it and asks again, so a command between two questions takes effect between them. What was asked before
    a /stop gets no answer any more: whoever says it wants to hear nothing, and does not wait for a model to be told so.
    In a group each person is answered by themselves: a /stop is its sender's, and waits for nobody else's answer.
    """
    if not pending:
        return None
    if chat.peer_id == TELEGRAM_SERVICE:
        return _skip(pending, Skip.SERVICE)
    refused = _refused(pending, chat, spec)
    if refused is not None:
        return refused
    people = _by_person(pending, chat)
    for theirs in people:
        step = _wish(theirs, chat, username)
        if step is not None:
            return step
    old = [m for m in pending if _waited(m, spec.schedule, now) > MAXIMUM_AGE and command_of(m.text, username) is None]
    if old:
        return _skip(old, Skip.TOO_OLD)
    return _answer(people[0], chat, spec, username, now)


def _refused(pending: Sequence[Pending], chat: ChatFacts, spec: EffectiveSpec) -> SkipMessages | None:
    reasons = {m.message_id: refusal(_letter(m, chat), spec.access) for m in pending}
    first = next((reason for reason in reasons.values() if reason is not None), None)
    return None if first is None else _skip([m for m in pending if reasons[m.message_id] is first], first)


def _by_person(pending: Sequence[Pending], chat: ChatFacts) -> list[list[Pending]]:
    people: dict[int, list[Pending]] = {}
    for message in pending:
        people.setdefault(_letter(message, chat).person_id, []).append(message)
    return list(people.values())


def _letter(message: Pending, chat: ChatFacts) -> Letter:
    return Letter(chat.peer_id, message.sender_id, message.sender_kind, message.addressed)


def _wish(theirs: Sequence[Pending], chat: ChatFacts, username: str | None) -> RunCommand | SkipMessages | None:
    """What a person's own commands, now or earlier, make of what they wrote."""
    command = command_of(theirs[0].text, username)
    if command is not None:
        return RunCommand(theirs[0].message_id, command)
    away = chat.opted_out & {chat.peer_id, _letter(theirs[0], chat).person_id}
    if away or any(command_of(m.text, username) is Command.STOP for m in theirs):
        return _skip(_until_command(theirs, username), Skip.OPTED_OUT)
    return None


def _waited(message: Pending, schedule: Schedule | None, now: datetime) -> timedelta:
    """Nobody has waited while nobody was there to answer."""
    if schedule is None or schedule.outside_hours == OutsideHours.REPLY or now - message.date <= MAXIMUM_AGE:
        return now - message.date
    return Timetable(schedule.time_zone, schedule.working_hours).waited(message.date, now)


def _answer(
    theirs: Sequence[Pending], chat: ChatFacts, spec: EffectiveSpec, username: str | None, now: datetime
) -> Step:
    turn = [m for m in _until_command(theirs, username) if m.topic_id == theirs[0].topic_id]
    disclose = _must_disclose(chat, spec.persona, now)
    wordless = [m for m in turn if not m.text.strip()]
    if wordless:
        # Groups: All makes no bot comment on each picture that people show each other.
        told = bool(spec.conversation.media_text) and (chat.peer_id > 0 or any(m.addressed for m in wordless))
        if told and len(wordless) == len(turn):
            return AskForWords(tuple(m.message_id for m in turn), disclose)
        return _skip(wordless, Skip.NO_TEXT)
    if len(turn) > TURN_LIMIT:
        return _skip(turn[:-TURN_LIMIT], Skip.BACKLOG_TRUNCATED)
    return AskModel(tuple(m.message_id for m in turn), disclose)


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
