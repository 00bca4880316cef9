"""Names what the tools need and do not install themselves, before anything else starts.

It only looks; it installs and changes nothing.
"""

import os
import platform
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from typing import Literal

from botfleet_tools.errors import ToolError
from botfleet_tools.run import CommandFailedError, capture

Version = tuple[int, ...]
PYTHON: Version = (3, 11)
# What the remedy installs: Debian 12 itself has an older one.
GO = "1.26.8"
# The sha256 that https://go.dev/dl/ publishes of its archives, by what the kernel calls the architecture.
GO_ARCHIVES = {
    "x86_64": ("amd64", "d0f743b33e8d8945e6b1f432edd15785c70507121d6e2a723b21285eddf8b57b"),
    "aarch64": ("arm64", "211ffced9dcb9633a55eac6364816ec0ddd951389a740e88fa8b3337971bdda0"),
}
Need = Literal["root", "python", "go", "linux"]


class PrerequisitesMissingError(ToolError):
    """Something is missing that a person must install."""

    def __init__(self, problems: "list[Problem]") -> None:
        lines = [f"  - {problem.what}\n    run: {problem.remedy}" for problem in problems]
        super().__init__("missing on this machine:\n" + "\n".join(lines))
        self.problems = problems


@dataclass(frozen=True)
class Problem:
    """One missing thing, and the command that mends it."""

    what: str
    remedy: str


def parse_go_version(text: str) -> Version | None:
    """``go version go1.26.8 linux/amd64`` to (1, 26, 8); None when it is no such line."""
    match = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups(default="0")) if match else None


def go_version() -> Version | None:
    """The version of the ``go`` on PATH, None when there is none that works."""
    if shutil.which("go") is None:
        return None
    try:
        # GOTOOLCHAIN=local: what is installed counts, not what go would like to download.
        return parse_go_version(capture(["go", "version"], deadline_seconds=20, env={"GOTOOLCHAIN": "local"}))
    except CommandFailedError:
        return None


def go_problem(found: Version | None, needed: Version, purpose: str) -> Problem | None:
    """What is wrong with the installed Go, if anything."""
    if found is not None and found >= needed:
        return None
    have = "there is none on PATH" if found is None else f"found {dotted(found)}"
    wanted = dotted(needed)
    return Problem(f"Go {wanted} or newer ({purpose}); {have}", go_remedy())


def go_remedy() -> str:
    """One command line that installs a Go beside any other one, on a Debian that has nothing yet."""
    if platform.machine() not in GO_ARCHIVES:
        return "what https://go.dev/doc/install says"
    architecture, checksum = GO_ARCHIVES[platform.machine()]
    return (
        f"{_install('curl', 'ca-certificates')} && go=$(mktemp)"
        f' && curl -fsSLo "$go" https://go.dev/dl/go{GO}.linux-{architecture}.tar.gz'
        f' && echo "{checksum}  $go" | sha256sum --check'
        f' && {_sudo()}tar -xzf "$go" --one-top-level=/usr/local/go{GO} --strip-components=1'
        f' && export PATH=/usr/local/go{GO}/bin:"$PATH"'
    )


def python_remedy() -> str:
    """Debian's own Python, and what was typed with it: another one, which is too old, may come first on PATH."""
    return f"{_install('python3', 'python3-venv')} && {typed()} PYTHON=/usr/bin/python3"


def _install(*packages: str) -> str:
    return f"{_sudo()}apt-get update && {_sudo()}apt-get install --yes {' '.join(packages)}"


def _sudo() -> str:
    return "" if os.geteuid() == 0 else "sudo "


def root_remedy() -> str:
    """The command that was typed, as root. Debian's sudo takes a PATH of its own, without the Go of /usr/local."""
    return f'sudo -E env "PATH=$PATH" {typed()}'


def typed() -> str:
    """What the user typed to get here; the Makefile says so where it was make."""
    if by_make := os.environ.get("BOTFLEET_TYPED"):
        return by_make
    by_its_name = os.access(sys.argv[0], os.X_OK)
    return shlex.join(sys.argv if by_its_name else sys.orig_argv)


def dotted(version: Version) -> str:
    """(1, 26, 8) to 1.26.8."""
    return ".".join(str(part) for part in version)


def check(needs: set[Need], *, go: Version = (1, 24), go_purpose: str = "builds the Kubernetes programs") -> None:
    """Raise PrerequisitesMissingError naming everything of ``needs`` that is missing, all at once."""
    problems: list[Problem] = []
    if "linux" in needs and sys.platform != "linux":
        problems.append(Problem("Linux", "use a Linux machine, or Docker with kind: --provider kind"))
    if "python" in needs and sys.version_info[:2] < PYTHON:
        what = f"Python {dotted(PYTHON)} or newer (Debian has it since 12); found {sys.version.split()[0]}"
        problems.append(Problem(what, python_remedy()))
    if "root" in needs and os.geteuid() != 0:
        problems.append(Problem("root (namespaces, mounts and Debian packages)", root_remedy()))
    if "go" in needs and (problem := go_problem(go_version(), go, go_purpose)) is not None:
        problems.append(problem)
    if problems:
        raise PrerequisitesMissingError(problems)
