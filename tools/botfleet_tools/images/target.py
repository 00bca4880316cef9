"""What the images run on: one Python, Linux, this machine's processor. Wheels are chosen for that, not for this machine.

A machine with another Python, a newer C library or another system (Docker on macOS) gets the same wheels.
"""

import platform
from dataclasses import dataclass

PYTHON = (3, 11)
# Debian 12, on which the base image stands, has glibc 2.36: wheels for anything newer would not load.
SUITE = "bookworm"
GLIBC_MINOR = 36
OLDEST_GLIBC_MINOR = 5
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Target:
    """The platform that wheels are chosen for."""

    architecture: str

    @property
    def python_version(self) -> str:
        """As pip wants it: 3.11."""
        return ".".join(str(part) for part in PYTHON)

    @property
    def abi(self) -> str:
        """As wheel tags spell it: cp311."""
        return "cp" + "".join(str(part) for part in PYTHON)

    @property
    def platforms(self) -> list[str]:
        """Wheel platform tags, best first (PEP 600, and the older aliases of PEP 599, 571 and 513)."""
        modern = [f"manylinux_2_{minor}" for minor in range(GLIBC_MINOR, OLDEST_GLIBC_MINOR - 1, -1)]
        aliases = ["manylinux2014", "manylinux2010", "manylinux1", "linux"]
        return [f"{tag}_{self.architecture}" for tag in (*modern, *aliases)]

    def __str__(self) -> str:
        return f"{self.abi}-linux-{self.architecture}"


def native() -> Target:
    """The target for this machine's processor."""
    machine = platform.machine().lower()
    return Target(ARCHITECTURES.get(machine, machine))
