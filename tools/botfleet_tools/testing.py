"""Why: `make test` is the tiers in their order, with their times, the coverage gate and the list of what was skipped and why.

It never reruns a test and never makes a failure pass.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from botfleet_tools.errors import ToolError
from botfleet_tools.progress import Progress
from botfleet_tools.results import UNIT_TIER_SECONDS, Result, read_report, summary
from botfleet_tools.standing import make_ready

ROOT = Path(__file__).parents[2]
TYPED = (
    "core/botfleet",
    "botrunner/botrunner",
    "operator/botfleet_operator",
    "simulator/botfleet_simulator",
    "tools/botfleet_tools",
    "migrations",
    "bench",
    "tests",
)

# What people rely on has a gate of its own, in percent; that of everything together stands in pyproject.toml.
COVERED = {"core/botfleet": 90, "botrunner/botrunner": 90, "operator/botfleet_operator": 90}


@dataclass(frozen=True)
class Part:
    """What one pytest runs, and how many tests at once; `prefix`: a command that runs it."""

    name: str
    paths: tuple[str, ...]
    options: tuple[str, ...] = ()
    measured: bool = True
    prefix: tuple[str, ...] = ()


# Integration tests share their servers by file, and mostly wait for them; a node is there once.
PARTS = {
    "unit": Part("unit", ("tests/unit",), ("-n", "auto")),
    "integration": Part("integration", ("tests/integration",), ("-n", "3", "--dist", "loadfile")),
    "e2e": Part("e2e", ("tests/e2e",), measured=False),
}
# No test in these judges how long something took. The end-to-end tier mostly waits for pods, and leaves them a core.
ASIDE = tuple(
    f"tests/integration/{name}"
    for name in (
        *("bench", "botrunner/conversation", "bus", "chart", "crd", "fleet", "house", "simulator", "store"),
        *(
            f"botrunner/test_{name}.py"
            for name in ("bad_input", "in_groups", "media", "models", "starters", "steering", "terminal")
        ),
        *("operator/test_rollouts.py", "operator/test_storms.py", "operator/test_watches.py", "tools/test_servers.py"),
    )
)
# They get what the others leave of the processors: a test may take three times as long as elsewhere.
INTEGRATION_ASIDE = Part(
    "integration, aside", ASIDE, ("-n", "2", "--dist", "loadfile", "--timeout=360"), prefix=("nice", "-n", "19")
)
INTEGRATION_REST = Part(
    "integration",
    PARTS["integration"].paths,
    (*PARTS["integration"].options, *(f"--ignore={path}" for path in ASIDE)),
)


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


def tests(part: Part, said: IO[bytes] | None = None) -> Result:
    """One pytest; unit and integration are measured by coverage, subprocesses included. `said`: where its output goes."""
    result, started = Result(part.name), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        pytest = ["-m", "pytest", *part.paths, f"--junit-xml={report}", "-q", "--durations=5", *part.options]
        measured = ["-m", "coverage", "run"] if part.measured else []
        code = _run([*part.prefix, str(_bin("python")), *measured, *pytest], said)
        result.seconds = time.monotonic() - started
        if report.exists():
            read_report(report, result)
    if code not in (0, 1):
        result.problems.append(f"pytest ended with {code}")
    if result.passed == 0:
        result.problems.append("no test ran")
    if part.name == "unit" and result.seconds > UNIT_TIER_SECONDS:
        result.problems.append(
            f"the unit tier took {result.seconds:.0f} s; it must end within {UNIT_TIER_SECONDS:.0f} s"
        )
    return result


@contextmanager
def aside(part: Part, results: list[Result]) -> Iterator[None]:
    """Runs it during the block. What it said and its result come after those of the block, not in between."""
    with tempfile.TemporaryFile() as said, ThreadPoolExecutor(1) as pool:
        running = pool.submit(tests, part, said)
        yield
        _say(part.name)
        result = running.result()
        said.seek(0)
        print(said.read().decode(errors="replace"), end="", flush=True)
        results.append(result)


def coverage() -> Result:
    """The gates over the tiers that were measured: of everything, and of each part in `COVERED`."""
    result, started = Result("coverage"), time.monotonic()
    command = [str(_bin("python")), "-m", "coverage"]
    if _run([*command, "combine", "--quiet"]) != 0:
        result.problems.append(
            "nothing was measured that coverage could combine"
        )  # a report would be of an earlier run
    else:
        if _run([*command, "report"]) != 0:
            result.problems.append("coverage is below its gate")
        for part, percent in COVERED.items():
            print(f"{part}, of at least {percent} %: ", end="", flush=True)
            only = ["--format=total", f"--include={part}/*", f"--fail-under={percent}"]
            if _run([*command, "report", *only]) != 0:
                result.problems.append(f"coverage of {part} is below its gate")
    result.passed, result.failed = int(result.good), len(result.problems)
    result.seconds = time.monotonic() - started
    return result


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
    if argv:
        for tier in argv:
            first = tier in ("integration", "e2e") and not any(result.tier == "set-up" for result in results)
            if first and not _add(results, "set-up", lambda: set_up(argv)):
                break
            _tier(tier, results)
        return summary(results)
    _tier("lint", results)
    _tier("unit", results)
    if _add(results, "set-up", lambda: set_up(known)):
        _add(results, "integration", lambda: tests(INTEGRATION_REST))
        with aside(INTEGRATION_ASIDE, results):
            _tier("e2e", results)
        results.append(coverage())
    return summary(results, time.time() - started, venv_made=venv_made_since(started))


def _tier(tier: str, results: list[Result]) -> None:
    _add(results, tier, lint if tier == "lint" else lambda: tests(PARTS[tier]))


def _add(results: list[Result], title: str, part: Callable[[], Result]) -> bool:
    _say(title)
    results.append(part())
    return results[-1].good


def _say(title: str) -> None:
    print(f"\n━━ {title} " + "━" * (74 - len(title)), flush=True)


def _run(command: list[str], said: IO[bytes] | None = None) -> int:
    return subprocess.run(
        command, cwd=ROOT, check=False, env=dict(os.environ), stdout=said, stderr=said and subprocess.STDOUT
    ).returncode


def _bin(name: str) -> Path:
    return Path(sys.executable).parent / name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
