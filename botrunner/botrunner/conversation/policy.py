"""Why: what is to be done with a chat's pending messages, decided from data alone: no clock, no store, no Telegram."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from botfleet.effective import EffectiveSpec, Persona, Schedule
from botfleet.spec.behaviour import Disclosure
from botfleet.spec.schedule import OutsideHours
from botfleet.store.tables import Sender
from botrunner.conversation.access import Letter, refusal
from botrunner.conversation.commands import ADMINS, ENDING, Command, Told, command_of
from botrunner.conversation.skips import Skip
from botrunner.conversation.timetable import Timetable

MAXIMUM_AGE = timedelta(minutes=1440)
NEW_CONVERSATION_AFTER = timedelta(hours=6)
TELEGRAM_SERVICE = 777000  # Telegram's own messages to people: login codes and the like
TURN_LIMIT = 50  # messages of one turn; what is older in a backlog is skipped


@dataclass(frozen=True)
class Pending:
    """What the policy needs to know of a message. `sender_kind`: a `tables.Sender`; `addressed`: it is meant for the bot.

    `spoken`: there are words in its sound, or will be; `seen`: it has a picture that a model is shown.
    """

    message_id: int
    text: str
    date: datetime
    sender_id: int | None = None
    sender_kind: str | None = None
    addressed: bool = False
    topic_id: int | None = None
    spoken: bool = False
    seen: bool = False


@dataclass(frozen=True)
class ChatFacts:
    """What the policy needs to know of a chat.

    `opted_out`: those of its people who said /stop and not /start since; the group itself, if its admin said so anonymously.
    `blocked`: those of its people whom an admin wants not to be answered. `admin`: it is the private chat of one who may steer
    the bot. `taken_until`: it is, or was, in the hands of a person until then.
    """

    peer_id: int
    opted_out: frozenset[int]
    disclosed_at: datetime | None
    last_said_at: datetime | None
    admin: bool = False
    blocked: frozenset[int] = frozenset()
    taken_until: datetime | None = None

    @property
    def private(self) -> bool:
        """Of one person: no group."""
        return self.peer_id > 0


@dataclass(frozen=True)
class SkipMessages:
    """Close these without an answer."""

    message_ids: tuple[int, ...]
    reason: Skip


@dataclass(frozen=True)
class RunCommand:
    """Answer this one message with the command's fixed text."""

    message_id: int
    told: Told


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


def steering_step(pending: Sequence[Pending], chat: ChatFacts, username: str | None) -> RunCommand | None:
    """An admin's first command that is none of everybody's: it waits for no model, nor for the end of a pause."""
    if not chat.admin or not chat.private:
        return None
    for message in pending:
        told = _told(message, chat, username)
        if told is not None and told.command in ADMINS:
            return RunCommand(message.message_id, told)
    return None


def next_step(
    pending: Sequence[Pending], chat: ChatFacts, spec: EffectiveSpec, username: str | None, now: datetime
) -> Step | None:
    """The first thing to do with the pending messages of a chat, in their order; None when there are none.

    The caller does it and asks again, so a command between two questions takes effect between them. What was asked before
    a /stop or a /forget gets no answer any more: whoever says it does not wait for a model to be told so. Both are obeyed for
    whoever is blocked, too, and every command in a chat that is taken over. What an admin says to the bot comes before all.
    In a group each person is answered by themselves: a /stop is its sender's, and waits for nobody else's answer.
    """
    if not pending:
        return None
    if chat.peer_id == TELEGRAM_SERVICE:
        return _skip(pending, Skip.SERVICE)
    step: Step | None = steering_step(pending, chat, username) or _refused(pending, chat, spec, username)
    if step is not None:
        return step
    people = _by_person(pending, chat)
    for theirs in people:
        step = _wish(theirs, chat, username, now)
        if step is not None:
            return step
    old = [m for m in pending if _waited(m, spec.schedule, now) > MAXIMUM_AGE and _told(m, chat, username) is None]
    if old:
        return _skip(old, Skip.TOO_OLD)
    return _answer(people[0], chat, spec, username, now)


def _refused(
    pending: Sequence[Pending], chat: ChatFacts, spec: EffectiveSpec, username: str | None
) -> SkipMessages | None:
    """What is obeyed whomever the bot answers is refused to nobody."""
    asked = [m for m in pending if not _is_for_all(m, chat, username)]
    reasons = {m.message_id: refusal(_letter(m, chat), spec.access) for m in asked}
    first = next((reason for reason in reasons.values() if reason is not None), None)
    return None if first is None else _skip([m for m in asked if reasons[m.message_id] is first], first)


