"""The provider `process`: a one-node cluster of plain processes in namespaces of its own, where there is no Docker.

The host keeps one interface, its control groups and one folder of it, all recorded first; nothing else of the host changes.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from botfleet_tools import binaries, debian, prerequisites
from botfleet_tools.binaries import NODE_PROGRAMS, Program
from botfleet_tools.cache import exclusive
from botfleet_tools.cluster import cgroups, cleanup, files, images, init, network
from botfleet_tools.cluster.names import ClusterError, Names
from botfleet_tools.cluster.state import State, every, load
from botfleet_tools.pids import Process, children
from botfleet_tools.progress import Progress, Step
from botfleet_tools.run import CommandFailedError, capture, tail

PACKAGES = (
    "etcd-server",
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "iproute2",
    "conntrack",
)
UP_LOCK_SECONDS = 3600.0
LOCK_SECONDS = 120.0
START_SECONDS = 20.0
# How long `up` waits for each.
API_SECONDS = 120.0
CONTAINERD_SECONDS = 120.0
NODE_SECONDS = 120.0
ACCOUNT_SECONDS = 120.0
DNS_SECONDS = 120.0
SERVICES_SECONDS = 120.0
KUBECTL_SECONDS = 20.0
POLL_SECONDS = 0.2
# A service that ended this often since it was last steady does not come up any more.
FAILURES = 5
# What a service is started after; one that has not been started has no log, and is not what failed.
AFTER = {"kube-apiserver": "etcd", "kubelet": "containerd"}
NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc", "--mount-proc")


def check() -> None:
    """Raise PrerequisitesMissingError for everything that `up` needs and does not install itself. Changes nothing."""
    prerequisites.check({"linux", "root", "python"})
    binaries.preflight(NODE_PROGRAMS)


def up(name: str, progress: Progress, *, audit: bool = False) -> State:
    """A running cluster; quick and without effect when it runs already.

    Raises PrerequisitesMissingError before anything is changed, and ClusterError or CommandFailedError with the end of the log
    of the part that failed.
    """
    names = Names(name)
    check()
    with exclusive(names.lock, deadline_seconds=UP_LOCK_SECONDS):
        state = load(name)
        if state is not None and state.abandoned():
            progress.say(f"Cluster {name} has crashed: removing what it left")
            cleanup.remove(state)
            state = None
        if state is None:
            state = _create(names, progress, audit=audit)
        elif audit and not state.audit:
            raise ClusterError(f"cluster {name} runs without an audit log; run: botfleet-cluster down --name {name}")
        if not (state.complete and _ready(state)):
            try:
                state = _complete(state, progress)
            except Exception:
                state.with_changes(failed=True)
                raise
        return state


def down(name: str) -> bool:
    """Remove the cluster; False when there is nothing of it."""
    with exclusive(Names(name).lock, deadline_seconds=LOCK_SECONDS):
        state = load(name)
        if state is None:
            return False
        cleanup.remove(state)
        return True


def load_image(name: str, archive: Path, progress: Progress) -> None:
    """Make an image archive's images usable by pods; nothing is done when this very file is loaded already."""
    with exclusive(Names(name).lock, deadline_seconds=UP_LOCK_SECONDS):
        state = load(name)
        if state is None or not state.alive():
            raise ClusterError(f"cluster {name} does not run; run: botfleet-cluster up --name {name}")
        images.load_archive(state, archive, progress)


def tag_image(name: str, reference: str, new: str) -> None:
    """Give a loaded image a further name."""
    state = load(name)
    if state is None:
        raise ClusterError(f"cluster {name} does not run; run: botfleet-cluster up --name {name}")
    images.tag(state, reference, new)


def kubectl(state: State, *argv: str) -> str:
    """Run kubectl as administrator."""
    program = binaries.resolve(Program.KUBECTL)
    return capture([program, "--kubeconfig", files.kubeconfig(state.run_dir), *argv], deadline_seconds=KUBECTL_SECONDS)


def service_facts(state: State) -> dict[str, dict[str, int | None]]:
    """How each service does, by the cluster's first process; empty before it wrote that down."""
    path = state.run_dir / "services.json"
    facts: dict[str, dict[str, int | None]] = json.loads(path.read_text()) if path.exists() else {}
    return facts


def _create(names: Names, progress: Progress, *, audit: bool) -> State:
    debian.ensure(PACKAGES, progress)
    programs = binaries.resolve_all(NODE_PROGRAMS, progress)
    binaries.pause(progress)
    # Two commands at once must not choose the same addresses.
    with exclusive("cluster-addresses", deadline_seconds=LOCK_SECONDS):
        chosen = network.choose(network.host_networks(), [state.network for state in every()])
        state = State(names.cluster, chosen, audit=audit)
        state.save()
    with progress.step(f"Starting cluster {names.cluster}") as step:
        try:
            step.update("certificates and configuration")
            files.write(state, programs)
            step.update("control groups")
            cgroups.make(names.cgroup)
            step.update("namespaces and network")
            return _launch(state)
        except BaseException:
            cleanup.remove(load(names.cluster) or state)
            raise


