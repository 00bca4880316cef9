"""Why: what came of a part of `make test`, whether everything kept its time, and how both are told.

It never runs anything.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

UNIT_TIER_SECONDS = 60.0
UNIT_TEST_SECONDS = 2.0
# What `make test` promises on two cores: where something has to be downloaded or built that a cache keeps, and later.
# Our own images do not count: every change of the sources makes them anew.
FIRST_MINUTES = 75
LATER_MINUTES = 25


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


def read_report(report: Path, result: Result) -> None:
    """Adds what pytest wrote down as JUnit XML."""
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
