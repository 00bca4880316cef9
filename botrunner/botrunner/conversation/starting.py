"""Why: whether the bot writes first, to whom, and when to look again: decided from data alone. No clock, no store, no model.

The defaults are those of somebody who does not want to be a nuisance: whatever speaks against a message prevents it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from botfleet.effective import EffectiveSpec, Schedule
from botfleet.store.starters import Acquaintance
from botrunner.conversation.access import Letter, refusal
from botrunner.conversation.policy import TELEGRAM_SERVICE, ChatFacts, must_disclose
from botrunner.conversation.skips import Skip
from botrunner.conversation.timetable import Timetable
from botrunner.model.ladder import Rung

STARTER = "starter:"
LOOK = timedelta(minutes=1)
"""Between two looks, and so between two messages."""
AGAIN = timedelta(hours=24)
"""Until the next look at somebody who may not be written to; at least the silence that the owner wants."""
LATEST = timedelta(hours=1)
"""What could not be sent for so long is not said any more."""


class Unsaid(StrEnum):
    """Why somebody for whom it was time is not written to."""

    OPTED_OUT = Skip.OPTED_OUT.value
    BLOCKED = Skip.BLOCKED.value
    TAKEN_OVER = Skip.TAKEN_OVER.value
    DENIED = Skip.DENIED.value
    NOT_ALLOWED = Skip.NOT_ALLOWED.value
    PRIVATE_CHATS_OFF = Skip.PRIVATE_CHATS_OFF.value
    CHAT_CLOSED = "ChatClosed"
    UNANSWERED = "Unanswered"
    SILENT_FOR_TOO_LONG = "SilentForTooLong"
    WROTE = "Wrote"
    NO_MODEL_ANSWER = "NoModelAnswer"
    OUTSIDE_HOURS = "OutsideHours"
    TOO_LATE = "TooLate"
    SWITCHED_OFF = "SwitchedOff"


class Resting(StrEnum):
    """Why the bot writes to nobody first for now."""

    PAUSED = "paused"
    OUTSIDE_HOURS = "outside_hours"
    BUDGET = "budget"
    DAILY_CAP = "daily_cap"


@dataclass(frozen=True)
class Rest:
    """Nobody is written to before."""

    until: datetime
    why: Resting


@dataclass(frozen=True)
class Start:
    """Write to this person. `cause`: the same for the same silence; `unanswered`: how many have no answer, with this one;
    `next_at`: when to look at them again. `disclose`: say first that an AI writes."""

    person: Acquaintance
    cause: str
    unanswered: int
    next_at: datetime
    disclose: bool


@dataclass(frozen=True)
class Later:
    """Look at this person again then. `why` None: it was not time yet."""

    at: datetime
    why: Unsaid | None = None


@dataclass(frozen=True)
class Plan:
    """What one look at those who are due comes to. Whoever is in neither stays due."""

    start: Start | None = None
    later: dict[int, Later] = field(default_factory=dict)


def rest(
    spec: EffectiveSpec, now: datetime, *, paused: bool, reached: Rung = Rung.NORMAL, written: int = 0
) -> Rest | None:
    """Why to write to nobody now; None: somebody may be written to.

    Args:
        reached: of the day's budget; answers need what is left of it from 80 % on.
        written: messages of the bot's own accord since `day_of(...)[0]`.
    """
    if paused:
        return Rest(now + LOOK, Resting.PAUSED)
    opening = _timetable(spec).opening(now)
    if opening is not None:
        return Rest(opening, Resting.OUTSIDE_HOURS)
    if reached is not Rung.NORMAL:
        return Rest(now + LOOK, Resting.BUDGET)
    if written >= spec.proactive.messages_per_day:
        return Rest(day_of(spec, now)[1], Resting.DAILY_CAP)
    return None


def day_of(spec: EffectiveSpec, now: datetime) -> tuple[datetime, datetime]:
    """When the day of the schedule's time zone began, and when the next one begins."""
    zone = ZoneInfo(_schedule(spec).time_zone)
    today = now.astimezone(zone).date()
    begin, end = (datetime.combine(day, time.min, zone).astimezone(UTC) for day in (today, today + timedelta(days=1)))
    return begin, end


def decide(people: Sequence[Acquaintance], spec: EffectiveSpec, now: datetime) -> Plan:
    """Whom to write to now, out of those at whom it was time to look; the first of them who may be."""
    plan = Plan()
    for person in people:
        found = judge(person, spec, now)
        if isinstance(found, Later):
            plan.later[person.peer_id] = found
        elif plan.start is None:
            plan = Plan(found, plan.later)
    return plan


