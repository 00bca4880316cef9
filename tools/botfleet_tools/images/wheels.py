"""Makes the wheels of an image outside of its build, where the package index can be reached: downloaded and checked
by hash, or built from our own sources. Nothing here is installed into the environment that the tools run in.
"""

import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botfleet_tools import debian
from botfleet_tools.cache import cache_dir, exclusive
from botfleet_tools.errors import ToolError
from botfleet_tools.images.catalog import BUILD_REQUIREMENTS, Image
from botfleet_tools.images.keys import SourcesChangedError, digest, hash_sources
from botfleet_tools.images.locks import Wheel, parse_wheel
from botfleet_tools.images.target import Target
from botfleet_tools.progress import Progress
from botfleet_tools.run import run

DOWNLOAD_DEADLINE_SECONDS = 600.0
BUILD_DEADLINE_SECONDS = 180.0
LOCK_DEADLINE_SECONDS = 900.0


class ForeignWheelError(ToolError):
    """A wheel was built for this machine where one for the image was needed."""


@dataclass(frozen=True)
class WheelMaker:
    """Makes wheels for one repository and one target; what it made before it takes from the cache."""

    root: Path
    target: Target
    log: Path
    progress: Progress

    def dependencies(self, image: Image) -> list[Path]:
        """The wheels of the image's requirements file."""
        return sorted(self._third_party(image.requirements).glob("*.whl")) if image.requirements is not None else []

    def packages(self, image: Image) -> list[Path]:
        """The wheels of our own packages in the image."""
        return [self._own(package) for package in image.packages]

    def pip(self) -> Path:
        """The pinned pip as a wheel: the builder stage runs it out of the file, so that none is ever installed."""
        folder = self._build_environment() / "wheels"
        return next(folder.glob("pip-*.whl"))

    def _build_environment(self) -> Path:
        """A virtual environment with the pinned build tools."""
        key = digest([sys.version, sys.prefix, hash_sources(self.root, [BUILD_REQUIREMENTS])])
        requirements = self.root / BUILD_REQUIREMENTS

        def make(folder: Path) -> None:
            self.progress.fetched.append(f"wheels of {BUILD_REQUIREMENTS}")
            _ensure_venv_module(self.progress)
            # Without symbolic links to a temporary name: the folder is renamed, and only `python -m` is used of it.
            self._run([sys.executable, "-m", "venv", folder], BUILD_DEADLINE_SECONDS)
            python = folder / "bin" / "python"
            pip = _pip(python)
            pinned: list[str | Path] = ["--require-hashes", "--requirement", requirements]
            download = [*pip, "download", "--quiet", "--no-deps", "--dest", folder / "wheels", *pinned]
            self._run(download, DOWNLOAD_DEADLINE_SECONDS)
            install = [
                *pip,
                "install",
                "--quiet",
                "--no-deps",
                "--no-index",
                "--find-links",
                folder / "wheels",
                *pinned,
            ]
            self._run(install, BUILD_DEADLINE_SECONDS)

        return _made_once(cache_dir() / "wheels" / f"tools-{key}", make)

    def _third_party(self, requirements: str) -> Path:
        """A folder with the wheels of a requirements file, each checked against its hash."""
        key = digest([str(self.target), hash_sources(self.root, [requirements, BUILD_REQUIREMENTS])])
        python = self._build_environment() / "bin" / "python"

        def make(folder: Path) -> None:
            self.progress.fetched.append(f"wheels of {requirements}")
            download: list[str | Path] = [*_pip(python), "download", "--quiet", "--no-deps"]
            for platform in self.target.platforms:
                download += ["--platform", platform]
            download += ["--python-version", self.target.python_version, "--implementation", "cp"]
            download += ["--abi", self.target.abi, "--no-build-isolation", "--dest", folder]
            download += ["--require-hashes", "--requirement", self.root / requirements]
            self._run(download, DOWNLOAD_DEADLINE_SECONDS)
            for archive in sorted(path for path in folder.iterdir() if path.suffix != ".whl"):
                self._build_source_archive(python, archive, folder)

        return _made_once(cache_dir() / "wheels" / f"{Path(requirements).stem}-{key}", make)

    def _build_source_archive(self, python: Path, archive: Path, folder: Path) -> None:
        """Some packages are published as source only; pure Python ones are built here, with nothing downloaded."""
        with tempfile.TemporaryDirectory(prefix="botfleet-wheel-") as temporary:
            build = [*_pip(python), "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
            build += ["--wheel-dir", temporary, archive]
            self._run(build, BUILD_DEADLINE_SECONDS)
            (made,) = Path(temporary).iterdir()
            if not describe(made).is_pure:
                raise ForeignWheelError(
                    f"{archive.name} has no wheel for {self.target} and holds compiled code: pin a version that has one"
                )
            shutil.move(made, folder / made.name)
        archive.unlink()

    def _own(self, package: str) -> Path:
        """The wheel of one of our packages, built when its sources changed."""
        key = self._key_of(package)
        python = self._build_environment() / "bin" / "python"

        def make(folder: Path) -> None:
            build: list[str | Path] = [python, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
            self._run(build, BUILD_DEADLINE_SECONDS, cwd=self.root / package)
            if self._key_of(package) != key:
                raise SourcesChangedError(package)

        (wheel,) = _made_once(cache_dir() / "wheels" / "own" / f"{Path(package).name}-{key}", make).glob("*.whl")
        return wheel

    def _key_of(self, package: str) -> str:
        return digest([hash_sources(self.root, [package, BUILD_REQUIREMENTS])])

    def _run(self, argv: list[str | Path], deadline_seconds: float, *, cwd: Path | None = None) -> None:
        run(argv, log=self.log, deadline_seconds=deadline_seconds, cwd=cwd)


def describe(path: Path) -> Wheel:
    """A wheel's name and hash."""
    return parse_wheel(path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def _pip(python: Path) -> list[str | Path]:
    return [python, "-m", "pip", "--disable-pip-version-check"]


def _made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Fill a folder under a temporary name and rename it: it is either whole or not there."""
    if folder.is_dir():
        return folder
    with exclusive(f"wheels-{folder.name}", deadline_seconds=LOCK_DEADLINE_SECONDS):
        if not folder.is_dir():
            unfinished = folder.with_name(f".{folder.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def _ensure_venv_module(progress: Progress) -> None:
    """Debian's Python comes without ensurepip, which ``python -m venv`` needs."""
    if importlib.util.find_spec("ensurepip") is None:
        debian.ensure(["python3-venv"], progress)
