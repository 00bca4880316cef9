"""A wait that failed says which part is not well and shows the end of its log, and never what a Secret holds."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from botfleet_tools.cluster import Cluster
from botfleet_tools.demo import cluster_demo
from botfleet_tools.errors import ToolError
from botfleet_tools.platform import install, simulated
from botfleet_tools.platform.diagnosis import broken, explained, masked, pod_line, secret_texts, unwell
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError

TOKEN = "5000001:AAplanted0token0planted0token00"
PASSWORD = "planted-pass"


def pod(name: str, phase: str = "Running", **container: Any) -> dict[str, Any]:
    statuses = [{"name": "main", "restartCount": 0, "ready": True, "state": {"running": {}}} | container]
    return {
        "kind": "Pod",
        "metadata": {"namespace": "hotel", "name": name},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


WELL = pod("well")
DONE = pod("done", "Succeeded", ready=False, state={"terminated": {"exitCode": 0, "reason": "Completed"}})
NOT_READY = pod("slow", ready=False)
LOOPS = pod(
    "loops", ready=False, restartCount=4, state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
)
RESTARTED = pod("again", restartCount=1)
UNSTEADY = pod("unsteady", restartCount=2, ready=False)
UNPLACED = {
    "kind": "Pod",
    "metadata": {"namespace": "hotel", "name": "unplaced"},
    "status": {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no memory"},
            {"type": "Ready", "status": "False"},
        ],
    },
}


@pytest.mark.parametrize(
    ("found", "line", "logs"),
    [
        (WELL, "hotel/well: Running", []),
        (DONE, "hotel/done: Succeeded", []),
        (NOT_READY, "hotel/slow: Running; main runs and is not ready", [("main", False)]),
        (
            LOOPS,
            "hotel/loops: Running; main waits: CrashLoopBackOff back-off, started again 4 times",
            [("main", False)],
        ),
        (RESTARTED, "hotel/again: Running; main runs, started again 1 times", [("main", True)]),
        (
            UNSTEADY,
            "hotel/unsteady: Running; main runs and is not ready, started again 2 times",
            [("main", True), ("main", False)],
        ),
        (UNPLACED, "hotel/unplaced: Pending", []),
    ],
)
def test_a_pod_is_told_in_a_line_and_the_log_of_one_that_is_not_well_is_asked_for(
    found: dict[str, Any], line: str, logs: list[tuple[str, bool]]
) -> None:
    assert pod_line(found) == line
    assert unwell(found) == logs


def thing(kind: str, *conditions: dict[str, str], **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "hotel", "name": "spa"}
    return (
        {"kind": kind, "metadata": metadata}
        | more
        | {"status": {"conditions": list(conditions)} | more.get("status", {})}
    )


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        (
            thing("TelegramBot", {"type": "Ready", "status": "False", "reason": "R", "message": "Do this."}),
            ["telegrambot hotel/spa: Ready=False R Do this."],
        ),
        (thing("TelegramBot", {"type": "Ready", "status": "Unknown"}), ["telegrambot hotel/spa: Ready=Unknown"]),
        (thing("TelegramBot", {"type": "Ready", "status": "True", "reason": "R"}), []),
        (thing("Job", {"type": "Complete", "status": "True"}), []),
        (thing("Job", {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}),
         ["job hotel/spa: Failed=True BackoffLimitExceeded"]),
        (thing("Deployment", spec={"replicas": 2}, status={"readyReplicas": 1}), ["deployment hotel/spa: 1 of 2 ready"]),
        (thing("StatefulSet", spec={"replicas": 1}, status={}), ["statefulset hotel/spa: 0 of 1 ready"]),
        (UNPLACED, ["pod hotel/unplaced: PodScheduled=False Unschedulable no memory"]),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_named_with_its_reason(item: dict[str, Any], lines: list[str]) -> None:
    assert broken(item) == lines


def secret(**values: str) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"namespace": "hotel", "name": "spa"}, "type": "Opaque", "data": data}


def test_a_secret_inside_a_longer_value_is_one_too() -> None:
    dsn = "postgresql://bot:abcdef1234567890@postgres:5432/botfleet"
    found = secret_texts([secret(accounts=json.dumps({"bots": [{"token": TOKEN}]}), url=dsn, password=PASSWORD)])
    assert {TOKEN.partition(":")[2], "abcdef1234567890", PASSWORD, dsn} <= found
    assert found.isdisjoint({"bots", "token", "bot", "postgres", "5432", "botfleet"})


@pytest.mark.parametrize(
    ("held", "shown", "left"),
    [
        ("horse", "login with horse", "login with •••"),
        ("pin\nfour", "four of pin", "••• of pin"),  # fewer than four characters are not masked
        (f"{PASSWORD}\n", f"not {PASSWORD}!", "not •••!"),
        ("postgresql://bot:correct-horse@h/d", "password correct-horse of h", "password ••• of h"),
        ("redis://:correct%2Fhorse@h", "correct%2Fhorse or correct/horse", "••• or •••"),
        (json.dumps({"users": [{"secret": "correct-horse"}]}), "users: secret correct-horse", "users: secret •••"),
        ("a: 1\n---\n- secret: 'correct-horse'\n", "users: secret correct-horse", "users: secret •••"),
        ("at: 2026-99-99", "at: 2026-99-99", "•••"),
        (json.dumps({"bot": "hotel", "key": "sk-horse"}), "hotel has sk-horse", "hotel has •••"),
        ("hotel", "hotel is a whole value", "••• is a whole value"),
        ("correct-horse", f"token: {base64.b64encode(b'correct-horse').decode()}", "token: •••=="),
        ("correct-horse\n", f"token: {base64.b64encode(b'correct-horse' + bytes([10])).decode()}", "token: •••="),
        ("a?b>c?d>e?f~", base64.urlsafe_b64encode(b"a?b>c?d>e?f~").decode(), "•••"),
        ("one\ntwo\nthree", f"three, {base64.b64encode(b'one' + bytes([10]) + b'two' + bytes([10]) + b'three').decode()}", "•••, •••=="),
    ],
)  # fmt: skip
def test_what_a_secret_holds_is_masked_whole_and_in_parts_and_as_base64(held: str, shown: str, left: str) -> None:
    hidden = secret_texts([secret(value=held)], ["hotel", "spa"])
    assert masked(shown, hidden) == left


@dataclass
class FakeCluster:
    """Answers as kubectl does: lists by kind, logs by pod."""

    lists: dict[str, list[dict[str, Any]]]
    logs: dict[tuple[str, bool], str] = field(default_factory=dict)

    def kubectl(self, *argv: str, deadline_seconds: float) -> str:
        assert deadline_seconds > 0
        if argv[0] == "get" and argv[1] in self.lists:
            return json.dumps({"items": self.lists[argv[1]]})
        key = (argv[3] if len(argv) > 3 else "", "--previous" in argv)
        if argv[2:3] == ("logs",) and key in self.logs:
            return self.logs[key]
        raise CommandFailedError("kubectl does not know", returncode=1, output="")

    def failure(self, error: Exception) -> str:
        with pytest.raises(ToolError) as caught, explained(cast("Cluster", self)):
            raise error
        return str(caught.value)


def test_a_failed_wait_shows_the_failure_the_pods_the_conditions_and_the_logs_and_no_secret() -> None:
    bot = thing("TelegramBot", {"type": "Ready", "status": "False", "reason": "R", "message": f"not {PASSWORD}"})
    cluster = FakeCluster(
        {
            "secrets": [secret(token=TOKEN, password=PASSWORD, accounts=json.dumps({"of": "hotel", "pod": "loops"}))],
            "pods": [WELL, LOOPS, RESTARTED],
            "telegrambots": [bot],
            "jobs": [],
            "deployments": [],
        },
        {("loops", False): f"the planted reason\nlogin with {TOKEN}\n", ("again", True): "the reason before\n"},
    )
    told = cluster.failure(CommandFailedError("it did not roll out", returncode=1, output="timed out"))
    assert told.splitlines() == [
        "it did not roll out",
        "    timed out",
        "pods:",
        "  hotel/well: Running",
        "  hotel/loops: Running; main waits: CrashLoopBackOff back-off, started again 4 times",
        "  hotel/again: Running; main runs, started again 1 times",
        "not as it should be:",
        "  telegrambot hotel/spa: Ready=False R not •••",
        "the end of the log of hotel/loops, main:",
        "    the planted reason",
        "    login with •••",
        "the end of the log of hotel/again, main before it was started again:",
        "    the reason before",
    ]


def test_without_the_secrets_nothing_is_shown_that_could_hold_one() -> None:
    cluster = FakeCluster({"pods": [LOOPS]}, {("loops", False): PASSWORD})
    told = cluster.failure(TimeoutError("no reply within 60 s"))
    assert told.startswith("no reply within 60 s\nwhat failed in the cluster could not be asked: kubectl does not know")
    assert PASSWORD not in told


def test_what_did_not_fail_is_not_explained_and_other_errors_stay_what_they_are() -> None:
    cluster = cast("Cluster", FakeCluster({}))
    with explained(cluster):
        pass
    with pytest.raises(ValueError, match="mine"), explained(cluster):
        raise ValueError("mine")


class Unready(FakeCluster):
    """Takes what is applied, and never gets ready."""

    kubeconfig = Path("kubeconfig")

    def kubectl(self, *argv: str, deadline_seconds: float = 60.0, stdin: str | None = None) -> str:
        if "rollout" in argv or "wait" in argv:
            raise CommandFailedError("timed out waiting", returncode=1, output="")
        if "apply" in argv or "--ignore-not-found" in argv:
            return ""
        if "statefulset" in argv or "deployment" in argv:
            return json.dumps({"items": [{"metadata": {"name": "operator"}}]})
        return super().kubectl(*argv, deadline_seconds=deadline_seconds)


def the_chart(cluster: Cluster, progress: Progress) -> None:
    install.install(install.Release(cluster), install.LoadedImages(dict.fromkeys(install.IMAGES, "1")), progress, {})


def the_simulators(cluster: Cluster, progress: Progress) -> None:
    simulated.ensure(cluster, "image", progress)


def the_bots(cluster: Cluster, progress: Progress) -> None:
    cluster_demo._apply_bots(cluster, simulated.new_simulation(), progress)


@pytest.mark.parametrize("part", [the_chart, the_simulators, the_bots])
def test_every_wait_for_the_platform_is_explained_when_it_fails(
    part: Callable[[Cluster, Progress], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "resolve", lambda *_: Path("helm"))
    monkeypatch.setattr(install, "capture", lambda *_, **__: "")
    cluster = Unready({"secrets": [], "pods": [LOOPS]}, {("loops", False): "the planted reason"})
    with pytest.raises(ToolError) as caught:
        part(cast("Cluster", cluster), Progress(Console(file=io.StringIO())))
    told = str(caught.value).splitlines()
    assert told[0] == "timed out waiting"
    assert told[-1] == "    the planted reason"
