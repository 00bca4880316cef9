"""The development cluster's own promises: two do not collide, and nothing is left of one, however it ended.

The clusters of these tests have names of their own; a cluster that runs for other tests is not touched.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from botfleet_tools.binaries import Program, resolve
from botfleet_tools.cluster import Cluster, layout
from botfleet_tools.cluster import cluster as clusters
from botfleet_tools.cluster.names import Names
from botfleet_tools.cluster.state import load, run_dir
from botfleet_tools.pids import Process
from botfleet_tools.progress import Progress

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ONE, OTHER = "bf-test-one", "bf-test-other"
UP_SECONDS = 300.0
QUICK_SECONDS = 10.0
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
    imagePullPolicy: IfNotPresent
    securityContext: {runAsNonRoot: true, runAsUser: 65535}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


@dataclass(frozen=True)
class Traces:
    """What of clusters can be seen on the host."""

    processes: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]
    cgroups: frozenset[str]
    firewall: str
    sysctls: tuple[str, ...]


def traces(*names: str) -> Traces:
    """What the host shows of the clusters of these names; firewall and settings as a whole."""
    firewall = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True, timeout=20).stdout
    wanted = [Names(name) for name in names]
    groups = (path for root in Path("/sys/fs/cgroup").glob("*") if root.is_dir() for path in root.glob("botfleet-*"))
    return Traces(
        processes=frozenset(line for line in command_lines() if any(name in line for name in names)),
        mounts=frozenset(line for line in Path("/proc/self/mounts").read_text().splitlines() if "botfleet" in line),
        interfaces=frozenset({path.name for path in Path("/sys/class/net").iterdir()} & {n.interface for n in wanted}),
        cgroups=frozenset(str(path) for path in groups if path.name in {n.cgroup for n in wanted}),
        firewall="\n".join(line for line in firewall.splitlines() if not line.startswith("#")),
        sysctls=tuple(
            Path("/proc/sys", name).read_text()
            for name in ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
        ),
    )


def command_lines() -> Iterator[str]:
    """The command lines of this machine's processes, this one left out."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name != str(os.getpid()):
            try:
                yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue


def in_namespace(namespace: str) -> list[str]:
    """The processes in a network namespace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            if str(path.readlink()) == namespace:
                found.append(path.parts[2])
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def namespace_of(name: str) -> str:
    """The network namespace that all of a cluster's services are in."""
    return str(Path(f"/proc/{init_of(name).pid}/ns/net").readlink())


def init_of(name: str) -> Process:
    state = load(name)
    assert state is not None
    assert state.init is not None
    return state.init


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "botfleet_tools.cluster", *argv]


def start_up(name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(command("up", "--name", name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(fact: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.02)


def run_pod(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--filename=-", stdin=POD % layout.PAUSE_IMAGE)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/pod", "--timeout=50s")


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
    for process in starting:
        output, _ = process.communicate(timeout=UP_SECONDS)
        assert process.returncode == 0, output

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
    assert traces(ONE, OTHER) == nothing_before


def test_a_second_up_is_quick_and_changes_nothing(nothing_before: Traces) -> None:
    cluster = Cluster.ensure(ONE, "process", audit=True)
    init = init_of(ONE)

    started = time.monotonic()
    assert Cluster.ensure(ONE, "process") == cluster

    assert time.monotonic() - started < QUICK_SECONDS
    assert init_of(ONE) == init
    assert cluster.audit_log is not None
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
    subprocess.run(command("down", "--name", ONE), check=True, timeout=120)
    assert traces(ONE, OTHER) == nothing_before


def test_nothing_is_left_after_down(nothing_before: Traces) -> None:
    cluster = Cluster.ensure(ONE, "process")
    run_pod(cluster)
    namespace = namespace_of(ONE)
    assert len(in_namespace(namespace)) > 8  # the services, and what runs the pod
    assert traces(ONE, OTHER) != nothing_before

    subprocess.run(command("down", "--name", ONE), check=True, timeout=120)

    assert traces(ONE, OTHER) == nothing_before
    assert in_namespace(namespace) == []
    assert not run_dir(ONE).exists()


def test_nothing_is_left_once_status_has_run_after_the_cluster_was_killed(nothing_before: Traces) -> None:
    cluster = Cluster.ensure(ONE, "process")
    run_pod(cluster)
    namespace = namespace_of(ONE)
    init = init_of(ONE)
    assert init.send(signal.SIGKILL)
    assert init.wait(60)

    status = subprocess.run(command("status", "--name", ONE), capture_output=True, text=True, timeout=120, check=False)

    assert status.returncode == 3, status.stderr
    assert "not running" in status.stdout
    assert traces(ONE, OTHER) == nothing_before
    assert in_namespace(namespace) == []
    assert not run_dir(ONE).exists()


def test_nothing_is_left_once_down_has_run_after_up_was_killed_half_way(nothing_before: Traces) -> None:
    starting = start_up(ONE)
    until(lambda: (state := load(ONE)) is not None and state.init is not None)
    starting.kill()
    starting.communicate(timeout=30)

    subprocess.run(command("down", "--name", ONE), check=True, timeout=120)

    assert traces(ONE, OTHER) == nothing_before
    assert not run_dir(ONE).exists()


def test_up_after_the_cluster_was_killed_makes_a_new_one(nothing_before: Traces) -> None:
    Cluster.ensure(ONE, "process")
    killed = init_of(ONE)
    assert killed.send(signal.SIGKILL)
    assert killed.wait(60)

    cluster = Cluster.ensure(ONE, "process")

    assert init_of(ONE) != killed
    run_pod(cluster)


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
