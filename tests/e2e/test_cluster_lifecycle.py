"""The development cluster's own promises: two do not collide, and nothing is left of one, however it ended.

The clusters of these tests have names of their own; a cluster that runs for other tests is not touched.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from botfleet_tools import binaries
from botfleet_tools.binaries import Program, resolve
from botfleet_tools.cluster import Cluster, layout, pauseimage, process
from botfleet_tools.cluster import cluster as clusters
from botfleet_tools.cluster.state import load, run_dir
from botfleet_tools.pids import Process
from botfleet_tools.progress import Progress
from botfleet_tools.run import capture
from tests.e2e.traces import (
    Traces,
    in_namespace,
    init_of,
    namespace_of,
    processes,
    read,
    same,
    traces,
    until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ONE, OTHER = "bf-test-one", "bf-test-other"
UP_SECONDS = 300.0
QUICK_SECONDS = 10.0
LOADED = "localhost/bf-test/loaded:1"
POD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  containers:
  - name: pause
    image: %s
    imagePullPolicy: Never
    securityContext: {runAsNonRoot: true, runAsUser: 65535}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "botfleet_tools.cluster", *argv]


def start_up(name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(command("up", "--name", name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run_pod(cluster: Cluster, image: str = layout.PAUSE_IMAGE) -> None:
    cluster.kubectl("apply", "--filename=-", stdin=POD % image)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/pod", "--timeout=150s", deadline_seconds=160)


@pytest.fixture
def nothing_before() -> Iterator[Traces]:
    """What the host showed before the test; the test's clusters are removed after it."""
    if clusters.choose(ONE, "auto") == "kind":
        pytest.skip("looks at namespaces, which the provider kind leaves to Docker")
    progress = Progress()
    for name in (ONE, OTHER):
        clusters.remove(name, progress)
    resolve(Program.KUBECTL, progress)
    try:
        yield traces(ONE, OTHER)
    finally:
        for name in (ONE, OTHER):
            clusters.remove(name, progress)


def test_two_clusters_started_at_once_run_side_by_side_and_the_end_of_one_leaves_the_other_alone(
    nothing_before: Traces,
) -> None:
    starting = [start_up(name) for name in (ONE, OTHER)]
    for up in starting:
        output, _ = up.communicate(timeout=UP_SECONDS)
        assert up.returncode == 0, output

    one, other = Cluster.find(ONE), Cluster.find(OTHER)
    assert one is not None
    assert other is not None
    assert one.node_ip != other.node_ip
    for cluster in (one, other):
        run_pod(cluster)
        claim = json.loads(cluster.kubectl("get", "persistentvolumeclaim", "data", "--output=json"))
        assert claim["spec"]["storageClassName"] == layout.STORAGE_CLASS
        (volume,) = (cluster.run_dir / "volumes").iterdir()
        assert volume.stat().st_mode & 0o777 == 0o777

    one.down()

    assert not run_dir(ONE).exists()
    status = json.loads(other.kubectl("get", "pod", "pod", "--output=json"))["status"]
    assert status["phase"] == "Running"
    assert [container["restartCount"] for container in status["containerStatuses"]] == [0]
    other.down()
    same(nothing_before, ONE, OTHER)


def test_a_second_up_is_quick_and_changes_nothing_and_the_other_commands_tell_of_the_running_cluster(
    nothing_before: Traces,
) -> None:
    cluster = Cluster.ensure(ONE, "process", audit=True)
    init = init_of(ONE)

    started = time.monotonic()
    assert Cluster.ensure(ONE, "process") == cluster

    assert time.monotonic() - started < QUICK_SECONDS
    assert init_of(ONE) == init
    assert cluster.audit_log is not None
    told = {
        verb: subprocess.run(
            command(verb, "--name", ONE), capture_output=True, text=True, timeout=60, check=True
        ).stdout
        for verb in ("status", "kubeconfig", "path")
    }
    first, *parts = told["status"].splitlines()
    assert first == f"{ONE}: running, provider process, node {cluster.node_ip}, files {run_dir(ONE)}"
    state = load(ONE)
    assert state is not None
    for part in process.service_facts(state):
        assert f"  {part}: running, started 1 times" in parts
    assert re.search(rf"^{state.names.node} +Ready ", told["status"], re.MULTILINE)
    assert told["kubeconfig"] == f"{cluster.kubeconfig}\n"
    assert told["path"] == f"{run_dir(ONE)}\n"
    listed: list[str | Path] = [
        resolve(Program.KUBECTL),
        "--kubeconfig",
        told["kubeconfig"].strip(),
        "get",
        "nodes",
        "--output=name",
    ]
    assert capture(listed, deadline_seconds=20) == f"node/{state.names.node}\n"
    cluster.kubectl("create", "configmap", "seen-in-audit")
    until(lambda: '"seen-in-audit"' in str(cluster.audit_log.read_text() if cluster.audit_log else ""))


