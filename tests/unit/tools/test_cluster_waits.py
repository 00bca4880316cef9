"""Every wait of `up` has a deadline, and names the part that failed with the end of that part's log."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from botfleet_tools.cluster import images, init, process
from botfleet_tools.cluster.names import ClusterError, Names
from botfleet_tools.cluster.network import Network
from botfleet_tools.cluster.services import services
from botfleet_tools.cluster.state import State
from botfleet_tools.pids import Process
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError

NETWORK = Network(0, "10.89.0.1", "10.89.0.2", "10.128.0.0/16", "10.160.0.0/16")
SERVICES = [service.name for service in services(Names("x"), NETWORK, audit=False)]
DEADLINES = [
    name for name in vars(process) if name.endswith("_SECONDS") and name not in ("KUBECTL_SECONDS", "POLL_SECONDS")
]
WELL: dict[str, int | None] = {"pid": 7, "starts": 1, "failures": 0, "exit": None}
UNSTARTED: dict[str, int | None] = {"pid": None, "starts": 0, "failures": 0, "exit": None}
GONE: dict[str, int | None] = {"pid": None, "starts": 1, "failures": 1, "exit": 9}


class Node:
    """A node whose parts answer unless they are said to be stuck; it has nothing but its logs and what init tells."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = State("x", NETWORK, init=Process(1, 2, "boot"))
        self.state.save()
        self.stuck: set[str] = set()
        self.facts = {name: dict(WELL) for name in SERVICES}
        (self.state.run_dir / "log").mkdir()
        for name in SERVICES:
            (self.state.run_dir / f"log/{name}.log").write_text(f"the end of {name}\n")
        monkeypatch.setattr(State, "alive", lambda _: True)
        monkeypatch.setattr(process, "kubectl", self.kubectl)
        monkeypatch.setattr(images, "inside", lambda *_: self.answer("containerd", ""))
        monkeypatch.setattr(images, "load_pause", lambda *_: None)
        monkeypatch.setattr(init, "accepts", lambda _: "coredns" not in self.stuck)
        monkeypatch.setattr(process, "POLL_SECONDS", 0.001)
        for name in DEADLINES:
            monkeypatch.setattr(process, name, 0.01)

    def answer(self, part: str, text: str) -> str:
        if part in self.stuck:
            raise CommandFailedError("no answer", returncode=1, output="")
        return text

    def kubectl(self, _: State, *argv: str) -> str:
        match argv:
            case ("get", "--raw", "/readyz"):
                return self.answer("kube-apiserver", "ok")
            case ("get", "node", *_):
                return self.answer("kubelet", "True")
            case ("get", "serviceaccount", *_):
                return self.answer("kube-controller-manager", "serviceaccount/default")
        return ""

    def up(self) -> State:
        (self.state.run_dir / "services.json").write_text(json.dumps(self.facts))
        return process._complete(self.state, Progress(Console(file=io.StringIO())))

    def failure(self) -> str:
        with pytest.raises(ClusterError) as caught:
            self.up()
        return str(caught.value)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Node(monkeypatch)


def test_a_node_whose_parts_all_answer_is_complete(node: Node) -> None:
    assert node.up().complete


@pytest.mark.parametrize("part", ["kube-apiserver", "containerd", "kubelet", "kube-controller-manager", "coredns"])
def test_a_part_that_runs_and_does_not_answer_is_named_after_its_deadline(node: Node, part: str) -> None:
    node.stuck = {part}
    log = node.state.run_dir / f"log/{part}.log"
    assert node.failure() == f"{part} was not ready within 0 s; the end of {log}:\nthe end of {part}"


@pytest.mark.parametrize(("waiting", "blamed"), [("kube-apiserver", "etcd"), ("kubelet", "containerd")])
def test_a_part_that_could_not_be_started_is_not_blamed_for_what_it_waits_for(
    node: Node, waiting: str, blamed: str
) -> None:
    node.stuck = {waiting}
    node.facts[waiting] = UNSTARTED
    assert node.failure().startswith(f"{blamed} was not ready within 0 s;")
    assert node.failure().endswith(f"\nthe end of {blamed}")


@pytest.mark.parametrize("part", SERVICES)
def test_a_part_that_ends_again_and_again_is_named_at_once(node: Node, part: str) -> None:
    node.facts[part] = {**GONE, "failures": process.FAILURES}
    log = node.state.run_dir / f"log/{part}.log"
    assert node.failure() == f"{part} ended {process.FAILURES} times; the end of {log}:\nthe end of {part}"


@pytest.mark.parametrize("part", SERVICES)
def test_a_part_that_has_ended_is_named_when_all_are_waited_for(node: Node, part: str) -> None:
    node.facts[part] = GONE
    assert node.failure().startswith(f"{part} was not ready within 0 s;")
