"""What `make test` says at its end."""

import os
import sys
import time
from pathlib import Path

import pytest

from botfleet_tools import testing
from botfleet_tools.testing import Result, duration, in_time, summary


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (1111.2, "18 min 31 s"), (75 * 60, "75 min 0 s")],
)
def test_a_duration_is_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


WARM, COLD = "promise: 25 min with a warm cache", "promise: 75 min without a cache of .venv, kubelet 1.34.2"


@pytest.mark.parametrize(
    ("seconds", "fetched", "kept"),
    [
        (25 * 60, [], True),
        (25 * 60 + 1, [], False),
        (25 * 60 + 1, ["helm 4.0.4"], True),
        (75 * 60, [".venv"], True),
        (75 * 60 + 1, [".venv"], False),
    ],
)
def test_more_than_25_minutes_break_the_promise_unless_something_had_to_be_fetched_and_more_than_75_always_do(
    seconds: float, fetched: list[str], kept: bool
) -> None:
    assert in_time(seconds, fetched)[0] is kept


@pytest.mark.parametrize(
    ("result", "seconds", "venv_made", "code", "last"),
    [
        (Result("unit", passed=1), 1111.2, False, 0, f"make test: 18 min 31 s ({WARM})"),
        (Result("unit", passed=1), 1501.0, False, 1, f"make test: 25 min 1 s ({WARM}), too long: FAILED"),
        (Result("unit", passed=1, fetched=["kubelet 1.34.2"]), 1501.0, True, 0, f"make test: 25 min 1 s ({COLD})"),
        (
            Result("unit", passed=1, fetched=["kubelet 1.34.2"]),
            4501.0,
            True,
            1,
            f"make test: 75 min 1 s ({COLD}), too long: FAILED",
        ),
        (Result("unit", failed=1), 60.0, False, 1, f"make test: 1 min 0 s ({WARM})"),
        (Result("unit", passed=1), None, True, 0, "1 passed, 0 failed, 0 skipped"),
    ],
)
def test_the_time_of_everything_is_told_last_and_a_part_alone_promises_none(
    result: Result, seconds: float | None, venv_made: bool, code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert summary([result], seconds, venv_made=venv_made) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_what_the_set_up_had_to_fetch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "make_ready", lambda _, progress: progress.fetched.append("helm 4.0.4"))
    assert testing.set_up(["e2e"]).fetched == ["helm 4.0.4"]


def test_a_venv_counts_as_fetched_when_it_was_made_after_make_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert not testing.venv_made_since(1000.0)
    (tmp_path / ".made-from").touch()
    os.utime(tmp_path / ".made-from", (1000.5, 1000.5))
    assert testing.venv_made_since(1000.0)
    assert not testing.venv_made_since(1001.0)


def test_everything_together_is_held_to_its_time_from_the_call_of_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if make had been called 26 minutes ago, with all tiers passed at once."""
    passed = lambda tier="lint": Result(tier, passed=1)  # noqa: E731
    monkeypatch.setattr(testing, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(testing, "make_ready", lambda *_: None)
    for name in ("lint", "tests", "coverage"):
        monkeypatch.setattr(testing, name, passed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOTFLEET_BEGAN", str(time.time() - 26 * 60))
    assert testing.main([]) == 1
    assert "make test: 26 min 0 s (promise: 25 min with a warm cache), too long: FAILED" in capsys.readouterr().out
    (tmp_path / ".made-from").touch()
    assert testing.main([]) == 0
    assert "(promise: 75 min without a cache of .venv)" in capsys.readouterr().out
