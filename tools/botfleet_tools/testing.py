"""Why: `make test` is the tiers in their order, with their times, the coverage gate and the list of what was skipped and why.

It never reruns a test and never makes a failure pass.
"""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from botfleet_tools.errors import ToolError
from botfleet_tools.progress import Progress
from botfleet_tools.standing import make_ready

ROOT = Path(__file__).parents[2]
UNIT_TIER_SECONDS = 60.0
UNIT_TEST_SECONDS = 2.0
# What `make test` promises on two cores: where something has to be downloaded or built that a cache keeps, and later.
# Our own images do not count: every change of the sources makes them anew.
FIRST_MINUTES = 75
LATER_MINUTES = 25
# Integration tests share their servers by file, and mostly wait for them; a node is there once.
SIDE_BY_SIDE = {
    "unit": ("-n", "auto"),
    "integration": ("-n", "3", "--dist", "loadfile"),
    "e2e": (),
}
TYPED = (
    "core/botfleet",
    "botrunner/botrunner",
    "operator/botfleet_operator",
    "simulator/botfleet_simulator",
    "tools/botfleet_tools",
    "migrations",
    "bench",
)


@dataclass
class Result:
    """What a tier came to."""

    tier: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing failed and, where tests were to run, some ran."""
        return not self.problems and not self.failed


def lint() -> Result:
    """ruff, mypy, import contracts, generated files; each named when it fails."""
    result, started = Result("lint"), time.monotonic()
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy", *TYPED],
        "import contracts": ["lint-imports"],
        "generated files": ["python", "-m", "botfleet_tools.generate", "--check"],
    }
    for name, command in checks.items():
        if _run([str(_bin(command[0])), *command[1:]]) == 0:
            result.passed += 1
        else:
            result.failed += 1
            result.problems.append(f"{name} failed")
    result.seconds = time.monotonic() - started
    return result


def set_up(tiers: Sequence[str]) -> Result:
    """What these tiers stand on: packages, programs, images. A build must not run on a test's time."""
    result, started, progress = Result("set-up"), time.monotonic(), Progress()
    try:
        make_ready(tiers, progress)
    except ToolError as error:
        result.problems.append(str(error))
    result.fetched = progress.fetched
    result.seconds = time.monotonic() - started
    return result


def tests(tier: str) -> Result:
    """One tier of tests; unit and integration are measured by coverage, subprocesses included."""
    result, started = Result(tier), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        pytest = ["-m", "pytest", f"tests/{tier}", f"--junit-xml={report}", "-q", "--durations=5", *SIDE_BY_SIDE[tier]]
        measured = [] if tier == "e2e" else ["-m", "coverage", "run"]
        code = _run([str(_bin("python")), *measured, *pytest])
        result.seconds = time.monotonic() - started
        if report.exists():
            _read(report, result)
    if code not in (0, 1):
        result.problems.append(f"pytest ended with {code}")
    if result.passed == 0:
        result.problems.append("no test ran")
    if tier == "unit" and result.seconds > UNIT_TIER_SECONDS:
        result.problems.append(
            f"the unit tier took {result.seconds:.0f} s; it must end within {UNIT_TIER_SECONDS:.0f} s"
        )
    return result


def _read(report: Path, result: Result) -> None:
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 -- written by our own pytest
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif (skipped := case.find("skipped")) is not None:
            result.skipped.append(f"{name}: {skipped.get('message')}")
        else:
            result.passed += 1
        if result.tier == "unit" and float(case.get("time", 0)) > UNIT_TEST_SECONDS:
            result.problems.append(
                f"{name} took {case.get('time')} s; a unit test ends within {UNIT_TEST_SECONDS:.0f} s"
            )


