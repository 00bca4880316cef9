"""Writes down which wheels an image gets, by hash: the builder stage installs exactly these and nothing else.

Pure: file names and hashes in, text out.
"""

import re
from dataclasses import dataclass

from botfleet_tools.errors import ToolError

WHEEL_NAME_PARTS = (5, 6)  # name-version[-build]-python-abi-platform (PEP 427)


class WheelNameError(ToolError):
    """A file is not named as a wheel is."""


@dataclass(frozen=True, order=True)
class Wheel:
    """A wheel file's name, taken apart, and its content's hash."""

    name: str
    version: str
    platform: str
    filename: str
    sha256: str

    @property
    def is_pure(self) -> bool:
        """Whether it runs on any platform."""
        return self.platform == "any"

    @property
    def requirement(self) -> str:
        """The line of a requirements file that this wheel alone satisfies."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def parse_wheel(filename: str, sha256: str) -> Wheel:
    """Take a wheel's file name apart. Raises WheelNameError when it is none."""
    stem, _, suffix = filename.rpartition(".")
    parts = stem.split("-")
    if suffix != "whl" or len(parts) not in WHEEL_NAME_PARTS:
        raise WheelNameError(f"{filename} is no wheel")
    name = re.sub(r"[-_.]+", "-", parts[0]).lower()  # PEP 503
    return Wheel(name, parts[1], parts[-1], filename, sha256)


def lock(wheels: list[Wheel]) -> str:
    """A requirements file with hashes that names these wheels, sorted.

    Raises WheelNameError when two of them are of one distribution: pip would have to choose.
    """
    names = [wheel.name for wheel in wheels]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise WheelNameError(f"more than one wheel of {', '.join(doubled)}")
    return "".join(f"{wheel.requirement}\n" for wheel in sorted(wheels))
