"""What `make test` says at its end."""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from botfleet_tools import testing
from botfleet_tools.results import Result, duration, in_time, summary
from botfleet_tools.testing import PARTS, Part


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (1111.2, "18 min 31 s"), (75 * 60, "75 min 0 s")],
)
def test_a_duration_is_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


WARM, COLD = "promise: 25 min with a warm cache", "promise: 75 min without a cache of kubelet 1.34.2"


@pytest.mark.parametrize(
    ("seconds", "fetched", "kept"),
    [
        (25 * 60, [], True),
        (25 * 60 + 1, [], False),
        (25 * 60 + 1, ["helm 4.0.4"], True),
        (75 * 60, ["helm 4.0.4"], True),
        (75 * 60 + 1, ["helm 4.0.4"], False),
    ],
)
def test_more_than_25_minutes_break_the_promise_unless_something_had_to_be_fetched_and_more_than_75_always_do(
    seconds: float, fetched: list[str], kept: bool
) -> None:
    assert in_time(seconds, fetched)[0] is kept


@pytest.mark.parametrize(
    ("result", "seconds", "code", "last"),
    [
        (Result("unit", passed=1), 1111.2, 0, f"make test: 18 min 31 s ({WARM})"),
        (Result("unit", passed=1), 1501.0, 1, f"make test: 25 min 1 s ({WARM}), too long: FAILED"),
        (Result("unit", passed=1, fetched=["kubelet 1.34.2"]), 1501.0, 0, f"make test: 25 min 1 s ({COLD})"),
        (
            Result("unit", passed=1, fetched=["kubelet 1.34.2"]),
            4501.0,
            1,
            f"make test: 75 min 1 s ({COLD}), too long: FAILED",
        ),
        (Result("unit", failed=1), 60.0, 1, f"make test: 1 min 0 s ({WARM})"),
        (Result("unit", passed=1), None, 0, "1 passed, 0 failed, 0 skipped"),
    ],
)
def test_the_time_of_everything_is_told_last_and_a_part_alone_promises_none(
    result: Result, seconds: float | None, code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert summary([result], seconds) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_what_the_set_up_had_to_fetch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "make_ready", lambda _, progress: progress.fetched.append("helm 4.0.4"))
    assert testing.set_up(["e2e"]).fetched == ["helm 4.0.4"]


@pytest.mark.parametrize(
    ("minutes", "kept", "said"),
    [
        (25, True, "make test: 25 min 0 s (promise: 25 min with a warm cache)"),
        (26, True, "make test: 26 min 0 s (promise: 25 min with a warm cache), MISSED"),
        (76, False, "make test: 76 min 0 s (promise: 25 min with a warm cache), too long: FAILED"),
    ],
)
def test_a_fresh_clone_is_told_that_the_promise_is_missed_and_fails_beyond_75_minutes(
    minutes: int, kept: bool, said: str
) -> None:
    assert in_time(minutes * 60, [], venv_made=True) == (kept, said)


