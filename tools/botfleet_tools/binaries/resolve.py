"""Decides where each program comes from: environment, PATH, cache, official release, or a build from its pinned module.

Two processes never make the same program at the same time; a source that fails is said, not hidden.
"""

import functools
import os
import shutil
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from botfleet_tools.binaries import gobuild
from botfleet_tools.binaries.download import UnreachableError, architecture, download, reachable
from botfleet_tools.binaries.pins import PINS, Pin, Program, environment_variable, fits, parse_version
from botfleet_tools.cache import cache_dir, exclusive
from botfleet_tools.errors import ToolError
from botfleet_tools.prerequisites import PrerequisitesMissingError, Problem, go_problem, go_version
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError, capture

LOCK_DEADLINE_SECONDS = 3600.0
ASK_VERSION_SECONDS = 10.0


def resolve(program: Program, progress: Progress | None = None) -> Path:
    """One program; see resolve_all."""
    return resolve_all([program], progress)[program]


def resolve_all(programs: Iterable[Program], progress: Progress | None = None) -> Mapping[Program, Path]:
    """Where each program is, after downloading or building what is nowhere yet.

    Raises PrerequisitesMissingError when something must be built and Go is missing or too old (before anything is built),
    and ToolError for what failed otherwise.
    """
    shown = progress or Progress()
    wanted = list(dict.fromkeys(programs))
    found = {program: path for program in wanted if (path := local(program)) is not None}
    absent = [program for program in wanted if program not in found]
    if absent:
        found |= _from_releases(absent, shown)
        absent = [program for program in absent if program not in found]
        _need_go(absent)
        for program in absent:
            if program not in found:
                found |= _built_with(program, absent, shown)
    return found


def preflight(programs: Iterable[Program]) -> None:
    """Raise PrerequisitesMissingError when these programs can be had neither here, nor from a release, nor by building.

    The pause program, which is built only, is among them. Quick (5 s at most for each release server that is asked), changes nothing.
    """
    if not _pause_path().exists():
        _need_go_for_pause()
    absent = [program for program in programs if local(program) is None]
    if absent and any(_go_problem(program) for program in absent):
        answers = {server: reachable(server) for server in {_server(program) for program in absent}}
        _need_go([program for program in absent if not answers[_server(program)]])


def obstacle(program: Program) -> str | None:
    """Why a program can be had neither here, nor from a release, nor by building; None when it can. Changes nothing."""
    if local(program) is not None:
        return None
    problem, server = _go_problem(program), _server(program)
    if problem is None or reachable(server):
        return None
    return f"{problem.what}, and {server} gives no answer"


def local(program: Program) -> Path | None:
    """The program from the environment, PATH or the cache; None when it is in none of them.

    Raises ToolError when the environment names something that is no program.
    """
    pin = PINS[program]
    variable = environment_variable(program)
    if named := os.environ.get(variable):
        if not os.access(named, os.X_OK):
            raise ToolError(f"{variable} names {named}, which is no program that can be run")
        return Path(named)
    on_path = shutil.which(pin.executable)
    if on_path is not None and fits(pin, _version_of(on_path, pin.version_argv)):
        return Path(on_path)
    cached = cached_path(program)
    return cached if cached.exists() else None


def cached_path(program: Program) -> Path:
    """Where the cache keeps the pinned version of a program."""
    pin = PINS[program]
    return _cache_folder(pin) / pin.executable


def pause(progress: Progress | None = None) -> Path:
    """The program that holds a pod's namespaces open, built from the ten lines beside this file."""
    target = _pause_path()
    if not target.exists():
        _need_go_for_pause()
        with (
            exclusive("build-pause", deadline_seconds=LOCK_DEADLINE_SECONDS),
            resources.as_file(resources.files("botfleet_tools.binaries") / "pause.go") as source,
        ):
            if not target.exists():
                shown = progress or Progress()
                shown.fetched.append("pause")
                gobuild.build_file(source, target, shown)
    return target


def _pause_path() -> Path:
    return cache_dir() / "bin" / f"pause-1-{architecture()}" / "pause"


def _need_go_for_pause() -> None:
    problem = go_problem(go_version(), (1, 24), "builds the pause program")
    if problem is not None:
        raise PrerequisitesMissingError([problem])


def _cache_folder(pin: Pin) -> Path:
    return cache_dir() / "bin" / f"{pin.module.folder}-{architecture()}"


@functools.cache
def _version_of(executable: str, version_argv: tuple[str, ...]) -> tuple[int, ...] | None:
    try:
        return parse_version(capture([executable, *version_argv], deadline_seconds=ASK_VERSION_SECONDS))
    except CommandFailedError:
        return None


def _from_releases(programs: list[Program], progress: Progress) -> dict[Program, Path]:
    """Download what can be downloaded; a server that gives no answer is asked once only."""
    found: dict[Program, Path] = {}
    silent: set[str] = set()
    for program in programs:
        pin = PINS[program]
        server = _server(program)
        if server in silent:
            continue
        with exclusive(f"build-{pin.module.folder}", deadline_seconds=LOCK_DEADLINE_SECONDS):
            target = cached_path(program)
            if not target.exists():
                try:
                    content = download(pin)
                except UnreachableError:
                    progress.say(f"{server} gives no answer: building from source instead")
                    silent.add(server)
                    continue
                progress.fetched.append(f"{pin.executable} {pin.version}")
                partial = target.with_name(f".{target.name}.download")
                target.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(content)
                gobuild.install(partial, target)
                partial.unlink()
            found[program] = target
    return found


def _built_with(program: Program, absent: list[Program], progress: Progress) -> dict[Program, Path]:
    """Build a program together with all others that are absent and come from the same module."""
    module = PINS[program].module
    together = [other for other in absent if PINS[other].module == module]
    with exclusive(f"build-{module.folder}", deadline_seconds=LOCK_DEADLINE_SECONDS):
        missing = [PINS[other] for other in together if not cached_path(other).exists()]
        if missing:
            progress.fetched += [f"{pin.executable} {pin.version}" for pin in missing]
            gobuild.build(module, missing, _cache_folder(PINS[program]), progress)
    return {other: cached_path(other) for other in together}


def _go_problem(program: Program) -> Problem | None:
    module = PINS[program].module
    return go_problem(go_version(), module.go, f"builds {module.require}")


def _need_go(programs: list[Program]) -> None:
    """Raise PrerequisitesMissingError for the program that asks the newest Go, when that is not there."""
    problems = [problem for program in programs if (problem := _go_problem(program)) is not None]
    if problems:
        raise PrerequisitesMissingError(list(dict.fromkeys(problems)))


def _server(program: Program) -> str:
    return urlsplit(PINS[program].url).netloc