def coverage() -> Result:
    """The gate over the tiers that were measured; its figure stands in pyproject.toml."""
    result, started = Result("coverage"), time.monotonic()
    if _run([str(_bin("python")), "-m", "coverage", "combine", "--quiet"]) != 0:
        result.problems.append(
            "nothing was measured that coverage could combine"
        )  # a report would be of an earlier run
    elif _run([str(_bin("python")), "-m", "coverage", "report"]) != 0:
        result.problems.append("coverage is below its gate")
    result.passed, result.failed = int(result.good), len(result.problems)
    result.seconds = time.monotonic() - started
    return result


def summary(results: list[Result], seconds: float | None = None, *, venv_made: bool = False) -> int:
    """Prints what came of everything, which took so long if it was everything; the exit code."""
    print("\n" + "─" * 78)
    for result in results:
        mark = "ok    " if result.good else "FAILED"
        print(f"{mark} {result.tier:<12} {result.seconds:7.1f} s   {result.passed} passed, {result.failed} failed")
        for problem in result.problems:
            print(f"         {problem}")
    skipped = [line for result in results for line in result.skipped]
    if skipped:
        print("\nSkipped, with the reason that is true of this machine:")
        for line in skipped:
            print(f"  {line}")
    passed, failed = sum(r.passed for r in results), sum(r.failed + (not r.good and not r.failed) for r in results)
    print(f"\n{passed} passed, {failed} failed, {len(skipped)} skipped")
    kept = True
    if seconds is not None:
        kept, line = in_time(seconds, [what for result in results for what in result.fetched], venv_made=venv_made)
        print(line)
    return 0 if kept and all(result.good for result in results) else 1


def duration(seconds: float) -> str:
    """18 min 31 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def in_time(seconds: float, fetched: Sequence[str], *, venv_made: bool = False) -> tuple[bool, str]:
    """Whether everything together ended within its limit, and the line that says how long it took.

    A fresh clone with a warm cache is promised the shorter time like any other, and is told when that is missed; it fails
    beyond the longer one only, since whose machine it is for the first time says nothing about the code.
    """
    promised = FIRST_MINUTES if fetched else LATER_MINUTES
    limit = FIRST_MINUTES if fetched or venv_made else LATER_MINUTES
    why = f"without a cache of {', '.join(fetched)}" if fetched else "with a warm cache"
    kept = seconds <= limit * 60
    verdict = "" if seconds <= promised * 60 else ", MISSED" if kept else ", too long: FAILED"
    return kept, f"make test: {duration(seconds)} (promise: {promised} min {why}){verdict}"


def began() -> float:
    """When `make` was called, by the wall clock: what it did before Python ran counts too."""
    return float(os.environ.get("BOTFLEET_BEGAN") or time.time())


def venv_made_since(moment: float) -> bool:
    """Whether tools/bootstrap.sh has made .venv since then; this is the last file that it writes."""
    made = Path(sys.prefix) / ".made-from"
    return made.exists() and made.stat().st_mtime >= moment


def main(argv: list[str]) -> int:
    """`python -m botfleet_tools.testing [lint|unit|integration|e2e …]`; without a tier all of them and the gate."""
    os.chdir(ROOT)
    known = ("lint", "unit", "integration", "e2e")
    if unknown := [tier for tier in argv if tier not in known]:
        print(f"no such tier: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    results, started = list[Result](), began()
    for old in ROOT.glob(".coverage.*"):
        old.unlink()
    for tier in argv or known:
        if tier in ("integration", "e2e") and not any(result.tier == "set-up" for result in results):
            print(f"\n━━ set-up {'━' * 68}", flush=True)
            results.append(set_up(argv or known))
            if not results[-1].good:
                break
        print(f"\n━━ {tier} " + "━" * (74 - len(tier)), flush=True)
        results.append(lint() if tier == "lint" else tests(tier))
        if not argv and tier == "integration":
            results.append(coverage())
    return summary(results, None if argv else time.time() - started, venv_made=venv_made_since(started))


def _run(command: list[str]) -> int:
    return subprocess.run(command, cwd=ROOT, check=False, env=dict(os.environ)).returncode


def _bin(name: str) -> Path:
    return Path(sys.executable).parent / name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
