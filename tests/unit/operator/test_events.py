"""Promises of Kubernetes Events: transitions only, each once, counted when they come again, and never in anybody's way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from botfleet.conditions import ConditionType, Reason, message
from botfleet_operator.events import QUIET_SECONDS, SERIES_SECONDS, WAITING_MOST, EventRecorder
from botfleet_operator.kubeapi import ForbiddenError, NotLeadingError, OverloadedError
from botfleet_operator.model import BotKey
from botfleet_operator.transitions import NOTE_MOST_BYTES, Transition, transitions
from tests.unit.operator.fakes import FakeApi
from tests.unit.operator.rig import Rig

KEY = BotKey("hotel", "concierge")
CRASH = Transition("Warning", "CrashLooping", "SetReady", "It ends again and again.")


def status(**words: tuple[str, Reason]) -> dict[str, Any]:
    """Conditions by type: status and reason."""
    said = [
        {"type": kind, "status": word, "reason": reason.value, "message": f"about {reason.value}"}
        for kind, (word, reason) in words.items()
    ]
    return {"conditions": said}


NOTHING: dict[str, Any] = {}
STARTING = status(Accepted=("True", Reason.ACCEPTED), Ready=("False", Reason.STARTING))
READY = status(Accepted=("True", Reason.ACCEPTED), Ready=("True", Reason.READY))
REFUSED = status(Accepted=("False", Reason.SECRET_MISSING), Ready=("False", Reason.NOT_ACCEPTED))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (NOTHING, STARTING, []),  # a new bot on its way is no news
        (STARTING, READY, ["Normal Ready"]),
        (READY, READY, []),
        (READY, status(Ready=("False", Reason.OUT_OF_MEMORY)), ["Warning OutOfMemory"]),
        (READY, status(Ready=("Unknown", Reason.NO_HEARTBEAT)), ["Warning NoHeartbeat"]),
        (READY, STARTING, ["Normal Starting"]),
        (READY, status(Ready=("False", Reason.SUSPENDED)), ["Normal Suspended"]),
        (NOTHING, REFUSED, ["Warning SecretMissing"]),
        (REFUSED, status(Accepted=("False", Reason.NOT_ALLOWED), Ready=("False", Reason.NOT_ACCEPTED)), ["Warning NotAllowed"]),
        (REFUSED, STARTING, ["Normal Accepted"]),
        (
            status(Ready=("False", Reason.CRASH_LOOPING)),
            status(Ready=("False", Reason.IMAGE_PULL_FAILED)),
            ["Warning ImagePullFailed"],
        ),
        (
            status(Authorized=("True", Reason.AUTHORIZED), Ready=("True", Reason.READY)),
            status(Authorized=("False", Reason.TOKEN_INVALID), Ready=("False", Reason.NOT_AUTHORIZED)),
            ["Warning TokenInvalid"],
        ),
        (NOTHING, status(Authorized=("False", Reason.BINDING_PENDING), Ready=("False", Reason.STARTING)), []),
    ],
)  # fmt: skip
def test_a_transition_is_told_once_with_its_reason_and_what_stays_is_not(
    before: dict[str, Any], after: dict[str, Any], told: list[str]
) -> None:
    assert [f"{t.type} {t.reason}" for t in transitions(before, after)] == told
    assert list(transitions(after, after)) == []


def test_an_event_says_what_the_condition_says_within_what_the_api_server_takes() -> None:
    (short,) = transitions(STARTING, READY)
    assert short.note == "about Ready"
    long = message(Reason.INVALID, detail="ä" * 4000)
    (cut,) = transitions(
        {}, {"conditions": [{"type": ConditionType.ACCEPTED, "status": "False", "reason": "Invalid", "message": long}]}
    )
    assert len(cut.note.encode()) <= NOTE_MOST_BYTES
    assert cut.note.endswith("…")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(api: FakeApi, clock: Clock) -> EventRecorder:
    fake: Any = api
    now = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    return EventRecorder(fake, reporter="pod", guard=lambda: None, now=lambda: now, monotonic=clock)


def events(api: FakeApi) -> list[dict[str, Any]]:
    return [body for (kind, _, _), body in api.objects.items() if kind == "Event"]


async def test_what_comes_again_is_counted_in_the_event_that_is_there(
    api: FakeApi, clock: Clock, recorder: EventRecorder
) -> None:
    for seconds in (0, 1, 2, QUIET_SECONDS + 1):
        clock.seconds = seconds
        recorder.tell(KEY, "uid-1", CRASH)
        await recorder.write_next()
    assert [call[0] for call in api.calls] == ["create", "patch"], "a storm costs a write in half a minute"
    (written,) = events(api)
    assert written["series"] == {"count": 4, "lastObservedTime": "2026-01-02T03:04:05.000006Z"}
    assert written["regarding"] == {
        "apiVersion": "botfleet.dev/v1alpha1", "kind": "TelegramBot", "namespace": "hotel", "name": "concierge",
        "uid": "uid-1",
    }  # fmt: skip


async def test_another_reason_another_object_and_a_later_hour_are_events_of_their_own(
    api: FakeApi, clock: Clock, recorder: EventRecorder
) -> None:
    ready = Transition("Normal", "Ready", "SetReady", "It answers.")
    for uid, transition, seconds in (
        ("uid-1", CRASH, 0.0),
        ("uid-1", ready, 0.0),
        ("uid-2", CRASH, 0.0),
        ("uid-1", CRASH, SERIES_SECONDS),
    ):
        clock.seconds = seconds
        recorder.tell(KEY, uid, transition)
        await recorder.write_next()
    assert len(events(api)) == 4


async def test_an_event_that_the_api_server_has_forgotten_is_made_anew(
    api: FakeApi, clock: Clock, recorder: EventRecorder
) -> None:
    for seconds in (0.0, QUIET_SECONDS + 1):
        clock.seconds = seconds
        recorder.tell(KEY, "uid-1", CRASH)
        await recorder.write_next()
        api.objects.clear()
    assert [call[0] for call in api.calls] == ["create", "patch", "create"]


@pytest.mark.parametrize("error", [ForbiddenError("no right", status=403), NotLeadingError("no")])
async def test_an_event_that_cannot_be_written_is_given_up_and_the_next_one_is_written(
    api: FakeApi, recorder: EventRecorder, error: Exception
) -> None:
    api.errors["create"] = error
    recorder.tell(KEY, "uid-1", CRASH)
    await recorder.write_next()
    del api.errors["create"]
    recorder.tell(KEY, "uid-2", CRASH)
    await recorder.write_next()
    assert [e["regarding"]["uid"] for e in events(api)] == ["uid-2"]


async def test_who_does_not_lead_writes_no_event(api: FakeApi) -> None:
    def guard() -> None:
        raise NotLeadingError("no")

    fake: Any = api
    recorder = EventRecorder(fake, reporter="pod", guard=guard)
    recorder.tell(KEY, "uid-1", CRASH)
    await recorder.write_next()
    assert api.calls == []


async def test_events_that_cannot_be_written_in_time_are_dropped_and_hold_nobody_up(recorder: EventRecorder) -> None:
    for number in range(WAITING_MOST + 10):
        recorder.tell(KEY, f"uid-{number}", CRASH)


async def test_a_bots_life_is_told_by_few_events_and_an_idle_bot_by_none(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    before = list(rig.told)
    for _ in range(3):
        await rig.reconcile()
    assert rig.told == before, "what does not change is not told"
    rig.show(suspend=True)
    await rig.reconcile()
    assert rig.told[-1] == ("uid-1", "Normal", "Suspended")
    rig.hide()
    for _ in range(3):
        await rig.reconcile()
    assert rig.told.count(("uid-1", "Normal", "Deleted")) == 1


async def test_a_status_that_could_not_be_written_is_told_once_it_is(rig: Rig) -> None:
    rig.show(suspend=True)
    rig.api.errors["patch"] = OverloadedError("busy", status=429)
    await rig.reconcile()
    assert rig.told == []
    del rig.api.errors["patch"]
    await rig.reconcile()
    assert rig.told == [("uid-1", "Normal", "Suspended")]
