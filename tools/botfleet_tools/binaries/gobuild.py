"""Builds programs from Go modules that are pinned by version and by hash (go.mod and go.sum in ``modules/``).

It never changes those files: a module that does not match its recorded hash fails the build.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from botfleet_tools.binaries.pins import GoModule, Pin
from botfleet_tools.cache import cache_dir
from botfleet_tools.progress import Progress, Step
from botfleet_tools.run import run

BUILD_DEADLINE_SECONDS = 2400.0
COUNT_SECONDS = 2.0

# A static program of the installed Go, whatever the user's settings are.
ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "GO111MODULE": "on"}


def build(module: GoModule, pins: Sequence[Pin], into: Path, progress: Progress) -> None:
    """Build the programs of one module into the folder ``into``; they appear there all at once.

    Raises CommandFailedError with the end of the build's log.
    """
    log = cache_dir() / "logs" / f"build-{module.folder}.log"
    log.unlink(missing_ok=True)
    names = ", ".join(pin.executable for pin in pins)
    with progress.step(f"Building {names} from {module.require}") as step, _workplace(module) as work:
        out = work / "out"
        out.mkdir()
        flags = " ".join(("-s", "-w", *module.ldflags))
        packages = [pin.package for pin in pins]
        argv = [
            "go",
            "build",
            "-v",
            "-trimpath",
            "-mod=readonly",
            "-buildvcs=false",
            "-ldflags",
            flags,
            "-o",
            f"{out}/",
        ]
        with _counting(log, step):
            run([*argv, *packages], log=log, cwd=work, env=ENVIRONMENT, deadline_seconds=BUILD_DEADLINE_SECONDS)
        into.mkdir(parents=True, exist_ok=True)
        for pin in pins:
            install(out / pin.executable, into / pin.executable)


def build_file(source: Path, target: Path, progress: Progress) -> None:
    """Build a Go program of one file that needs the standard library only."""
    log = cache_dir() / "logs" / f"build-{target.name}.log"
    log.unlink(missing_ok=True)
    with progress.step(f"Building {target.name}"), tempfile.TemporaryDirectory(prefix="botfleet-build-") as work:
        out = Path(work) / target.name
        argv = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o"]
        run([*argv, out, source], log=log, env=ENVIRONMENT, deadline_seconds=BUILD_DEADLINE_SECONDS)
        target.parent.mkdir(parents=True, exist_ok=True)
        install(out, target)


def install(source: Path, target: Path) -> None:
    """Put a program in its place so that nobody ever sees half of it."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.chmod(0o755)
    partial.replace(target)


@contextmanager
def _workplace(module: GoModule) -> Iterator[Path]:
    pinned = resources.files("botfleet_tools.binaries") / "modules" / module.folder
    with tempfile.TemporaryDirectory(prefix="botfleet-build-") as work:
        for name in ("go.mod", "go.sum"):
            (Path(work) / name).write_bytes((pinned / name).read_bytes())
        yield Path(work)


@contextmanager
def _counting(log: Path, step: Step) -> Iterator[None]:
    """Show how far a build is: ``go build -v`` logs a line for each module and each package."""
    ended = threading.Event()

    def count() -> None:
        while not ended.wait(COUNT_SECONDS):
            lines = log.read_text(errors="replace").splitlines()[1:]
            modules = sum(line.startswith("go: downloading") for line in lines)
            step.update(f"{modules} modules downloaded, {len(lines) - modules} packages compiled")

    thread = threading.Thread(target=count, name="build progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