def judge(person: Acquaintance, spec: EffectiveSpec, now: datetime) -> Start | Later:
    """Whether to write to one person now."""
    proactive = spec.proactive
    silence = timedelta(hours=proactive.after_silence_hours)
    if person.wrote_at is None or person.peer_id <= 0:
        return Later(now + max(AGAIN, silence))  # they never wrote, or have had it erased
    why = _against(person, spec, now)
    if why is Unsaid.TAKEN_OVER and person.taken_until is not None:
        return Later(person.taken_until, why)
    if why is not None:
        return Later(now + max(AGAIN, silence), why)
    if person.waiting or person.queued:
        return Later(now + silence)  # they are talking
    wrote = max(person.wrote_at, person.heard_date or person.wrote_at)
    last = max(filter(None, (wrote, person.said_at, person.started_at)))
    unanswered = 0 if _has_answered(person, wrote) else person.unanswered
    if unanswered >= proactive.max_unanswered:
        return Later(now + silence, Unsaid.UNANSWERED)
    due = last + silence * (1 << unanswered)
    if due > now:
        return Later(due)
    if now - wrote > silence + timedelta(days=proactive.window_days):
        return Later(now + max(AGAIN, silence), Unsaid.SILENT_FOR_TOO_LONG)
    chat = ChatFacts(person.peer_id, frozenset(), person.disclosed_at, person.said_at)
    return Start(
        person,
        f"{STARTER}{int(last.timestamp())}",
        unanswered + 1,
        now + silence * (1 << (unanswered + 1)),
        must_disclose(chat, spec.persona, now),
    )


def unsaid(stored_at: datetime, person: Acquaintance | None, spec: EffectiveSpec, now: datetime) -> Unsaid | None:
    """Why what was stored for this person, and never attempted, is not said any more; None: it is said.

    It may have waited for a connection, for Telegram, for the end of a pause, or for the next start.
    """
    if not spec.proactive.enabled or person is None:
        return Unsaid.SWITCHED_OFF  # or it was another bot's, whose account this one has got
    if now - stored_at > LATEST:
        return Unsaid.TOO_LATE
    if not _timetable(spec).is_open(now):
        return Unsaid.OUTSIDE_HOURS
    if person.waiting or (person.heard_at is not None and person.heard_at >= stored_at):
        return Unsaid.WROTE
    return _against(person, spec, now)


def persona_that_starts(spec: EffectiveSpec) -> str:
    """The system's message of the request: who the bot is, and that nobody has asked it anything."""
    return "\n\n".join((spec.persona.prompt.strip(), WRITE_FIRST + (spec.proactive.prompt or "").strip()))


WRITE_FIRST = (
    "Nobody has written to you just now: you write first. Write one short message to this person, in the language of the chat "
    "and nothing but the message. Do not repeat what you have said before, and do not press for an answer. It is to be about: "
)
NUDGE = "(There is no new message. Write yours.)"
"""In the place of what a person says, since many endpoints refuse a request that ends otherwise."""


def _against(person: Acquaintance, spec: EffectiveSpec, now: datetime) -> Unsaid | None:
    """What the person, an admin, the owner or Telegram has decided against it."""
    refused = refusal(Letter(person.peer_id, person.peer_id), spec.access)
    if refused is not None:
        return Unsaid(refused.value)
    if person.opted_out:
        return Unsaid.OPTED_OUT
    if person.blocked:
        return Unsaid.BLOCKED
    if person.closed or person.peer_id == TELEGRAM_SERVICE:
        return Unsaid.CHAT_CLOSED
    if person.taken_until is not None and now < person.taken_until:
        return Unsaid.TAKEN_OVER
    return None


def _has_answered(person: Acquaintance, wrote: datetime) -> bool:
    """Whether the person has written since the bot last wrote first. Telegram counts seconds."""
    if person.started_at is None:
        return True
    if person.heard_at is not None and person.heard_at > person.started_at:
        return True
    return wrote >= person.started_at.replace(microsecond=0)


def _schedule(spec: EffectiveSpec) -> Schedule:
    if spec.schedule is None:
        raise AssertionError("a spec that is proactive has a schedule")
    return spec.schedule


def _timetable(spec: EffectiveSpec) -> Timetable:
    schedule = _schedule(spec)
    return Timetable(schedule.time_zone, schedule.working_hours)