def test_a_venv_that_was_made_after_make_was_called_shows_a_fresh_clone(
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
    passed = lambda *_: Result("any", passed=1)  # noqa: E731
    monkeypatch.setattr(testing, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    fetched = list[str]()
    monkeypatch.setattr(testing, "make_ready", lambda _, progress: progress.fetched.extend(fetched))
    for name in ("lint", "tests", "coverage"):
        monkeypatch.setattr(testing, name, passed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOTFLEET_BEGAN", "1000.0")
    monkeypatch.setattr(testing, "time", SimpleNamespace(time=lambda: 1000.0 + 26 * 60, monotonic=time.monotonic))
    assert testing.main([]) == 1
    assert "make test: 26 min 0 s (promise: 25 min with a warm cache), too long: FAILED" in capsys.readouterr().out
    fetched.append("helm 4.0.4")
    assert testing.main([]) == 0
    assert "(promise: 75 min without a cache of helm 4.0.4)" in capsys.readouterr().out


JUNIT = """<?xml version="1.0"?><testsuites><testsuite>{cases}</testsuite></testsuites>"""
PASSED = '<testcase classname="tests.unit.a" name="test_quick" time="0.1"/>'
SLOW = '<testcase classname="tests.unit.a" name="test_slow" time="2.1"/>'
FAILED = '<testcase classname="tests.unit.a" name="test_x" time="0.1"><failure message="no"/></testcase>'
BROKEN = '<testcase classname="tests.unit.a" name="test_x" time="0.1"><error message="no"/></testcase>'
SKIPPED = '<testcase classname="tests.unit.a" name="test_x" time="0.1"><skipped message="no Go"/></testcase>'
OF_SKIPPED = "tests.unit.a::test_x: no Go"


class FakeRun:
    """Runs nothing: leaves the report that pytest would leave, and ends as it would end."""

    def __init__(self, cases: str | None, *codes: int) -> None:
        self.cases = cases
        self.codes = list(codes)
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], said: IO[bytes] | None = None) -> int:
        if said is not None:
            said.write(b"said aside\n")
        self.commands.append(command)
        reports = [word.partition("=")[2] for word in command if word.startswith("--junit-xml=")]
        if reports and self.cases is not None:
            Path(reports[0]).write_text(JUNIT.format(cases=self.cases))
        return self.codes.pop(0)


@pytest.mark.parametrize(
    ("tier", "cases", "code", "passed", "failed", "skipped", "problems"),
    [
        ("unit", PASSED, 0, 1, 0, [], []),
        ("unit", PASSED + SLOW, 0, 2, 0, [], ["tests.unit.a::test_slow took 2.1 s; a unit test ends within 2 s"]),
        ("integration", PASSED + SLOW, 0, 2, 0, [], []),
        ("unit", PASSED + FAILED, 1, 1, 1, [], []),
        ("unit", PASSED + BROKEN, 1, 1, 1, [], []),
        ("e2e", PASSED + SKIPPED, 0, 1, 0, [OF_SKIPPED], []),
        ("e2e", SKIPPED, 0, 0, 0, [OF_SKIPPED], ["no test ran"]),
        ("integration", "", 5, 0, 0, [], ["pytest ended with 5", "no test ran"]),
        ("integration", None, 4, 0, 0, [], ["pytest ended with 4", "no test ran"]),
        ("e2e", PASSED, 2, 1, 0, [], ["pytest ended with 2"]),
        ("e2e", PASSED, -9, 1, 0, [], ["pytest ended with -9"]),
    ],
)
def test_a_tier_is_good_only_when_tests_ran_none_failed_and_each_kept_its_time(
    tier: str,
    cases: str | None,
    code: int,
    passed: int,
    failed: int,
    skipped: list[str],
    problems: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = FakeRun(cases, code)
    monkeypatch.setattr(testing, "_run", run)
    result = testing.tests(PARTS[tier])
    assert (result.passed, result.failed, result.skipped, result.problems) == (passed, failed, skipped, problems)
    assert f"tests/{tier}" in run.commands[0]
    assert ("coverage" in run.commands[0]) is (tier != "e2e")
    assert summary([result]) == (1 if failed or problems else 0)
    said = capsys.readouterr().out
    assert all(line in said for line in (*skipped, *problems))


@pytest.mark.parametrize(
    ("tier", "seconds", "good"), [("unit", 59.0, True), ("unit", 61.0, False), ("e2e", 61.0, True)]
)
def test_a_unit_tier_of_more_than_60_seconds_fails(
    tier: str, seconds: float, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([1000.0, 1000.0 + seconds])
    monkeypatch.setattr(testing, "_run", FakeRun(PASSED, 0))
    monkeypatch.setattr(testing, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    result = testing.tests(PARTS[tier])
    assert result.good is good
    assert result.problems == ([] if good else ["the unit tier took 61 s; it must end within 60 s"])


@pytest.mark.parametrize(
    ("ends", "problems"),
    [
        ((0, 0, 0, 0, 0), []),
        ((0, 2, 0, 0, 0), ["coverage is below its gate"]),
        ((0, 0, 0, 0, 2), ["coverage of operator/botfleet_operator is below its gate"]),
        ((1,), ["nothing was measured that coverage could combine"]),
    ],
)
def test_coverage_below_a_gate_fails_and_so_does_coverage_that_was_not_measured(
    ends: tuple[int, ...], problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "_run", FakeRun(None, *ends))
    result = testing.coverage()
    assert result.problems == problems
    assert summary([result]) == (1 if problems else 0)


def test_a_part_with_a_gate_of_its_own_is_there() -> None:
    assert all(list((testing.ROOT / part).glob("*.py")) for part in testing.COVERED)


def test_each_check_of_lint_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "_run", FakeRun(None, 0, 1, 2, 0, 0))
    result = testing.lint()
    assert (result.passed, result.failed, result.good) == (3, 2, False)
    assert result.problems == ["ruff format failed", "mypy failed"]


@pytest.mark.parametrize("bad", ["lint", "set-up", "unit", "integration", "integration, aside", "coverage", "e2e"])
def test_make_test_fails_when_any_of_its_parts_does(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def part(name: str) -> Result:
        ran.append(name)
        return Result(name, failed=1) if name == bad else Result(name, passed=1)

    def tests(part_of_it: Part, said: IO[bytes] | None = None) -> Result:
        return Result(part_of_it.name, failed=int(part_of_it.name == bad)) if said else part(part_of_it.name)

    monkeypatch.setattr(testing, "ROOT", tmp_path)
    monkeypatch.setattr(testing, "lint", lambda: part("lint"))
    monkeypatch.setattr(testing, "set_up", lambda _: part("set-up"))
    monkeypatch.setattr(testing, "tests", tests)
    monkeypatch.setattr(testing, "coverage", lambda: part("coverage"))
    monkeypatch.chdir(tmp_path)
    assert testing.main([]) == 1
    everything = ["lint", "unit", "set-up", "integration", "e2e", "coverage"]
    assert ran == (everything[:3] if bad == "set-up" else everything), "what stands on nothing does not run"
    assert f"FAILED {bad} " in capsys.readouterr().out


def test_what_runs_aside_takes_no_processor_from_others_and_is_told_after_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = FakeRun(PASSED + FAILED, 1)
    monkeypatch.setattr(testing, "_run", run)
    results = list[Result]()
    with testing.aside(testing.INTEGRATION_ASIDE, results):
        results.append(Result("e2e", passed=1))
        print("said by e2e")
    assert run.commands[0][:3] == ["nice", "-n", "19"]
    assert [(result.tier, result.good) for result in results] == [("e2e", True), ("integration, aside", False)]
    told = capsys.readouterr().out
    assert told.index("said by e2e") < told.index("━━ integration, aside") < told.index("said aside")


def test_each_integration_test_runs_in_one_of_the_two_halves() -> None:
    ignored = {option.partition("=")[2] for option in testing.INTEGRATION_REST.options if "--ignore=" in option}
    assert ignored == set(testing.INTEGRATION_ASIDE.paths)
    assert testing.INTEGRATION_REST.paths == PARTS["integration"].paths
    assert all((testing.ROOT / path).exists() for path in ignored)
