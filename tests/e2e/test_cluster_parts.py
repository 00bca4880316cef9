"""When a program of the cluster ends, or runs and does nothing, `up` names it in time, with the end of its log. Each for real."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botfleet_tools.binaries import NODE_PROGRAMS, Program, resolve
from botfleet_tools.binaries.pins import environment_variable
from botfleet_tools.cache import cache_dir
from botfleet_tools.cluster import Cluster, process
from botfleet_tools.cluster import cluster as clusters
from botfleet_tools.cluster.names import ClusterError, Names
from botfleet_tools.cluster.network import Network
from botfleet_tools.cluster.services import services
from botfleet_tools.cluster.state import run_dir
from botfleet_tools.progress import Progress
from tests.e2e.traces import Traces, same, traces

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAME = "bf-test-parts"
NETWORK = Network(0, "10.89.0.1", "10.89.0.2", "10.128.0.0/16", "10.160.0.0/16")
PARTS = [service.name for service in services(Names("x"), NETWORK, audit=False)]
Replace = Callable[[str, str], None]


@pytest.fixture
def nothing_before() -> Iterator[Traces]:
    """What the host showed before the test; its cluster is removed after it, and nothing of it is left."""
    if clusters.choose(NAME, "auto") == "kind":
        pytest.skip("breaks programs of a node of plain processes")
    clusters.remove(NAME, Progress())
    resolve(Program.KUBECTL, Progress())
    before = traces(NAME)
    try:
        yield before
    finally:
        clusters.remove(NAME, Progress())
    same(before, NAME)


@pytest.fixture
def replace(nothing_before: Traces, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replace]:
    """Puts a script in the place of a program of the next cluster."""
    folder = Path(tempfile.mkdtemp(prefix="broken-", dir=cache_dir()))  # below /tmp it would be hidden from the cluster

    def put(part: str, script: str) -> None:
        (folder / part).write_text(f"#!/bin/sh\n{script}\n")
        (folder / part).chmod(0o755)
        if part in NODE_PROGRAMS:
            monkeypatch.setenv(environment_variable(Program(part)), str(folder / part))
        else:
            monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    yield put
    shutil.rmtree(folder)


@pytest.mark.parametrize("part", PARTS)
def test_a_program_that_ends_again_and_again_is_named_with_the_end_of_its_log(
    part: str, replace: Replace, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(part, "echo the planted reason; exit 9")
    monkeypatch.setattr(process, "FAILURES", 3)  # a person waits for the fifth end, which takes nine seconds
    with pytest.raises(ClusterError) as failure:
        Cluster.ensure(NAME, "process")
    told = str(failure.value)
    log = re.escape(f"{run_dir(NAME)}/log/{part}.log")
    assert re.match(rf"{part} ended [3-5] times; the end of {log}:\n", told), told
    assert "the planted reason" in told


@pytest.mark.parametrize(
    ("part", "deadline"),
    [
        ("etcd", "API_SECONDS"),
        ("kube-apiserver", "API_SECONDS"),
        ("containerd", "CONTAINERD_SECONDS"),
        ("kubelet", "NODE_SECONDS"),
        ("kube-controller-manager", "ACCOUNT_SECONDS"),
        ("coredns", "DNS_SECONDS"),
    ],
)
def test_a_program_that_runs_and_does_nothing_is_named_after_its_deadline_with_the_end_of_its_log(
    part: str, deadline: str, replace: Replace, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(part, "echo the planted reason; exec sleep 600")
    monkeypatch.setattr(process, deadline, 2.0)
    with pytest.raises(ClusterError) as failure:
        Cluster.ensure(NAME, "process")
    log = run_dir(NAME) / f"log/{part}.log"
    assert str(failure.value) == f"{part} was not ready within 2 s; the end of {log}:\nthe planted reason"