def _is_for_all(message: Pending, chat: ChatFacts, username: str | None) -> bool:
    """An admin's commands; and a person's word, to the bot alone, that it shall be silent or forget: what it has of them may be
    of a time, or of a group, in which they were answered."""
    told = _told(message, chat, username)
    if told is None or message.sender_kind in (Sender.BOT, Sender.CHANNEL):
        return False
    return chat.admin or (chat.private and told.command in ENDING)


def _by_person(pending: Sequence[Pending], chat: ChatFacts) -> list[list[Pending]]:
    people: dict[int, list[Pending]] = {}
    for message in pending:
        people.setdefault(_letter(message, chat).person_id, []).append(message)
    return list(people.values())


def _letter(message: Pending, chat: ChatFacts) -> Letter:
    return Letter(chat.peer_id, message.sender_id, message.sender_kind, message.addressed)


def _told(message: Pending, chat: ChatFacts, username: str | None) -> Told | None:
    return command_of(message.text, username, private=chat.private, admin=chat.admin)


def _wish(
    theirs: Sequence[Pending], chat: ChatFacts, username: str | None, now: datetime
) -> RunCommand | SkipMessages | None:
    """What is said to the bot itself, now or earlier, makes of what a person wrote: their commands, a block, a takeover."""
    told = [_told(message, chat, username) for message in theirs]
    person = {chat.peer_id, _letter(theirs[0], chat).person_id}
    blocked = bool(chat.blocked & person)
    first, before = told[0], _until_command(theirs, chat, username)
    if first is not None and (not blocked or first.command in ENDING):
        return RunCommand(theirs[0].message_id, first)
    if blocked:
        return _skip(before or theirs[:1], Skip.BLOCKED)
    ending = next((one.command for one in told if one is not None and one.command in ENDING), None)
    if chat.opted_out & person or ending is Command.STOP:
        return _skip(before, Skip.OPTED_OUT)
    if ending is Command.FORGET:
        return _skip(before, Skip.FORGOTTEN)
    taken = [message for message in before if _is_taken(message, chat.taken_until, now)]
    return _skip(taken, Skip.TAKEN_OVER) if taken else None


def _is_taken(message: Pending, until: datetime | None, now: datetime) -> bool:
    """Whether a person answers this one: the chat is theirs, or was when the message was written (Telegram counts seconds)."""
    return until is not None and (now < until or message.date < until.replace(microsecond=0))


def _waited(message: Pending, schedule: Schedule | None, now: datetime) -> timedelta:
    """Nobody has waited while nobody was there to answer."""
    if schedule is None or schedule.outside_hours == OutsideHours.REPLY or now - message.date <= MAXIMUM_AGE:
        return now - message.date
    return Timetable(schedule.time_zone, schedule.working_hours).waited(message.date, now)


def _answer(
    theirs: Sequence[Pending], chat: ChatFacts, spec: EffectiveSpec, username: str | None, now: datetime
) -> Step:
    turn = [m for m in _until_command(theirs, chat, username) if m.topic_id == theirs[0].topic_id]
    disclose = must_disclose(chat, spec.persona, now)
    # Groups: All makes no bot comment on each picture that people show each other.
    wordless = [m for m in turn if not (m.text.strip() or m.spoken or (m.seen and (chat.private or m.addressed)))]
    if wordless:
        told = bool(spec.conversation.media_text) and (chat.private or any(m.addressed for m in wordless))
        if told and len(wordless) == len(turn):
            return AskForWords(tuple(m.message_id for m in turn), disclose)
        return _skip(wordless, Skip.NO_TEXT)
    if len(turn) > TURN_LIMIT:
        return _skip(turn[:-TURN_LIMIT], Skip.BACKLOG_TRUNCATED)
    return AskModel(tuple(m.message_id for m in turn), disclose)


def _skip(messages: Sequence[Pending], reason: Skip) -> SkipMessages:
    return SkipMessages(tuple(m.message_id for m in messages), reason)


def _until_command(pending: Sequence[Pending], chat: ChatFacts, username: str | None) -> Sequence[Pending]:
    for index, message in enumerate(pending):
        if _told(message, chat, username) is not None:
            return pending[:index]
    return pending


def must_disclose(chat: ChatFacts, persona: Persona, now: datetime) -> bool:
    """Whether what is said next says first that an AI writes."""
    if persona.disclosure == Disclosure.ON_REQUEST:
        return False
    if chat.disclosed_at is None:
        return True
    if persona.disclosure == Disclosure.FIRST_REPLY:
        return False
    # A disclosure outside of the history (the answer to /start) is a part of its conversation.
    return now - max(chat.disclosed_at, chat.last_said_at or chat.disclosed_at) > NEW_CONVERSATION_AFTER