def _launch(state: State) -> State:
    """Start the first process and record it; it waits for our word, and ends when we end without giving it."""
    log = state.run_dir / "log" / "init.log"
    first = [sys.executable, "-I", "-S", init.__file__, str(files.plan_file(state.run_dir))]
    launcher, word = _spawn(["env", "--chdir=/", "unshare", *NAMESPACES, "--fork", "--kill-child=KILL", *first], log)
    with open(word, "wb") as pipe:  # noqa: PTH123 - a descriptor
        state = state.with_changes(launcher=Process.of(launcher))
        found: list[int] = []

        def started() -> bool:
            if Process.of(launcher) is None:
                raise ClusterError(f"the cluster's first process ended at once:\n{tail(log)}")
            found[:] = [pid for pid in children(launcher) if Process.of(pid) is not None]
            return bool(found)

        _wait(started, START_SECONDS, lambda: ("the cluster's first process", log))
        state = state.with_changes(init=Process.of(found[0]))
        network.connect(state.names.interface, state.network, found[0])
        pipe.write(b"go\n")
    return state


def _spawn(argv: list[str], log: Path) -> tuple[int, int]:
    """Start a process that outlives this one; its id, and the descriptor that writes to its input."""
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawnp(
            argv[0],
            argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(reading)
    return pid, writing


def _complete(state: State, progress: Progress) -> State:
    """Wait until the cluster serves, and give it what every cluster has."""
    log = state.run_dir / "log"
    with progress.step(f"Cluster {state.name}") as step:
        step.update("waiting for the API server")
        _wait_for(state, lambda: kubectl(state, "get", "--raw", "/readyz") == "ok", API_SECONDS, "kube-apiserver", step)
        step.update("base objects")
        objects = str(state.run_dir / "base-objects.yaml")
        kubectl(state, "apply", "--server-side", "--force-conflicts", "-f", objects)
        step.update("waiting for containerd")
        socket = ["test", "-S", "/run/containerd/containerd.sock"]
        _wait_for(state, lambda: bool(images.inside(state, *socket) == ""), CONTAINERD_SECONDS, "containerd", step)
        images.load_pause(state, log / "images.log")
        step.update("waiting for the node")
        _wait_for(state, lambda: _node_ready(state), NODE_SECONDS, "kubelet", step)
        step.update("waiting for the default service account")
        _wait_for(state, lambda: _has_account(state), ACCOUNT_SECONDS, "kube-controller-manager", step)
        step.update("waiting for the names of the cluster")
        names = f"tcp:{state.network.node_ip}:53"
        _wait_for(state, lambda: init.accepts(names), DNS_SECONDS, "coredns", step)
        step.update("waiting for all services")
        _wait_for(state, lambda: not _stopped(state), SERVICES_SECONDS, "init", step)
    return state.with_changes(complete=True, failed=False)


def _stopped(state: State) -> list[str]:
    return [name for name, facts in service_facts(state).items() if facts["pid"] is None]


def _has_account(state: State) -> bool:
    # Without it no pod can be made in the namespace.
    return bool(kubectl(state, "get", "serviceaccount", "default", "--namespace=default", "--output=name"))


def _node_ready(state: State) -> bool:
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return kubectl(state, "get", "node", state.names.node, f"--output=jsonpath={path}") == "True"


def _ready(state: State) -> bool:
    try:
        return _node_ready(state)
    except CommandFailedError:
        return False


def _wait_for(state: State, ready: Callable[[], bool], deadline_seconds: float, part: str, step: Step) -> None:
    """Wait for a part of the cluster; "init" stands for all services.

    Raises ClusterError naming the part that failed, with the end of its log: at once when a service does not stay up.
    """
    logs = state.run_dir / "log"

    def attempt() -> bool:
        if not state.alive():
            raise ClusterError(f"the cluster's first process ended; the end of its log:\n{tail(logs / 'init.log')}")
        failures = {name: facts["failures"] or 0 for name, facts in service_facts(state).items()}
        for name, count in failures.items():
            if count >= FAILURES:
                raise ClusterError(
                    f"{name} ended {count} times; the end of {logs}/{name}.log:\n{tail(logs / f'{name}.log')}"
                )
        if again := [name for name, count in failures.items() if count]:
            step.update(f"waiting for {part}; started again: {', '.join(again)}")
        try:
            return ready()
        except CommandFailedError:
            return False

    def blamed() -> tuple[str, Path]:
        facts, name = service_facts(state), part
        if name == "init":
            name = next(iter(_stopped(state)), name)
        while name in AFTER and not facts.get(name, {}).get("starts"):
            name = AFTER[name]
        return name, logs / f"{name}.log"

    _wait(attempt, deadline_seconds, blamed)


def _wait(ready: Callable[[], bool], deadline_seconds: float, blamed: Callable[[], tuple[str, Path]]) -> None:
    end = time.monotonic() + deadline_seconds
    while not ready():
        if time.monotonic() > end:
            part, log = blamed()
            raise ClusterError(f"{part} was not ready within {deadline_seconds:.0f} s; the end of {log}:\n{tail(log)}")
        time.sleep(POLL_SECONDS)
