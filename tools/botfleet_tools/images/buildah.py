"""Builds images where no Docker runs: with buildah, on a base image made by debootstrap, as root.

Each buildah runs in a mount and a network namespace of its own: no build step can reach a network, and no mount of its
is left however it ends.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from botfleet_tools import debian
from botfleet_tools.cache import cache_dir
from botfleet_tools.errors import ToolError
from botfleet_tools.images.builder import BUILD_DEADLINE_SECONDS, image_log
from botfleet_tools.images.catalog import Image
from botfleet_tools.images.context import Context, build_arguments
from botfleet_tools.images.debian_base import DebianBase, base_key
from botfleet_tools.images.target import Target
from botfleet_tools.prerequisites import root_remedy
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError, capture, run

PACKAGE = "buildah"
ISOLATED = ("unshare", "--mount", "--net", "--propagation", "private")
ASK_DEADLINE_SECONDS = 60.0
BASE_DOCKERFILE = "FROM scratch\nADD rootfs.tar /\n"
DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass
class Buildah:
    """A builder with a storage of its own in the cache."""

    target: Target
    log: Path
    progress: Progress
    name: str = "buildah"
    _driver: str | None = field(default=None, init=False)

    @property
    def _architecture(self) -> str:
        return DEBIAN_ARCHITECTURES.get(self.target.architecture, self.target.architecture)

    @property
    def _base(self) -> DebianBase:
        return DebianBase(self._architecture, self.log, self.progress)

    @property
    def base_reference(self) -> str:
        """The name of the base image in the storage."""
        return f"localhost/botfleet/base:{base_key(self._architecture)}"

    def environment(self, image: Image) -> list[str]:
        """See Builder."""
        return [self.name, self.base_reference]

    def prepare(self) -> None:
        """See Builder. Raises ToolError when this process is not root."""
        if os.geteuid() != 0:
            raise ToolError(f"images are built with buildah as root here; run: {root_remedy()}")
        debian.ensure([PACKAGE], self.progress)
        # A build that failed or was killed left its container behind, which would hold on to its layers.
        self._buildah("rm", "--all")
        if not self._has(self.base_reference):
            self._make_base()

    def tidy(self) -> None:
        """See Builder. What a reference named before has no name any more, and nobody would ever remove it."""
        self._buildah("rmi", "--prune")

    def debian_packages(self, image: Image) -> list[Path]:
        """See Builder."""
        return self._base.packages(image.debian) if image.debian else []

    def build(self, image: Image, context: Context, archive: Path) -> None:
        """See Builder."""
        dockerfile = context.folder / image.dockerfile
        known = {**context.arguments, "BASE_IMAGE": self.base_reference}
        arguments = build_arguments(dockerfile.read_text(), known)
        log = image_log(self.log, image)
        self._bud(log, context.folder, dockerfile, image.reference, *arguments)
        self._buildah("push", "--quiet", image.reference, f"docker-archive:{archive}:{image.reference}", log=log)

    def _make_base(self) -> None:
        archive = self._base.root_filesystem()
        with self.progress.step("Base image"), tempfile.TemporaryDirectory(prefix="botfleet-base-") as temporary:
            dockerfile = Path(temporary) / "Dockerfile"
            dockerfile.write_text(BASE_DOCKERFILE)
            self._bud(self.log, archive.parent, dockerfile, self.base_reference)

    def _bud(self, log: Path, context: Path, dockerfile: Path, reference: str, *arguments: str) -> None:
        # A fixed timestamp: equal contents make an equal image.
        options = ["--layers", "--isolation", "chroot", "--pull-never", "--http-proxy=false", "--timestamp", "0"]
        self._buildah("bud", *options, *arguments, "--file", str(dockerfile), "--tag", reference, str(context), log=log)

    def _has(self, reference: str) -> bool:
        try:
            capture(self._command("inspect", "--type", "image", reference), deadline_seconds=ASK_DEADLINE_SECONDS)
        except CommandFailedError:
            return False
        return True

    def _buildah(self, *arguments: str, log: Path | None = None) -> None:
        run(self._command(*arguments), log=log or self.log, deadline_seconds=BUILD_DEADLINE_SECONDS)

    def _command(self, *arguments: str) -> list[str]:
        storage = cache_dir() / "images" / f"storage-{self._storage_driver()}"
        storage.mkdir(parents=True, exist_ok=True)
        places = ["--root", f"{storage}/root", "--runroot", f"{storage}/run"]
        return [*ISOLATED, "buildah", *places, "--storage-driver", self._storage_driver(), *arguments]

    def _storage_driver(self) -> str:
        """overlay where the cache's file system can carry one, otherwise vfs, which copies."""
        if self._driver is None:
            self._driver = "overlay" if overlay_works(cache_dir()) else "vfs"
        return self._driver


def overlay_works(folder: Path) -> bool:
    """Whether an overlay can be mounted on the file system of ``folder`` (not inside most containers, say)."""
    with tempfile.TemporaryDirectory(prefix="overlay-", dir=folder) as temporary:
        for name in ("lower", "upper", "work", "merged"):
            (Path(temporary) / name).mkdir()
        options = f"lowerdir={temporary}/lower,upperdir={temporary}/upper,workdir={temporary}/work"
        mount = [*ISOLATED, "mount", "-t", "overlay", "overlay", "-o", options, f"{temporary}/merged"]
        try:
            capture(mount, deadline_seconds=ASK_DEADLINE_SECONDS)
        except CommandFailedError:
            return False
        return True
