"""Promises of the benchmarks, at a small scale: they run, print what they measured, and leave nothing behind. No figure is judged."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from botfleet_tools.pids import Process, children
from tests.support.unmeasured import environment

ROOT = Path(__file__).parents[3]
SECONDS = 240
pytestmark = pytest.mark.timeout(SECONDS + 20)  # a quiet machine needs a tenth of it; this runs aside


def bench(*words: str) -> list[str]:
    """The lines that a benchmark prints."""
    command = [sys.executable, "-m", "bench", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def family(pid: int) -> set[Process]:
    """A process with all that descend from it."""
    found = {process} if (process := Process.of(pid)) is not None else set()
    return found.union(*(family(child) for child in children(pid)))


def test_bench_kill_finds_each_message_answered_once_and_in_order_through_kills_and_faults() -> None:
    lines = bench("kill", "--messages", "60", "--kills", "2", "--faults", "2", "--people", "4", "--seed", "20261126")
    assert "seed 20261126" in lines[0]
    figures = {line[:19].strip(): line[19:] for line in lines}
    assert int(figures["messages sent"]) >= 60
    assert [figures[name] for name in ("lost", "doubled", "out of order", "kills -9", "faults")] == list("00022")


def test_bench_reply_prints_the_runner_beside_the_bare_echo_with_ratios() -> None:
    lines = bench("reply", "--rounds", "1", "--single", "5", "--loaded", "50", "--saturated", "50")
    assert any(line.startswith("settings: debounce 0") for line in lines)
    rows = [line for line in lines if line.startswith(("1 chat, p", "84/s", "answers a second", "CPU a message"))]
    assert len(rows) == 7
    ratios = [row.split()[-1] for row in rows if not row.startswith("CPU")]  # of so few messages it may be none
    assert all(float(ratio) > 0 for ratio in ratios)


def test_bench_memory_prints_the_runner_beside_its_libraries_and_its_growth() -> None:
    lines = bench("memory", "--messages", "100", "--step", "50")
    for weighed in ("its libraries imported", "after 100 messages"):
        assert any(line.startswith(weighed) for line in lines)
    assert lines[-1].startswith("growth")


def test_a_soak_tells_what_grew_what_is_left_and_that_each_message_was_answered_once() -> None:
    lines = bench("soak", "--minutes", "0.3", "--bots", "2", "--receiving", "0")
    figures = {line[:19].strip(): line[19:] for line in lines}
    assert int(figures["messages"]) > 20
    assert [figures[name] for name in ("lost", "doubled", "out of order", "finished rows left")] == list("0000")
    assert figures["beyond a limit"] == "nothing"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_benchmark_that_is_interrupted_leaves_no_process_in_the_background_either(number: signal.Signals) -> None:
    ignoring_sigint = [
        sys.executable,
        "-c",
        "import os, signal, sys; signal.signal(2, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])",
    ]
    command = [*ignoring_sigint, sys.executable, "-m", "bench", "kill", "--messages", "5000", "--people", "2"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("settings"):
                assert process.poll() is None
            begun = family(process.pid)
            assert len(begun) >= 5, "itself, PostgreSQL, Redis, two simulators"
            process.send_signal(number)
            assert process.wait(SECONDS) == 130
        finally:
            process.kill()
    assert [one.pid for one in begun if one.alive()] == []
