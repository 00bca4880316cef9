"""Which provider a cluster gets, what kind is called with, and what the command prints."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from botfleet_tools.cluster import cli, cluster, kind
from botfleet_tools.cluster.cluster import Cluster
from botfleet_tools.cluster.kind import Kind
from botfleet_tools.cluster.names import ClusterError
from botfleet_tools.cluster.network import Network
from botfleet_tools.cluster.state import State, run_dir
from botfleet_tools.progress import Progress

NETWORK = Network(0, "10.89.0.1", "10.89.0.2", "10.128.0.0/16", "10.160.0.0/16")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cluster, "docker_runs", lambda: False)


class FakeKind:
    """Answers the calls of kind and docker, and keeps them."""

    def __init__(self) -> None:
        self.clusters: list[str] = []
        self.calls: list[list[str]] = []

    def __call__(self, argv: list[str], deadline_seconds: float) -> str:
        assert deadline_seconds > 0
        self.calls.append(argv)
        match argv[1:]:
            case ["get", "clusters"]:
                return "\n".join(self.clusters)
            case ["create", "cluster", "--name", name, *_]:
                self.clusters.append(name)
            case ["delete", "cluster", "--name", name, *_]:
                self.clusters.remove(name)
            case ["inspect", _]:
                return json.dumps([{"NetworkSettings": {"Networks": {"kind": {"IPAddress": "172.18.0.2"}}}}])
        return ""


def kind_of(fake: FakeKind) -> Kind:
    return Kind("x", fake, program=Path("/bin/kind"))


def test_kind_makes_a_cluster_once_and_writes_its_kubeconfig_where_the_other_provider_does() -> None:
    fake = FakeKind()
    made = kind_of(fake)
    made.up(Progress())
    made.up(Progress())
    file = str(run_dir("x") / "kubeconfig")
    assert [call[1:] for call in fake.calls if call[1] != "get"] == [
        ["create", "cluster", "--name", "x", "--kubeconfig", file, "--wait", "180s"],
        ["export", "kubeconfig", "--name", "x", "--kubeconfig", file],
    ]
    assert made.kubeconfig.parent.is_dir()


def test_kind_loads_archives_and_tells_the_nodes_address() -> None:
    fake = FakeKind()
    kind_of(fake).load_image(Path("/images/a.tar"), Progress())
    assert fake.calls == [["/bin/kind", "load", "image-archive", "/images/a.tar", "--name", "x"]]
    assert kind_of(fake).node_ip() == "172.18.0.2"
    assert fake.calls[-1] == ["docker", "inspect", "x-control-plane"]


def test_kind_removes_its_cluster_and_its_files() -> None:
    fake = FakeKind()
    made = kind_of(fake)
    made.up(Progress())
    assert made.down() is True
    assert fake.calls[-1][1:5] == ["delete", "cluster", "--name", "x"]
    assert not run_dir("x").exists()
    assert made.down() is False


def test_docker_runs_only_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert kind.docker_runs() is False


def test_auto_is_kind_where_docker_runs_and_processes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.choose("x", "auto") == "process"
    monkeypatch.setattr(cluster, "docker_runs", lambda: True)
    assert cluster.choose("x", "auto") == "kind"
    assert cluster.choose("x", "process") == "process"


def test_a_cluster_keeps_the_provider_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    State("x", NETWORK).save()
    monkeypatch.setattr(cluster, "docker_runs", lambda: True)
    assert cluster.choose("x", "auto") == "process"
    with pytest.raises(ClusterError, match="provider process"):
        cluster.choose("x", "kind")
    run_dir("y").mkdir()
    (run_dir("y") / "kubeconfig").touch()
    assert cluster.choose("y", "auto") == "kind"


def test_a_cluster_that_crashed_is_not_found() -> None:
    assert Cluster.find("x") is None
    State("x", NETWORK).save()
    assert Cluster.find("x") is None


def test_network_policies_have_an_effect_with_kind_only() -> None:
    assert Cluster("x", "kind", "1.2.3.4").enforces_network_policy
    assert not Cluster("x", "process", "1.2.3.4").enforces_network_policy


def test_status_of_no_cluster_is_exit_code_3() -> None:
    result = CliRunner().invoke(cli.app, ["status", "--name", "x"])
    assert result.exit_code == 3
    assert result.stdout == "x: not running\n"


def test_down_without_a_cluster_is_no_error() -> None:
    result = CliRunner().invoke(cli.app, ["down", "--name", "x"])
    assert result.exit_code == 0
    assert "There is no cluster x" in result.output


def test_the_path_is_printed_alone() -> None:
    result = CliRunner().invoke(cli.app, ["path", "--name", "x"])
    assert result.stdout == f"{run_dir('x')}\n"


@pytest.mark.parametrize("argv", [["kubeconfig", "--name", "x"], ["load-image", "a.tar", "--name", "x"]])
def test_what_needs_a_running_cluster_says_how_to_start_one(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["botfleet-cluster", *argv])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert "run: botfleet-cluster up --name x" in capsys.readouterr().err
