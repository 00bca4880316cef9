"""The README's first commands, as their reader meets them: three bots answer, the second time is quick and changes nothing, what
is printed to go on with works, and nothing is left behind.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from botfleet_simulator.client import ModelAdmin, TelegramAdmin
from botfleet_tools.binaries import Program, resolve
from botfleet_tools.cluster import Cluster
from botfleet_tools.cluster.kind import docker_runs
from botfleet_tools.errors import ToolError
from botfleet_tools.platform.diagnosis import explained
from botfleet_tools.platform.forward import forwarded
from botfleet_tools.platform.simulated import NAMESPACE, stored
from tests.e2e.searching import finds_all, search, secrets_of, words_of
from tests.e2e.traces import Traces, same, traces
from tests.support.stamped import StampedLines

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
NAME = "botfleet-demo-test"
MAKE_SECONDS = 600.0
# As from a shell: these tests may themselves run below make, which would speak of its folders.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")},
    "BOTFLEET_DEMO_CLUSTER": NAME,
    "COLUMNS": "200",
}
FAILING = """
apiVersion: v1
kind: Secret
metadata: {name: planted, namespace: planted}
stringData: {token: planted-token-of-the-test-1}
---
apiVersion: batch/v1
kind: Job
metadata: {name: failing, namespace: planted}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: %s
        imagePullPolicy: Never
        command: [sh, -c, "echo the planted reason with $TOKEN; exit 7"]
        env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: planted, key: token}}}]
        securityContext: {runAsNonRoot: true, runAsUser: 65532}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: missing, namespace: planted}
spec:
  selector: {matchLabels: {app: missing}}
  template:
    metadata: {labels: {app: missing}}
    spec: {containers: [{name: main, image: "localhost/nobody/has:this", imagePullPolicy: Never}]}
"""


@dataclass
class Run:
    """What a run of make printed, and what it told of its progress: each line with the moment at which it was written."""

    printed: list[tuple[float, str]]
    told: list[tuple[float, str]]

    @property
    def text(self) -> str:
        return "".join(line for _, line in self.printed)

    @property
    def progress(self) -> str:
        return "".join(line for _, line in self.told)


def run_make(*words: str, says: str = "", expect: int = 0) -> Run:
    """Runs make as the README says."""
    printed, told = StampedLines(), StampedLines()
    run = Run(printed.lines, told.lines)
    with subprocess.Popen(
        ["make", *words], cwd=ROOT, env=ENVIRONMENT, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=printed.end, stderr=told.end,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        for output in (printed, told):
            os.close(output.end)
        readers = [printed.start(), told.start()]
        try:
            process.stdin.write(says)
            process.stdin.close()
            process.wait(MAKE_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        for reader in readers:
            reader.join(10)
    assert process.returncode == expect, run.text + run.progress
    return run


def make(*words: str, says: str = "", expect: int = 0) -> str:
    """What it printed."""
    return run_make(*words, says=says, expect=expect).text


def look() -> Traces | None:
    """What the host shows of the demo; None where its cluster is Docker's."""
    return None if docker_runs() else traces(NAME)


def cluster() -> Cluster:
    found = Cluster.find(NAME)
    assert found is not None
    return found


def pods() -> dict[str, tuple[str, list[int]]]:
    """Every pod of the cluster by name: its identity, and how often each of its containers was started again."""
    items = json.loads(cluster().kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
    return {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": (
            pod["metadata"]["uid"],
            [container["restartCount"] for container in pod["status"]["containerStatuses"]],
        )
        for pod in items
    }


@pytest.fixture(scope="module")
def before() -> Traces | None:
    """What the host showed before the demo."""
    if os.geteuid() != 0 and not docker_runs():
        pytest.skip("a node of plain processes needs root, and Docker is not there")
    make("demo-down")
    return look()


@pytest.fixture(scope="module")
def first_run(before: Traces | None) -> Iterator[Run]:
    try:
        yield run_make("demo")
    finally:
        make("demo-down")


@pytest.fixture(scope="module")
def first(first_run: Run) -> str:
    """What the first `make demo` printed."""
    return first_run.text


def conversation(printed: str) -> list[tuple[str, str]]:
    """Who answered, and the last line of what they said."""
    said = re.findall(r"^  (@\w+): (.*(?:\n      .*)*)", printed, re.MULTILINE)
    return [(bot, text.strip().splitlines()[-1].strip()) for bot, text in said]


