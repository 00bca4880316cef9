"""Promises of writing first: to whom, when, how often, and what prevents it; decided without a clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from botfleet.effective import EffectiveSpec, effective
from botfleet.spec import TelegramBotSpec
from botfleet.store.starters import Acquaintance
from botrunner.conversation.starting import (
    AGAIN,
    LATEST,
    LOOK,
    STARTER,
    Later,
    Rest,
    Resting,
    Start,
    Unsaid,
    day_of,
    decide,
    judge,
    rest,
    unsaid,
)
from botrunner.model.ladder import Rung
from tests.unit.core.test_spec import MINIMAL

HOUR = timedelta(hours=1)
SILENCE = timedelta(hours=72)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)  # 18:00 in Bishkek, which is six hours ahead
HOURS = {"timeZone": "Asia/Bishkek", "workingHours": [{"days": ["Wed", "Thu"], "from": "09:00", "to": "20:00"}]}


def spec(*, disclosure: str = "OnRequest", access: dict[str, Any] | None = None, **proactive: Any) -> EffectiveSpec:
    whole = {
        **MINIMAL["spec"],
        "persona": {"prompt": "You are the concierge.", "disclosure": disclosure},
        "schedule": HOURS,
        "access": access or {},
        "proactive": {"enabled": True, "prompt": "the spa", **proactive},
    }
    return effective(TelegramBotSpec.model_validate(whole))


def silent(hours: float = 73, **known: Any) -> Acquaintance:
    """Somebody who wrote so long ago, and was answered at once."""
    at = NOON - hours * HOUR
    given: dict[str, Any] = {"wrote_at": at, "heard_at": at, "heard_date": at, "heard_id": 1, "said_at": at} | known
    return Acquaintance(known.pop("peer_id", 5), **{name: value for name, value in given.items() if name != "peer_id"})


def test_who_wrote_and_was_silent_long_enough_is_written_to() -> None:
    found = judge(silent(72), spec(), NOON)
    assert isinstance(found, Start)
    assert (found.unanswered, found.next_at, found.disclose) == (1, NOON + 2 * SILENCE, False)
    assert judge(silent(71), spec(), NOON) == Later(NOON + HOUR)
    assert isinstance(judge(silent(71), spec(afterSilenceHours=71), NOON), Start)


@pytest.mark.parametrize("last", ["wrote_at", "heard_date", "said_at", "started_at"])
def test_the_silence_counts_from_the_last_word_of_either_side(last: str) -> None:
    person = silent(200, **{last: NOON - 10 * HOUR})
    assert judge(person, spec(), NOON) == Later(NOON + 62 * HOUR)


def test_who_never_wrote_or_has_had_it_erased_is_never_written_to() -> None:
    assert judge(silent(wrote_at=None, said_at=None), spec(), NOON) == Later(NOON + SILENCE)
    assert judge(Acquaintance(5, started_at=NOON - 500 * HOUR), spec(), NOON) == Later(NOON + SILENCE)


def test_groups_are_never_written_to() -> None:
    assert isinstance(judge(silent(peer_id=-100), spec(), NOON), Later)


@pytest.mark.parametrize(
    ("known", "access", "why"),
    [
        ({"opted_out": True}, {}, Unsaid.OPTED_OUT),
        ({"blocked": True}, {}, Unsaid.BLOCKED),
        ({"closed": True}, {}, Unsaid.CHAT_CLOSED),
        ({"peer_id": 777000}, {}, Unsaid.CHAT_CLOSED),
        ({}, {"users": {"deny": [5]}}, Unsaid.DENIED),
        ({}, {"users": {"allow": [6]}}, Unsaid.NOT_ALLOWED),
        ({}, {"privateChats": False}, Unsaid.PRIVATE_CHATS_OFF),
    ],
)
def test_whoever_may_not_be_written_to_is_not(known: dict[str, Any], access: dict[str, Any], why: Unsaid) -> None:
    person = silent(**known)
    assert judge(person, spec(access=access), NOON) == Later(NOON + SILENCE, why)
    assert judge(person, spec(access=access, afterSilenceHours=1), NOON) == Later(NOON + AGAIN, why)
    assert unsaid(NOON, person, spec(access=access), NOON) is why, "nor after it was stored"


def test_a_chat_that_a_person_has_taken_over_is_left_to_them() -> None:
    person = silent(taken_until=NOON + HOUR)
    assert judge(person, spec(), NOON) == Later(NOON + HOUR, Unsaid.TAKEN_OVER)
    assert unsaid(NOON, person, spec(), NOON) is Unsaid.TAKEN_OVER
    assert isinstance(judge(silent(taken_until=NOON), spec(), NOON), Start)


@pytest.mark.parametrize("known", [{"waiting": True}, {"queued": True}])
def test_nobody_is_written_to_first_while_something_is_being_said(known: dict[str, Any]) -> None:
    assert judge(silent(**known), spec(), NOON) == Later(NOON + SILENCE)


def test_after_one_without_an_answer_there_is_no_second_until_the_person_writes() -> None:
    ignored = silent(500, started_at=NOON - 300 * HOUR, said_at=NOON - 300 * HOUR, unanswered=1)
    assert judge(ignored, spec(), NOON) == Later(NOON + SILENCE, Unsaid.UNANSWERED)
    answered = replace(ignored, wrote_at=NOON - 299 * HOUR, said_at=NOON - 299 * HOUR)
    assert isinstance(judge(answered, spec(), NOON), Start)
    sticker = replace(ignored, heard_at=NOON - 299 * HOUR, heard_date=NOON - 299 * HOUR)
    assert isinstance(judge(sticker, spec(), NOON), Start), "whatever it was, and whether the model saw it"
    taken_in_late = replace(ignored, heard_at=NOON - 299 * HOUR)
    assert isinstance(judge(taken_in_late, spec(), NOON), Start), "it was written before and came in after"
    at_once = replace(ignored, started_at=NOON - 300 * HOUR + timedelta(milliseconds=900), wrote_at=NOON - 300 * HOUR)
    assert isinstance(judge(at_once, spec(), NOON), Start), "Telegram counts seconds"


def test_pauses_grow_while_nobody_answers() -> None:
    patient = spec(maxUnanswered=3, windowDays=365)
    for unanswered, pause in ((1, 2), (2, 4)):
        at = NOON - pause * SILENCE
        person = silent(1000, started_at=at, said_at=at, unanswered=unanswered)
        found = judge(person, patient, NOON)
        assert isinstance(found, Start)
        assert (found.unanswered, found.next_at) == (unanswered + 1, NOON + 2 * pause * SILENCE)
        assert judge(person, patient, NOON - HOUR) == Later(NOON)
    assert judge(replace(silent(1000), started_at=NOON - 900 * HOUR, unanswered=3), patient, NOON) == Later(
        NOON + SILENCE, Unsaid.UNANSWERED
    )


def test_who_has_been_silent_for_too_long_is_left_alone() -> None:
    longest = 72 + 30 * 24
    assert isinstance(judge(silent(longest), spec(), NOON), Start)
    assert judge(silent(longest + 1), spec(), NOON) == Later(NOON + SILENCE, Unsaid.SILENT_FOR_TOO_LONG)
    assert judge(silent(72 + 25), spec(windowDays=1), NOON) == Later(NOON + SILENCE, Unsaid.SILENT_FOR_TOO_LONG)


def test_one_silence_has_one_cause_and_the_next_another() -> None:
    first, again, other = (judge(silent(hours), spec(), NOON) for hours in (80, 80, 81))
    assert isinstance(first, Start)
    assert isinstance(again, Start)
    assert isinstance(other, Start)
    assert first.cause == again.cause == f"{STARTER}{int((NOON - 80 * HOUR).timestamp())}"
    assert other.cause != first.cause
    assert len(first.cause) <= 48


@pytest.mark.parametrize(
    ("disclosure", "disclosed", "says_so"),
    [
        ("FirstReply", None, True),
        ("FirstReply", 500, False),
        ("EveryConversation", 500, True),
        ("OnRequest", None, False),
    ],
)
def test_who_writes_is_said_as_in_an_answer(disclosure: str, disclosed: int | None, says_so: bool) -> None:
    person = silent(disclosed_at=None if disclosed is None else NOON - disclosed * HOUR)
    found = judge(person, spec(disclosure=disclosure), NOON)
    assert isinstance(found, Start)
    assert found.disclose is says_so


def test_of_those_who_are_due_one_is_written_to_and_the_next_stay_due() -> None:
    people = [silent(peer_id=1, opted_out=True), silent(peer_id=2), silent(peer_id=3), silent(50, peer_id=4)]
    plan = decide(people, spec(), NOON)
    assert plan.start is not None
    assert plan.start.person.peer_id == 2
    assert plan.later == {1: Later(NOON + SILENCE, Unsaid.OPTED_OUT), 4: Later(NOON + 22 * HOUR)}
    assert decide([], spec(), NOON).start is None


def test_outside_of_the_working_hours_nobody_is_written_to_whatever_is_answered_then() -> None:
    evening = NOON + 2 * HOUR  # 20:00
    morning = datetime(2026, 11, 26, 3, tzinfo=UTC)  # 09:00
    assert rest(spec(), evening - LOOK, paused=False) is None
    assert rest(spec(), evening, paused=False) == Rest(morning, Resting.OUTSIDE_HOURS)
    always = effective(
        TelegramBotSpec.model_validate(
            {
                **MINIMAL["spec"],
                "schedule": {**HOURS, "outsideHours": "Reply"},
                "proactive": {"enabled": True, "prompt": "the spa"},
            }
        )
    )
    assert rest(always, evening, paused=False) == Rest(morning, Resting.OUTSIDE_HOURS)
    assert unsaid(evening - LOOK, silent(), spec(), evening) is Unsaid.OUTSIDE_HOURS


def test_the_cap_is_of_a_day_of_the_owners_clock() -> None:
    midnight = datetime(2026, 11, 24, 18, tzinfo=UTC)
    assert day_of(spec(), NOON) == (midnight, midnight + 24 * HOUR)
    assert day_of(spec(), midnight - timedelta(seconds=1))[1] == midnight
    assert rest(spec(messagesPerDay=3), NOON, paused=False, written=2) is None
    assert rest(spec(messagesPerDay=3), NOON, paused=False, written=3) == Rest(midnight + 24 * HOUR, Resting.DAILY_CAP)


def test_a_paused_bot_and_one_that_needs_its_budget_for_answers_writes_to_nobody() -> None:
    assert rest(spec(), NOON, paused=True) == Rest(NOON + LOOK, Resting.PAUSED)
    for reached in (Rung.WARN, Rung.CHEAPER, Rung.EXHAUSTED):
        assert rest(spec(), NOON, paused=False, reached=reached) == Rest(NOON + LOOK, Resting.BUDGET)


def test_what_was_stored_is_not_said_once_it_is_late_or_the_person_has_written() -> None:
    assert unsaid(NOON - LATEST, silent(), spec(), NOON) is None
    assert unsaid(NOON - LATEST - LOOK, silent(), spec(), NOON) is Unsaid.TOO_LATE
    assert unsaid(NOON - LOOK, silent(waiting=True), spec(), NOON) is Unsaid.WROTE
    assert unsaid(NOON - LOOK, silent(heard_at=NOON), spec(), NOON) is Unsaid.WROTE
    off = replace(spec(), proactive=replace(spec().proactive, enabled=False), schedule=None)
    assert unsaid(NOON, silent(), off, NOON) is Unsaid.SWITCHED_OFF
    assert unsaid(NOON, None, spec(), NOON) is Unsaid.SWITCHED_OFF, "another bot's, whose account this one has got"