def test_a_part_that_does_not_start_is_named_with_the_end_of_its_log(nothing_before: Traces, tmp_path: Path) -> None:
    broken = tmp_path / "kubelet"
    broken.write_text("#!/bin/sh\necho the planted reason\nexit 9\n")
    broken.chmod(0o755)

    starting = subprocess.run(
        command("up", "--name", ONE, "--provider", "process"),
        env=os.environ | {"BOTFLEET_KUBELET": str(broken)},
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
        check=False,
    )

    assert starting.returncode == 1
    assert "kubelet ended" in starting.stderr
    assert "the planted reason" in starting.stderr
    assert "Traceback" not in starting.stderr
    # It is kept for a look, `status` included: as `up` left it, where its first process would soon try a sixth time.
    assert init_of(ONE).send(signal.SIGSTOP)
    try:
        status = subprocess.run(
            command("status", "--name", ONE), capture_output=True, text=True, timeout=120, check=True
        )
    finally:
        init_of(ONE).send(signal.SIGCONT)
    assert "  kubelet: ended with 9, started 5 times\n" in status.stdout
    subprocess.run(command("down", "--name", ONE), check=True, timeout=120)
    same(nothing_before, ONE, OTHER)


def test_nothing_is_left_after_down(nothing_before: Traces, tmp_path: Path) -> None:
    cluster = Cluster.ensure(ONE, "process")
    archive = tmp_path / "image.tar"
    archive.write_bytes(pauseimage.archive(binaries.pause(), LOADED))
    for said in (f"… Loading {LOADED}\n", f"✔ {LOADED}: loaded already\n"):
        loading = command("load-image", str(archive), "--name", ONE)
        assert said in subprocess.run(loading, capture_output=True, text=True, timeout=60, check=True).stderr
    run_pod(cluster, LOADED)
    namespace = namespace_of(ONE)
    assert len(in_namespace(namespace)) > 8  # the services, and what runs the pod
    assert traces(ONE, OTHER) != nothing_before

    subprocess.run(command("down", "--name", ONE), check=True, timeout=120)

    same(nothing_before, ONE, OTHER)
    assert in_namespace(namespace) == []
    assert not run_dir(ONE).exists()


def shown(name: str) -> tuple[Traces, list[str]]:
    """What the host shows of a cluster that runs, and what runs in it. Which of the free addresses it got is left out."""
    state = load(name)
    assert state is not None
    network = state.network
    replaced = {
        network.host_ip.rpartition(".")[0] + ".": "LINK.",
        network.pods.removesuffix(".0.0/16") + ".": "PODS.",
        network.services.removesuffix(".0.0/16") + ".": "SERVICES.",
    }

    def told(text: str) -> str:
        for address, word in replaced.items():
            text = text.replace(address, word)
        return re.sub(r"fe80::[0-9a-f:]+", "fe80::", text)

    seen = {key: tuple(sorted(told(line) for line in lines)) for key, lines in asdict(traces(name)).items()}
    inside = [told(read(pid, "cmdline").replace("\0", " ")) for pid in in_namespace(namespace_of(name))]
    return Traces(**seen), sorted(inside)


@pytest.fixture(scope="module")
def clean() -> tuple[Traces, list[str]]:
    """What is shown of a cluster after an `up` that nothing went before."""
    if clusters.choose(ONE, "auto") == "kind":
        pytest.skip("looks at namespaces, which the provider kind leaves to Docker")
    clusters.remove(ONE, Progress())
    cluster = Cluster.ensure(ONE, "process")
    state = load(ONE)
    assert state is not None
    looks: list[tuple[Traces, list[str]]] = []

    def nothing_runs_but_what_stays() -> bool:
        looks.append(shown(ONE))
        # One look alone may have met a short-lived program while it went from one place to the next.
        steady = len(looks) > 1 and looks[-1] == looks[-2]
        return steady and len(looks[-1][1]) == len(process.service_facts(state)) + len(("launcher", "init"))

    try:
        until(nothing_runs_but_what_stays)  # services run short-lived programs now and then
    finally:
        cluster.down()
    return looks[-1]


def the_first_process_is_killed() -> str:
    run_pod(Cluster.ensure(ONE, "process"))
    namespace = namespace_of(ONE)
    killed = init_of(ONE)
    assert killed.send(signal.SIGKILL)
    assert killed.wait(60)
    return namespace


def every_process_is_killed() -> str:
    run_pod(Cluster.ensure(ONE, "process"))
    namespace = namespace_of(ONE)
    found = [Process.of(pid) for pid in {*in_namespace(namespace), *processes(ONE)}]
    alive = [one for one in found if one is not None]
    assert len(alive) > 10  # the services, the two first processes, and what runs the pod
    for one in alive:
        one.send(signal.SIGKILL)
    assert all(one.wait(60) for one in alive)
    return namespace


