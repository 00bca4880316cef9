"""The cache folder, its locks, progress for people, and processes that are known for certain."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from botfleet_tools.cache import LockTimeoutError, cache_dir, exclusive
from botfleet_tools.pids import Process, boot_id, children
from botfleet_tools.progress import Progress


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def shown(*, terminal: bool, heartbeat_seconds: float = 60.0) -> tuple[Progress, io.StringIO]:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, highlight=False)
    return Progress(console, heartbeat_seconds=heartbeat_seconds), output


def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == tmp_path / "botfleet"
    assert cache_dir().is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "botfleet"


def test_a_lock_is_held_by_one_and_free_again_afterwards() -> None:
    with (
        exclusive("x", deadline_seconds=0),
        pytest.raises(LockTimeoutError, match=r"x\.lock"),
        exclusive("x", deadline_seconds=0),
    ):
        pytest.fail("two hold the lock")
    with exclusive("x", deadline_seconds=0):
        pass


def test_a_lock_that_gets_free_is_taken() -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with exclusive("x", deadline_seconds=0):
            held.set()
            assert free.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    with pytest.raises(LockTimeoutError), exclusive("x", deadline_seconds=0.05):
        pytest.fail("two hold the lock")
    free.set()
    with exclusive("x", deadline_seconds=30):
        thread.join()


def test_without_a_terminal_a_step_says_its_beginning_and_its_end() -> None:
    progress, output = shown(terminal=False)
    with progress.step("Building [x]") as step:
        step.update("half")
    lines = output.getvalue().splitlines()
    assert lines[0] == "… Building [x]"
    assert lines[1].startswith("✔ Building [x] (")


def test_without_a_terminal_a_long_step_says_that_it_still_runs_and_what_it_does() -> None:
    progress, output = shown(terminal=False, heartbeat_seconds=0.01)
    seen = threading.Event()
    say = progress.say

    def watched(message: str) -> None:
        say(message)
        if re.fullmatch(r"  Building: half — \d+ s so far", message):
            seen.set()

    progress.say = watched
    with progress.step("Building") as step:
        step.update("half")
        assert seen.wait(30)
    assert "Building: half" in output.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_step_that_fails_is_named(terminal: bool) -> None:
    progress, output = shown(terminal=terminal)
    with pytest.raises(ValueError, match="no"), progress.step("Building"):
        raise ValueError("no")
    assert "✘ Building — failed after" in output.getvalue()


def test_on_a_terminal_steps_nest() -> None:
    progress, output = shown(terminal=True)
    with progress.step("outer"), progress.step("inner") as inner:
        inner.update("detail")
        progress.say("a line")
    text = output.getvalue()
    assert "a line" in text
    assert text.index("✔ inner") < text.index("✔ outer")


def test_a_process_is_known_by_its_start_and_not_by_its_number_alone() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process is not None
        assert process.alive()
        assert child.pid in children(os.getpid())
        other = Process(child.pid, process.started - 1, process.boot)
        assert not other.alive()
        assert not other.send(signal.SIGKILL)
        assert other.wait(0)
        assert not Process(child.pid, process.started, "another boot").alive()
        process.end(graceful_seconds=30)
        assert child.wait(30) == -signal.SIGTERM
    assert not process.alive()
    assert not process.send(signal.SIGKILL)
    assert process.wait(0)


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Process.of(child.pid) is None
    finally:
        child.wait()


def test_this_process_is_one_of_this_boot() -> None:
    process = Process.of(os.getpid())
    assert process is not None
    assert process.boot == boot_id()
