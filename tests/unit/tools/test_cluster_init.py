"""The first process of a cluster: when services start, when they start again, and what it tells of them."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from botfleet_tools.cluster import init
from botfleet_tools.cluster.init import RESTART_SECONDS, STEADY_SECONDS, Service


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def ends(*pids: int, code: int = 1) -> Callable[[int, int], tuple[int, int]]:
    """A waitpid that knows of these dead processes."""
    left = list(pids)
    return lambda *_: (left.pop(0), code << 8) if left else (0, 0)


def test_orphans_are_collected_and_change_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service("x", ["x"], pid=7)
    monkeypatch.setattr(os, "waitpid", ends(11, 12))
    assert init.collect([service]) is False
    assert service.pid == 7


def test_a_service_that_fails_again_and_again_waits_longer_each_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("x", ["x"])
    waited = []
    for _ in range(len(RESTART_SECONDS) + 2):
        service.pid, service.started = 7, clock.now
        monkeypatch.setattr(os, "waitpid", ends(7, code=3))
        assert init.collect([service]) is True
        waited.append(service.not_before - clock.now)
    assert waited == [*RESTART_SECONDS, RESTART_SECONDS[-1], RESTART_SECONDS[-1]]
    assert service.exit == 3


def test_a_service_that_ran_for_long_starts_again_at_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service("x", ["x"], pid=7, failures=4, started=clock.now)
    clock.now += STEADY_SECONDS + 1
    monkeypatch.setattr(os, "waitpid", ends(7))
    init.collect([service])
    assert service.not_before == clock.now
    assert service.failures == 0


def test_no_children_at_all_is_no_error(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: int) -> tuple[int, int]:
        raise ChildProcessError

    monkeypatch.setattr(os, "waitpid", nobody)
    assert init.collect([Service("x", ["x"])]) is False


def test_an_address_is_ready_once_it_accepts(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not init.accepts(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert not init.accepts(f"unix:{path}")
        listener.listen()
        assert init.accepts(f"unix:{path}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert not init.accepts(f"tcp:127.0.0.1:{port}")
        listener.listen()
        assert init.accepts(f"tcp:127.0.0.1:{port}")


def test_what_it_tells_of_its_services_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "INSIDE", tmp_path)
    init.report([Service("x", ["x"], pid=7, starts=2, failures=1, exit=-9)])
    assert json.loads((tmp_path / "services.json").read_text()) == {
        "x": {"pid": 7, "starts": 2, "failures": 1, "exit": -9}
    }


def test_without_the_word_to_go_it_ends_before_it_changes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text("{}")
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(SystemExit, match="ended before the network was linked"):
            init.main(str(plan))


def test_volumes_are_made_writable_for_every_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "VOLUMES", tmp_path)
    descriptor = init.watch_volumes()
    try:
        with pytest.raises(BlockingIOError):
            os.read(descriptor, 4096)
        (tmp_path / "pvc-1").mkdir(mode=0o750)
        assert os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    init.open_volumes()
    assert (tmp_path / "pvc-1").stat().st_mode & 0o777 == 0o777
