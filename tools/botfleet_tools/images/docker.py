"""Builds images where a Docker engine runs, on the official base images that the Dockerfiles name.

The same Dockerfiles and the same staged context as with buildah; only Debian packages come from inside the build.
"""

from dataclasses import dataclass
from pathlib import Path

from botfleet_tools.images.builder import BUILD_DEADLINE_SECONDS, image_log
from botfleet_tools.images.catalog import Image
from botfleet_tools.images.context import Context, build_arguments
from botfleet_tools.run import run

# BuildKit for bind mounts; no attestations, which would make the archive one of several manifests.
ENVIRONMENT = {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def build_command(image: Image, context: Context) -> list[str]:
    """The command that builds the image. Only one that installs Debian packages may reach a network."""
    network = "default" if image.debian else "none"
    dockerfile = context.folder / image.dockerfile
    options = ["--network", network, "--file", str(dockerfile), "--tag", image.reference]
    arguments = build_arguments(dockerfile.read_text(), context.arguments)
    return ["docker", "build", *options, *arguments, str(context.folder)]


@dataclass
class Docker:
    """A builder that asks the Docker engine."""

    log: Path
    name: str = "docker"

    def environment(self, image: Image) -> list[str]:
        """See Builder."""
        return [self.name]

    def prepare(self) -> None:
        """See Builder. Docker pulls the base image itself."""

    def debian_packages(self, image: Image) -> list[Path]:
        """See Builder. They are installed by apt within the build."""
        return []

    def build(self, image: Image, context: Context, archive: Path) -> None:
        """See Builder."""
        log = image_log(self.log, image)
        build = build_command(image, context)
        run(build, log=log, deadline_seconds=BUILD_DEADLINE_SECONDS, env=ENVIRONMENT)
        save = ["docker", "save", "--output", str(archive), image.reference]
        run(save, log=log, deadline_seconds=BUILD_DEADLINE_SECONDS)

    def tidy(self) -> None:
        """See Builder. Docker's own garbage collection looks after its cache."""
