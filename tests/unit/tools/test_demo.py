"""What `make demo` tells its user to do next, and the lines that bring a shell to a cluster."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from botfleet_tools.cluster.cluster import Cluster
from botfleet_tools.demo import cli, cluster_demo
from botfleet_tools.errors import ToolError


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose files lie in a folder with a blank and a bracket in its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my [cache]"))
    program = tmp_path / "my [cache]" / "bin" / "kubectl"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$KUBECONFIG"\n')
    program.chmod(0o755)
    monkeypatch.setenv("BOTFLEET_KUBECTL", str(program))
    return Cluster("x", "process", "1.2.3.4")


def told(cluster: Cluster) -> list[str]:
    output = io.StringIO()
    cluster_demo._how_to_go_on(Console(file=output, width=40), cluster, 61.2)
    return [line.removeprefix("  ") for line in output.getvalue().splitlines() if line.startswith("  ")]


def test_the_lines_that_are_told_find_kubectl_and_the_cluster_in_a_shell_that_knows_neither(cluster: Cluster) -> None:
    lines = told(cluster)
    until = lines.index("kubectl get telegrambots -A")
    done = subprocess.run(
        ["/bin/sh", "-ec", "\n".join(lines[: until + 1])],
        capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == f"{cluster.kubeconfig}\n"


def test_a_kubectl_that_everybody_has_changes_no_path(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botfleet_tools.binaries.resolve", lambda *_: Path("/usr/bin/kubectl"))
    assert [line.partition("=")[0] for line in cluster.exports()] == ["export KUBECONFIG"]


@pytest.mark.parametrize("by_sudo", [True, False])
def test_who_started_it_with_sudo_is_told_that_the_rest_needs_root_too(
    cluster: Cluster, by_sudo: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    if by_sudo:
        monkeypatch.setenv("SUDO_USER", "somebody")
    assert told(cluster)[0].startswith("sudo -s ") is by_sudo


def test_a_failure_is_shown_as_it_is_whatever_a_log_has_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise ToolError("pods:\n  [/var/lib] in [bold] brackets")

    monkeypatch.setattr(sys, "argv", ["botfleet-demo", "up"])
    monkeypatch.setattr(cluster_demo, "up", fails)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().out == "botfleet-demo: pods:\n  [/var/lib] in [bold] brackets\n"