def test_it_shows_the_manifests_the_fleet_and_what_people_and_bots_said(first: str) -> None:
    for bot in ("concierge", "spa", "support"):
        manifest = (ROOT / f"examples/{bot}.yaml").read_text()
        assert f"\nApplied: examples/{bot}.yaml\n\n{manifest}" in first
    assert len(re.findall(r"^(?:hotel|shop) +\w+ +Running +True ", first, re.MULTILINE)) == 6, "before and after"
    talked = conversation(first)
    assert [bot for bot, _ in talked] == ["@concierge_bot"] * 3 + ["@spa_bot"] + ["@support_bot"] * 2
    assert "Noted: 12, 14, 31." in talked[2][1]
    assert talked[5][1].startswith("Yes, I am an AI")
    assert "make chat BOT=hotel/concierge" in first
    assert "make demo-down" in first
    assert "export KUBECONFIG=" in first


STEPS = (
    r"Starting cluster botfleet-demo-test",
    r"Cluster botfleet-demo-test",
    r"Loading the images into the cluster",
    r"Starting the simulated Telegram and model",
    r"Installing the chart as release botfleet",
    r"Applying three TelegramBots",
)


def test_each_step_that_lasts_is_shown_when_it_begins_and_when_it_is_done_with_its_seconds(first_run: Run) -> None:
    ended = -1.0
    steps = STEPS if not docker_runs() else ("Creating kind cluster botfleet-demo-test", *STEPS[2:])
    for title in steps:
        (begun,) = [moment for moment, line in first_run.told if line == f"… {title}\n"]
        ((done, took),) = [
            (moment, float(found[1]))
            for moment, line in first_run.told
            if (found := re.fullmatch(rf"✔ {title} \((\d+\.\d) s\)\n", line))
        ]
        assert ended <= begun <= done, first_run.progress
        assert took / 2 <= done - begun <= took + 5, "it is told when it happens, and not at the end"
        ended = done
    for title in re.findall(r"^… (.+)$", first_run.progress, re.MULTILINE):  # also what was built for it, where it was
        assert f"\n✔ {title} (" in f"\n{first_run.progress}"
    talked = [moment for moment, line in first_run.printed if " → @" in line]
    assert ended <= min(talked), "people write once the bots are there"


def test_a_line_is_shown_when_it_is_said_and_its_answer_when_it_comes(first_run: Run) -> None:
    said, waited = 0.0, []
    for moment, line in first_run.printed:
        if re.match(r"  \w+ → @\w+: ", line):
            said = moment
        elif found := re.search(r"\((\d+\.\d) s\)$", line.rstrip()):
            waited.append((moment - said, float(found[1])))
    assert len(waited) == 6
    for between, took in waited:
        assert took / 2 <= between <= took + 5, waited


def test_nothing_of_the_platform_had_to_be_started_again_while_it_was_installed(first: str) -> None:
    found = pods()
    parts = ("bootstrap", "migrate", "operator", "postgres", "redis")
    wanted = {*(f"botfleet-system/botfleet-{part}" for part in parts)}
    wanted |= {"hotel/concierge", "hotel/spa", "shop/support", "simulated/telegram", "simulated/model"}
    assert [part for part in wanted if not any(pod.startswith(f"{part}-") for pod in found)] == []
    assert {pod: restarts for pod, (_, restarts) in found.items() if restarts != [0]} == {}


def test_run_again_it_is_quick_changes_no_pod_and_the_bots_answer_anew(first: str) -> None:
    already = pods()
    began = time.monotonic()
    again = make("demo")
    assert time.monotonic() - began < 90
    assert pods() == already
    took = [float(seconds) for seconds in re.findall(r"\((\d+\.\d) s\)", again)]
    assert len(took) == 6
    assert min(took) > 0.2, "what it shows is what was said now, and not the first time"
    assert "Noted: 12, 14, 31." in conversation(again)[2][1]


def test_anybody_can_chat_with_a_bot_of_the_demo(first: str) -> None:
    assert "Noted: 77." in make("chat", "BOT=hotel/spa", says="A massage at 77?\n\n")
    refused = make("chat", "BOT=hotel/nobody", expect=2)
    assert "hotel/concierge, hotel/spa, shop/support" in refused


