"""What `kubectl get telegrambots` says, and when it is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from botfleet.conditions import REASONS, ConditionType, Phase, Reason
from botfleet.crd import crd
from botfleet.health import Spent
from botfleet_operator import status
from botfleet_operator.decide import decide
from botfleet_operator.defaults import DefaultsRecord
from botfleet_operator.model import DeploymentState
from botfleet_operator.plan import Absence, Observed, Plan
from tests.unit.operator.samples import bot, fresh_pod, heartbeat, observed, pod, provisioned, secrets, settled

PRICED = {
    "name": "gpt-5-mini",
    "apiKeySecretRef": {"name": "openai", "key": "api-key"},
    "pricePerMillionTokens": {"input": 1, "output": 1},
}
LIMITED: dict[str, Any] = {"limits": {"budget": {"tokensPerDay": 9, "moneyPerDay": 9}}, "model": PRICED}
SPENT = Spent(day=date(2026, 1, 2), tokens=5, micros=5, rung=Reason.WITHIN_BUDGET)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def said(state: Observed) -> dict[str, tuple[str, Reason]]:
    return {v.type.value: (v.status, v.reason) for v in decide(state).verdicts}


def test_ready_is_only_who_holds_the_lease_runs_the_current_spec_and_is_connected() -> None:
    record = bot()
    serving = settled(heartbeat=heartbeat(record))
    assert said(serving)["Ready"] == ("True", Reason.READY)
    assert said(replace(serving, pods=(fresh_pod(),)))["Ready"] == ("True", Reason.READY)
    for wrong in (
        replace(serving, heartbeat=heartbeat(record, alive=False)),
        replace(serving, heartbeat=heartbeat(record, holder=None)),
        replace(serving, heartbeat=replace(heartbeat(record), health=None)),
        replace(serving, bot=bot(persona={"prompt": "Another."})),
        replace(serving, pods=(fresh_pod(deleting=True),)),
        replace(serving, pods=(fresh_pod(ended=True),)),
        replace(serving, pods=(pod(credentials="older"),)),
    ):
        assert said(wrong)["Ready"] == ("False", Reason.STARTING)


@pytest.mark.parametrize(
    ("health", "ready", "authorized"),
    [
        ({"authorized": False, "reason": Reason.TOKEN_INVALID}, Reason.NOT_AUTHORIZED, ("False", Reason.TOKEN_INVALID)),
        ({"authorized": False}, Reason.NOT_AUTHORIZED, ("False", Reason.NEVER_LOGGED_IN)),
        ({"connected": False}, Reason.DISCONNECTED, ("True", Reason.AUTHORIZED)),
        ({"connected": False, "authorized": None}, Reason.STARTING, ("Unknown", Reason.NEVER_LOGGED_IN)),
        (
            {"authorized": None, "reason": Reason.BINDING_PENDING},
            Reason.STARTING,
            ("False", Reason.BINDING_PENDING),
        ),
        # What goes with the account is still to come from another bot.
        ({"connected": False, "reason": Reason.BINDING_PENDING}, Reason.STARTING, ("True", Reason.AUTHORIZED)),
        ({"connected": False, "authorized": None, "reason": Reason.DISCONNECTED}, Reason.DISCONNECTED, None),
    ],
)
def test_a_runners_words_become_conditions(health: dict[str, Any], ready: Reason, authorized: Any) -> None:
    words = said(settled(heartbeat=heartbeat(bot(), **health)))
    assert words["Ready"] == ("False", ready)
    if authorized:
        assert words["Authorized"] == authorized


@pytest.mark.parametrize(
    ("receiving", "word"),
    [
        (True, ("True", Reason.RECEIVING)),
        (False, ("False", Reason.DEAF)),
        (None, ("Unknown", Reason.NOT_PROVED)),
    ],
)
def test_receiving_is_what_a_ready_runner_has_proved(receiving: bool | None, word: tuple[str, Reason]) -> None:
    record = bot()
    state = settled(heartbeat=heartbeat(record, receiving=receiving))
    assert said(state)["Ready"] == ("True", Reason.READY)
    assert said(state)["Receiving"] == word


def test_a_bot_that_is_not_ready_receives_nothing_whatever_its_runner_says() -> None:
    record, paused = bot(), bot(suspend=True)
    proved = settled(heartbeat=heartbeat(record, receiving=True))
    for wrong in (
        settled(heartbeat=heartbeat(record, connected=False, receiving=True)),
        settled(heartbeat=heartbeat(record, authorized=False, receiving=True)),
        settled(paused, heartbeat=heartbeat(paused, receiving=True)),
        replace(proved, heartbeat=heartbeat(record, alive=False, receiving=True)),
        replace(proved, bot=bot(persona={"prompt": "Another."})),
        replace(proved, pods=(fresh_pod(ended=True),)),
        settled(),
    ):
        assert said(wrong)["Receiving"] == ("False", Reason.NOT_READY)


def test_what_the_account_was_known_to_be_is_not_forgotten_while_a_runner_starts() -> None:
    known = bot(status={"conditions": [{"type": "Authorized", "status": "True"}]})
    assert "Authorized" not in said(settled(known, heartbeat=heartbeat(known, authorized=None)))


def test_no_news_becomes_unknown_and_what_kubelet_says_is_news() -> None:
    silent = settled(heartbeat=heartbeat(bot(), silent=True, alive=False))
    assert said(silent)["Ready"] == ("Unknown", Reason.NO_HEARTBEAT)
    assert said(silent)["Authorized"] == ("Unknown", Reason.NO_HEARTBEAT)
    assert said(silent)["Receiving"] == ("Unknown", Reason.NO_HEARTBEAT)
    assert said(silent)["ModelAvailable"] == ("Unknown", Reason.NO_HEARTBEAT)
    looping = replace(silent, pods=(fresh_pod(trouble=Reason.CRASH_LOOPING),))
    assert said(looping)["Ready"] == ("False", Reason.CRASH_LOOPING)
    released = settled(heartbeat=heartbeat(bot(), silent=True, alive=False, holder=None))
    assert said(released)["Ready"] == ("False", Reason.STARTING)


@pytest.mark.parametrize("trouble", [Reason.CRASH_LOOPING, Reason.IMAGE_PULL_FAILED, Reason.UNSCHEDULABLE])
def test_what_keeps_a_pod_from_running_is_the_reason(trouble: Reason) -> None:
    state = settled(pods=(fresh_pod(trouble=trouble, running=False),))
    assert said(state)["Ready"] == ("False", trouble)
    assert decide(state).phase is Phase.DEGRADED


def test_a_lease_that_another_pod_holds_is_named() -> None:
    state = settled(heartbeat=heartbeat(bot(), holder="gone"), pods=(fresh_pod(),))
    assert said(state)["Ready"] == ("False", Reason.LEASE_HELD_ELSEWHERE)


def phase(state: Observed, before: str = "") -> Phase:
    return decide(replace(state, bot=replace(state.bot, status={"phase": before} if before else {}))).phase


def test_the_table_of_phases() -> None:
    record = bot()
    running = settled(heartbeat=heartbeat(record))
    starting = settled()
    assert phase(observed(looked_up=True)) is Phase.PENDING
    assert phase(provisioned()) is Phase.PENDING
    assert phase(starting) is Phase.STARTING
    assert phase(running, "Starting") is Phase.RUNNING
    assert phase(settled(heartbeat=heartbeat(record, connected=False)), "Running") is Phase.DEGRADED
    assert phase(settled(heartbeat=heartbeat(record, receiving=False)), "Running") is Phase.DEGRADED
    assert phase(starting, "Running") is Phase.STARTING
    for paused in ("Suspended", "Suspending", "Resuming"):
        assert phase(starting, paused) is Phase.RESUMING
        assert phase(running, paused) is Phase.RUNNING
    assert phase(settled(heartbeat=heartbeat(record, authorized=False))) is Phase.FAILED
    assert phase(observed(secrets={**secrets(), "openai": Absence.MISSING})) is Phase.FAILED
    assert phase(replace(running, bot=replace(record, deleting=True))) is Phase.DELETING


def test_suspended_is_only_when_nothing_runs_any_more() -> None:
    record = bot(suspend=True)
    stopped = settled(record)
    child = stopped.children["Deployment"]
    assert child.deployment is not None
    busy = replace(child, deployment=DeploymentState(1, 0, 1, child.deployment.lists))
    assert phase(stopped) is Phase.SUSPENDED
    assert phase(replace(stopped, children={**stopped.children, "Deployment": busy})) is Phase.SUSPENDING
    assert phase(replace(stopped, pods=(fresh_pod(deleting=True),))) is Phase.SUSPENDING
    assert said(stopped)["Ready"] == ("False", Reason.SUSPENDED)


def written(state: Observed, now: datetime = NOW, **options: Any) -> dict[str, Any]:
    return status.merged(state.bot, decide(state), now, **options)


def test_a_transition_time_moves_only_with_its_condition() -> None:
    first = written(settled())
    later = NOW + timedelta(hours=1)
    same = settled(bot(status=first))
    assert written(same, later) == first
    ready = replace(same, heartbeat=heartbeat(same.bot))
    second = {c["type"]: c for c in written(ready, later)["conditions"]}
    assert second["Ready"]["lastTransitionTime"] == "2026-01-02T04:04:05Z"
    assert second["Accepted"]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert [c["type"] for c in first["conditions"]] == [t.value for t in ConditionType if t is not ConditionType.ERASED]


def test_a_status_names_its_generation_and_every_message_is_whole() -> None:
    for state in (settled(), observed(secrets={**secrets(), "openai": Absence.MISSING})):
        whole = written(state)
        assert whole["observedGeneration"] == 3
        for condition in whole["conditions"]:
            assert condition["observedGeneration"] == 3
            assert "{" not in condition["message"]
            assert Reason(condition["reason"]) in REASONS


def test_the_account_and_the_last_reply_are_as_the_runner_said() -> None:
    record = bot()
    told = settled(heartbeat=heartbeat(record, username="a_bot", last_reply_at=NOW))
    first = written(told)
    assert first["account"] == {"id": 4242, "username": "a_bot"}
    assert first["lastReplyTime"] == "2026-01-02T03:04:05Z"
    later = replace(told, bot=bot(status=first), heartbeat=heartbeat(record, last_reply_at=NOW + timedelta(seconds=9)))
    assert written(later, figures=False)["lastReplyTime"] == "2026-01-02T03:04:05Z"
    assert written(later)["lastReplyTime"] == "2026-01-02T03:04:14Z"
    assert written(later)["account"] == {"id": 4242}, "it has no name any more"


def test_what_comes_goes_or_is_another_is_a_change() -> None:
    assert status.changed({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 9, "d": 4}) == {"b", "c", "d"}


def test_undecided_says_nothing_and_keeps_the_phase() -> None:
    waiting = observed(bot(status={"phase": "Running"}), secrets={})
    plan = decide(waiting)
    assert isinstance(plan, Plan)
    assert (plan.verdicts, plan.phase) == ((), Phase.RUNNING)


def test_what_is_written_has_every_field_of_the_crds_status_and_no_other() -> None:
    record = bot(**LIMITED)
    beat = heartbeat(record, username="concierge_bot", last_reply_at=NOW, last_message_at=NOW, pending=0, spent=SPENT)
    nearer = DefaultsRecord("hotel", "default", "uid-d", 5, 2)
    full = written(settled(record, heartbeat=beat, pods=(fresh_pod(record),), nearer=nearer))
    versions = crd()["spec"]["versions"]
    declared = versions[0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert set(full) == set(declared)
    assert set(full["account"]) == set(declared["account"]["properties"])
    assert set(full["defaults"]) == set(declared["defaults"]["properties"])
    assert set(full["budget"]) == set(declared["budget"]["properties"])
    for condition in full["conditions"]:
        assert set(condition) == set(declared["conditions"]["items"]["properties"])
