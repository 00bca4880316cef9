"""Reads image archives (`docker save`, `buildah push docker-archive:`): what an image is, and what is in it.

It only reads archives; `unpack` writes below the folder that it is given and nowhere else.
"""

import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from botfleet_tools.errors import ToolError

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


class ArchiveError(ToolError):
    """A file is no image archive, or holds more than one image."""


@dataclass(frozen=True)
class ArchivedImage:
    """One image in an archive. The digest is its configuration's, which a container engine calls the image's id."""

    digest: str
    references: tuple[str, ...]
    config: dict[str, Any]
    layers: tuple[str, ...]

    @property
    def user(self) -> str:
        """Whom its containers run as, ``uid:gid``."""
        return str(self.settings.get("User", ""))

    @property
    def entrypoint(self) -> list[str]:
        """The program that its containers start."""
        return list(self.settings.get("Entrypoint") or [])

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its containers start with."""
        pairs = (entry.partition("=") for entry in self.settings.get("Env") or [])
        return {name: value for name, _, value in pairs}

    @property
    def settings(self) -> dict[str, Any]:
        """What the Dockerfile's instructions set (OCI image configuration, ``config``)."""
        return dict(self.config.get("config") or {})


def inspect(archive: Path) -> ArchivedImage:
    """The image in an archive. Raises ArchiveError when there is not exactly one."""
    with tarfile.open(archive) as outer:
        manifest = json.loads(_member(outer, "manifest.json").read())
        if not isinstance(manifest, list) or len(manifest) != 1:
            raise ArchiveError(f"{archive} does not hold exactly one image")
        entry = manifest[0]
        # "<hex>.json" as buildah and older Dockers write it, "blobs/sha256/<hex>" as newer Dockers do.
        name = str(entry["Config"])
        return ArchivedImage(
            digest="sha256:" + PurePosixPath(name).name.removesuffix(".json"),
            references=tuple(entry.get("RepoTags") or ()),
            config=json.loads(_member(outer, name).read()),
            layers=tuple(entry["Layers"]),
        )


def unpack(archive: Path, folder: Path) -> ArchivedImage:
    """Put an image's layers over each other in a folder, as a container engine would; device files are left out."""
    image = inspect(archive)
    with tarfile.open(archive) as outer:
        for layer in image.layers:
            with tarfile.open(fileobj=_member(outer, layer)) as tar:
                _unpack_layer(tar, folder)
    return image


def _unpack_layer(tar: tarfile.TarFile, folder: Path) -> None:
    members = tar.getmembers()
    for path in (PurePosixPath(member.name) for member in members):
        # A whiteout removes what lower layers brought, never what its own layer brings: hence before everything else.
        if path.name == OPAQUE:
            _remove_contents(_held_below(folder, path.parent))
        elif path.name.startswith(WHITEOUT):
            _remove(_held_below(folder, path.parent) / path.name.removeprefix(WHITEOUT))
    for member in members:
        path = PurePosixPath(member.name)
        if path.name.startswith(WHITEOUT) or member.isdev() or path == PurePosixPath("."):
            continue
        _make_room(_held_below(folder, path.parent) / path.name, member)
        # Absolute links are what an image is full of, and the "data" filter refuses them; names are held above.
        tar.extract(member, folder, numeric_owner=True, filter="fully_trusted")


def _held_below(folder: Path, parent: PurePosixPath) -> Path:
    """Where a layer's path leads, links followed. Raises ArchiveError when that is outside of the folder."""
    place = (folder / parent).resolve()
    if parent.is_absolute() or not place.is_relative_to(folder.resolve()):
        raise ArchiveError(f"a layer holds a path below {parent}, which leads out of the image")
    return place


def _make_room(path: Path, member: tarfile.TarInfo) -> None:
    """A later layer replaces what is there, unless both are folders."""
    if path.is_symlink() or path.is_file() or (path.is_dir() and not member.isdir()):
        _remove(path)


def _remove_contents(folder: Path) -> None:
    if folder.is_dir():
        for child in folder.iterdir():
            _remove(child)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        file = tar.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise ArchiveError(f"{tar.name!r} is no image archive: it has no {name}")
    return file
