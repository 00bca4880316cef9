"""Promises of what is said of a pod that ends again and again: the reason that helps, and one while it lasts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from botfleet.conditions import ConditionType, Phase, Reason, message
from botfleet_operator.decide import decide
from botfleet_operator.model import PodRecord, pod_record
from botfleet_operator.plan import Observed
from tests.unit.operator.samples import bot, fresh_pod, heartbeat, settled

KILLED, FAILED = {"terminated": {"reason": "OOMKilled"}}, {"terminated": {"reason": "Error", "exitCode": 1}}
BACK_OFF: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}}


def seen(
    state: dict[str, Any], last: dict[str, Any] | None = None, *, started: bool = False, again: int = 1
) -> PodRecord:
    container = {"state": state, "lastState": last or {}, "started": started, "restartCount": again}
    metadata = {"namespace": "ns", "name": "p", "uid": "u", "resourceVersion": "5"}
    return pod_record({"metadata": metadata, "status": {"containerStatuses": [container]}})


@pytest.mark.parametrize(
    ("pod", "trouble"),
    [
        (seen(KILLED, again=0), Reason.OUT_OF_MEMORY),
        (seen(BACK_OFF, KILLED), Reason.OUT_OF_MEMORY),
        (seen({"running": {}}, KILLED), Reason.OUT_OF_MEMORY),
        (seen({"running": {}}, KILLED, started=True), None),  # it has come up: whether it is well, it tells itself
        (seen(KILLED, FAILED), Reason.OUT_OF_MEMORY),
        (seen(FAILED, KILLED), None),
        (seen(BACK_OFF, FAILED), Reason.CRASH_LOOPING),
        (seen({"running": {}}, FAILED), None),
        (seen({"running": {}}, again=0), None),
    ],
)
def test_a_runner_that_was_killed_for_its_memory_is_told_from_one_that_crashes(
    pod: PodRecord, trouble: Reason | None
) -> None:
    assert pod.trouble == trouble


def ready_through(*pods: PodRecord) -> list[Reason]:
    """The reason of Ready after each look, each over the status that the look before has left."""
    words: list[Reason] = []
    state: Observed = settled()
    for pod in pods:
        status = {"conditions": [{"type": "Ready", "status": "False", "reason": words[-1].value}]} if words else {}
        plan = decide(replace(state, bot=bot(status=status), pods=(pod,)))
        assert plan.phase is Phase.DEGRADED or words == []
        words.append(next(v.reason for v in plan.verdicts if v.type is ConditionType.READY))
    return words


def test_out_of_memory_is_one_reason_while_the_container_ends_waits_and_starts() -> None:
    life = [seen(KILLED, again=0), seen({"running": {}}, KILLED), seen(KILLED), seen(BACK_OFF, KILLED)] * 2
    assert set(ready_through(*life)) == {Reason.OUT_OF_MEMORY}


def test_a_runner_that_is_killed_for_its_memory_and_crashes_by_turns_does_not_flap() -> None:
    crash = [seen({"running": {}}, KILLED), seen(FAILED, KILLED), seen(BACK_OFF, FAILED), seen({"running": {}}, FAILED)]
    killed = [seen(KILLED, FAILED), seen(BACK_OFF, KILLED)]
    assert set(ready_through(seen(KILLED, again=0), *crash, *killed, *crash)) == {Reason.OUT_OF_MEMORY}


def test_a_crash_loop_is_one_reason_too_and_memory_says_more_than_it() -> None:
    loop = [seen(BACK_OFF, FAILED), seen({"running": {}}, FAILED), seen(FAILED, FAILED), seen(BACK_OFF, FAILED)]
    assert set(ready_through(*loop)) == {Reason.CRASH_LOOPING}
    assert ready_through(*loop, seen(BACK_OFF, KILLED))[-1] is Reason.OUT_OF_MEMORY


def test_the_word_is_over_when_the_runner_is_up_or_the_pod_is_another() -> None:
    before = {"conditions": [{"type": "Ready", "status": "False", "reason": "OutOfMemory"}]}
    record = bot(status=before)
    serving = settled(record, heartbeat=heartbeat(record), pods=(fresh_pod(record, trouble=Reason.OUT_OF_MEMORY),))
    fresh = settled(record, pods=(seen({"waiting": {"reason": "ContainerCreating"}}, again=0),))
    told = [next(v.reason for v in decide(s).verdicts if v.type is ConditionType.READY) for s in (serving, fresh)]
    assert told == [Reason.READY, Reason.STARTING]


def test_out_of_memory_says_which_field_to_raise() -> None:
    assert "spec.workload.resources.limits.memory" in message(Reason.OUT_OF_MEMORY)