async def test_no_log_of_the_demo_holds_a_secret_or_a_message(first: str) -> None:
    here = cluster()
    found = pods()
    assert {pod: restarts for pod, (_, restarts) in found.items() if sum(restarts)} == {}, (
        "no log has ended with a container"
    )
    logs = {
        pod: here.kubectl("-n", pod.split("/")[0], "logs", pod.split("/")[1], "--all-containers", "--tail=-1")
        for pod in found
        if not pod.startswith(f"{NAMESPACE}/")
    }
    assert '"event": "reply_sent"' in "".join(text for pod, text in logs.items() if pod.startswith("hotel/concierge-"))
    with (
        forwarded(here, NAMESPACE, "deployment/telegram", 8444) as telegram,
        forwarded(here, NAMESPACE, "deployment/model", 8081) as model,
    ):
        words = await words_of(
            TelegramAdmin(f"http://127.0.0.1:{telegram[8444]}"), ModelAdmin(f"http://127.0.0.1:{model[8081]}")
        )
    assert any("rooms 12, 14 and 31" in word for word in words)
    wanted = secrets_of(here.kubectl, stored(here)) | words
    assert finds_all(wanted)
    assert search(logs, wanted) == []


def test_a_wait_that_fails_names_the_part_and_shows_the_end_of_its_log_without_its_secret(first: str) -> None:
    here = cluster()
    # An image that has a shell and is loaded already.
    (image,) = {
        container["image"]
        for pod in json.loads(here.kubectl("-n", "botfleet-system", "get", "pods", "-o", "json"))["items"]
        for container in pod["spec"]["containers"]
        if "/redis:" in container["image"]
    }
    here.kubectl("create", "namespace", "planted")
    try:
        here.kubectl("apply", "-f", "-", stdin=FAILING % image)
        here.kubectl(
            "-n", "planted", "wait", "--for=condition=Failed", "job/failing", "--timeout=150s", deadline_seconds=160,
        )  # fmt: skip
        here.kubectl(
            "-n", "planted", "wait", "pod", "-l", "app=missing", "--timeout=150s",
            "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull", deadline_seconds=160,
        )  # fmt: skip
        with pytest.raises(ToolError) as failure, explained(here):
            here.kubectl("-n", "planted", "rollout", "status", "deployment/missing", "--timeout=1s")
    finally:
        here.kubectl("delete", "namespace", "planted", deadline_seconds=180)
    told = str(failure.value)
    for line in (
        r".*timed out waiting for the condition",
        r"  hotel/concierge-\S+: Running",
        r"  planted/failing-\S+: Failed; main has ended: Error",
        r"  planted/missing-\S+: Pending; main waits: ErrImageNeverPull .*",
        r"  job planted/failing: Failed=True BackoffLimitExceeded .*",
        r"  deployment planted/missing: 0 of 1 ready",
        r"  deployment planted/missing: Available=False MinimumReplicasUnavailable .*",
        r"the end of the log of planted/failing-\S+, main:",
        r"    the planted reason with •••",
    ):
        assert re.search(f"^{line}$", told, re.MULTILINE), f"no line {line} in:\n{told}"
    assert "planted-token" not in told


def test_the_lines_that_it_prints_to_go_on_with_work_in_a_shell_that_knows_nothing(first: str, tmp_path: Path) -> None:
    lines = [
        line.removeprefix("  ") for line in first.partition("How to go on:")[2].splitlines() if line.startswith("  ")
    ]
    to_run = [line for line in lines if line.startswith(("export ", "kubectl "))]
    assert len([line for line in to_run if line.startswith("kubectl ")]) == 3
    script = "\n".join(
        [*to_run, "command -v kubectl", "kubectl -n hotel rollout status deployment/concierge --timeout=240s"]
    )
    done = subprocess.run(
        ["/bin/sh", "-ec", script],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for bot in ("hotel +concierge", "hotel +spa", "shop +support"):
        assert re.search(rf"^{bot} +Running +True ", done.stdout, re.MULTILINE), done.stdout
    assert "deployment.apps/concierge restarted" in done.stdout
    assert f"\n{resolve(Program.KUBECTL)}\n" in done.stdout, "the one that fits the cluster"


def test_after_demo_down_nothing_is_left(first: str, before: Traces | None) -> None:
    assert look() != before or docker_runs()
    make("demo-down")
    assert Cluster.find(NAME) is None
    if before is not None:
        same(before, NAME)
