"""What a program that builds images must be able to do, whichever it is, and how one is chosen.

It builds nothing itself: buildah.py and docker.py do.
"""

import shutil
from pathlib import Path
from typing import Literal, Protocol

from botfleet_tools.errors import ToolError
from botfleet_tools.images.catalog import Image
from botfleet_tools.images.context import Context
from botfleet_tools.run import CommandFailedError, capture

BuilderName = Literal["auto", "docker", "buildah"]
ASK_DEADLINE_SECONDS = 10.0
BUILD_DEADLINE_SECONDS = 900.0


class Builder(Protocol):
    """Turns a staged build context into an image archive."""

    name: str

    def environment(self, image: Image) -> list[str]:
        """What of the builder decides how the image becomes; part of its key."""

    def prepare(self) -> None:
        """Get ready what the builds need and the context does not hold: the base image. Nothing is being built yet."""

    def debian_packages(self, image: Image) -> list[Path]:
        """Packages to put into the context; none where the build itself can reach Debian's archive."""

    def build(self, image: Image, context: Context, archive: Path) -> None:
        """Build, and write the image with its reference to ``archive``, which is not there yet. May run several times at once."""

    def tidy(self) -> None:
        """Remove what the builds left that nobody will use. Nothing is being built any more."""


def image_log(log: Path, image: Image) -> Path:
    """The empty log of one image's build, beside the log of the whole: builds run side by side."""
    path = log.with_name(f"image-{image.name}.log")
    path.unlink(missing_ok=True)
    return path


def docker_runs() -> bool:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    try:
        capture(["docker", "version", "--format", "{{.Server.Version}}"], deadline_seconds=ASK_DEADLINE_SECONDS)
    except CommandFailedError:
        return False
    return True


def choose(name: BuilderName) -> Literal["docker", "buildah"]:
    """Docker where it runs, buildah elsewhere, unless one is named.

    Raises ToolError when Docker is named and does not answer.
    """
    if name == "buildah":
        return "buildah"
    if docker_runs():
        return "docker"
    if name == "docker":
        raise ToolError("no Docker engine answers: start it, or leave --builder away (buildah is used then)")
    return "buildah"