def up_is_killed_before_the_first_process_is_there() -> str:
    kill_up(lambda: load(ONE) is not None)
    return ""


def up_is_killed_when_the_first_process_is_there() -> str:
    return kill_up(lambda: (state := load(ONE)) is not None and state.init is not None)


def up_is_killed_while_the_services_start() -> str:
    return kill_up((run_dir(ONE) / "services.json").exists)


def kill_up(when: Callable[[], bool]) -> str:
    starting = start_up(ONE)
    until(when)
    state = load(ONE)
    namespace = "" if state is None or state.init is None else namespace_of(ONE)
    starting.kill()
    starting.communicate(timeout=30)
    return namespace


@pytest.mark.parametrize(
    "crash",
    [
        the_first_process_is_killed,
        every_process_is_killed,
        up_is_killed_before_the_first_process_is_there,
        up_is_killed_when_the_first_process_is_there,
        up_is_killed_while_the_services_start,
    ],
)
def test_up_after_a_crash_shows_what_a_clean_up_shows_and_nothing_is_left_after_down(
    crash: Callable[[], str], clean: tuple[Traces, list[str]], nothing_before: Traces
) -> None:
    crashed = crash()

    subprocess.run(command("up", "--name", ONE), check=True, timeout=UP_SECONDS)

    until(lambda: shown(ONE) == clean)
    namespace = namespace_of(ONE)
    assert crashed == namespace or in_namespace(crashed) == []  # the kernel may use the number again
    cluster = Cluster.find(ONE)
    assert cluster is not None
    run_pod(cluster)
    subprocess.run(command("down", "--name", ONE), check=True, timeout=120)
    same(nothing_before, ONE, OTHER)
    assert in_namespace(namespace) == []
    assert not run_dir(ONE).exists()


@pytest.mark.parametrize(
    ("crash", "verb", "code"),
    [
        # `down` and `status` end a cluster by the same means; what is found of it differs by how far `up` had come.
        (the_first_process_is_killed, "status", 3),
        (every_process_is_killed, "down", 0),
        (up_is_killed_before_the_first_process_is_there, "status", 3),
        (up_is_killed_before_the_first_process_is_there, "down", 0),
        (up_is_killed_when_the_first_process_is_there, "status", 3),
        (up_is_killed_when_the_first_process_is_there, "down", 0),
        (up_is_killed_while_the_services_start, "status", 3),
        (up_is_killed_while_the_services_start, "down", 0),
    ],
)
def test_nothing_is_left_once_status_or_down_has_run_after_a_crash(
    crash: Callable[[], str], verb: str, code: int, nothing_before: Traces
) -> None:
    namespace = crash()
    assert run_dir(ONE).exists()

    done = subprocess.run(command(verb, "--name", ONE), capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == code, done.stderr
    assert done.stdout == (f"{ONE}: not running\n" if verb == "status" else "")
    same(nothing_before, ONE, OTHER)
    assert in_namespace(namespace) == []
    assert not run_dir(ONE).exists()


@pytest.mark.parametrize("part", ["the node's services", "the pod", "the launcher"])
def test_nothing_is_left_once_down_has_run_after_parts_of_a_running_cluster_were_killed(
    part: str, nothing_before: Traces
) -> None:
    run_pod(Cluster.ensure(ONE, "process"))
    state = load(ONE)
    assert state is not None
    assert state.launcher is not None
    namespace = namespace_of(ONE)
    if part == "the launcher":
        killed = [state.launcher]
    else:
        words = ("kubelet", "containerd ", "kube-proxy", "etcd") if part != "the pod" else ("containerd-shim", "/pause")
        there = {*in_namespace(namespace), *processes(ONE)} - {state.launcher.pid, init_of(ONE).pid}
        lines = {pid: read(pid, "cmdline").replace("\0", " ") for pid in there}
        found = [Process.of(pid) for pid, line in lines.items() if any(word in line for word in words)]
        killed = [one for one in found if one is not None]
        assert len(killed) >= len(words)
    for one in killed:
        one.send(signal.SIGKILL)  # what ran in the pod may have ended with its shim already
    assert all(one.wait(60) for one in killed)

    subprocess.run(command("down", "--name", ONE), check=True, timeout=120)

    same(nothing_before, ONE, OTHER)
    assert in_namespace(namespace) == []
    assert not run_dir(ONE).exists()


def test_a_service_that_dies_is_started_again(nothing_before: Traces) -> None:
    cluster = Cluster.ensure(ONE, "process")
    facts = run_dir(ONE) / "services.json"
    before = json.loads(facts.read_text())["kube-scheduler"]
    subprocess.run(
        ["nsenter", "--target", str(init_of(ONE).pid), "--pid", "--mount", "kill", "-KILL", str(before["pid"])],
        check=True,
        timeout=20,
    )

    until(lambda: json.loads(facts.read_text())["kube-scheduler"]["starts"] > before["starts"])

    run_pod(cluster)
