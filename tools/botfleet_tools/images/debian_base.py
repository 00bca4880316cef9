"""Makes the base image's root file system, and fetches Debian packages for other images, with debootstrap.

For machines without Docker. It never uses this machine's root file system, and leaves no mount and no mirror's address.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from botfleet_tools import debian
from botfleet_tools.cache import cache_dir, exclusive
from botfleet_tools.images.keys import digest
from botfleet_tools.images.mirror import find_mirror
from botfleet_tools.images.target import SUITE
from botfleet_tools.progress import Progress
from botfleet_tools.run import run

TOOLS = ("debootstrap", "debian-archive-keyring")
BASE_PACKAGES = ("python3", "ca-certificates")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEADLINE_SECONDS = 900.0
# What a container never reads. Copyright files stay: the licences ask for it.
DISPENSABLE = ("usr/share/man", "usr/share/info", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
# Says where packages came from, on this machine; an image has no need of it.
TRACES = ("etc/apt/sources.list", "etc/apt/sources.list.d", "etc/hostname", "etc/resolv.conf", "etc/machine-id")
RECIPE_VERSION = "1"


def base_key(architecture: str) -> str:
    """Changes when the base image's root file system would."""
    return digest([RECIPE_VERSION, SUITE, architecture, *BASE_PACKAGES])


@dataclass(frozen=True)
class DebianBase:
    """Root file system and packages of one suite, kept in the cache."""

    architecture: str
    log: Path
    progress: Progress

    @property
    def folder(self) -> Path:
        """Where the cache keeps what this makes."""
        return cache_dir() / "debian" / f"{SUITE}-{self.architecture}-{base_key(self.architecture)}"

    def root_filesystem(self) -> Path:
        """A tar archive of a small Debian with Python."""
        archive = self.folder / "rootfs.tar"
        if archive.exists():
            return archive
        with exclusive("debian-base", deadline_seconds=DEADLINE_SECONDS):
            if not archive.exists():
                self._make(archive)
        return archive

    def packages(self, names: Iterable[str]) -> list[Path]:
        """The files of these packages and of all that they need beyond the base."""
        wanted = tuple(names)
        folder = self.folder / "packages" / "_".join(wanted)
        if not folder.is_dir():
            self.root_filesystem()  # under the same lock, so before it is taken: its list of packages is needed
            with exclusive("debian-base", deadline_seconds=DEADLINE_SECONDS):
                if not folder.is_dir():
                    self._download(wanted, folder)
        return sorted(folder.glob("*.deb"))

    def _make(self, archive: Path) -> None:
        tree = _emptied(self.folder / "tree")
        self.progress.fetched.append(f"Debian {SUITE} for the images")
        with self.progress.step("Base image's root file system (debootstrap)"):
            self._debootstrap(tree, BASE_PACKAGES)
            self._remember_packages(tree)
            for relative in (*DISPENSABLE, *TRACES):
                _emptied_or_gone(tree / relative)
            _keep_copyrights_only(tree / "usr/share/doc")
            partial = archive.with_suffix(".partial")
            run(
                ["tar", "--directory", tree, "--sort=name", "--numeric-owner", "--create", "--file", partial, "."],
                log=self.log,
                deadline_seconds=DEADLINE_SECONDS,
            )
            partial.rename(archive)
            shutil.rmtree(tree)

    def _download(self, names: tuple[str, ...], folder: Path) -> None:
        base = set((self.folder / "base-packages").read_text().split())
        tree = _emptied(self.folder / "tree")
        self.progress.fetched.append(f"Debian packages {' '.join(names)} for the images")
        with self.progress.step(f"Debian packages of {', '.join(names)}"):
            self._debootstrap(tree, (*BASE_PACKAGES, *names), "--download-only")
            unfinished = _emptied(folder.with_name(f".{folder.name}.unfinished"))
            for file in (tree / "var/cache/apt/archives").glob("*.deb"):
                if file.name not in base:
                    shutil.move(file, unfinished / file.name)
            unfinished.rename(folder)
            shutil.rmtree(tree)

    def _debootstrap(self, tree: Path, packages: tuple[str, ...], *options: str) -> None:
        debian.ensure(TOOLS, self.progress)
        downloads = self.folder / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", f"--cache-dir={downloads}"]
        command += [f"--keyring={KEYRING}", *options, SUITE, str(tree), find_mirror(SUITE)]
        # In a mount namespace of its own: what debootstrap mounts is gone when it ends, however it ends.
        run(["unshare", "--mount", *command], log=self.log, deadline_seconds=DEADLINE_SECONDS)

    def _remember_packages(self, tree: Path) -> None:
        names = sorted(file.name for file in (tree / "var/cache/apt/archives").glob("*.deb"))
        (self.folder / "base-packages").write_text("\n".join(names) + "\n")


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _emptied_or_gone(path: Path) -> None:
    """Folders stay, as packages expect them to be there; files go."""
    if path.is_dir():
        _emptied(path)
    else:
        path.unlink(missing_ok=True)


def _keep_copyrights_only(documentation: Path) -> None:
    for path in sorted(documentation.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.name != "copyright" and not path.is_symlink():
            path.unlink()
