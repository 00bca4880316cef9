"""Decides whether an image must be built again: a key over everything that goes into it.

Keys are made from contents, never from times or from this machine's paths, so that a fresh clone gets the same ones.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from botfleet_tools.errors import ToolError
from botfleet_tools.images.catalog import BUILD_REQUIREMENTS, Image

SKIPPED_FOLDERS = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
SKIPPED_SUFFIXES = (".pyc", ".egg-info")
KEY_LENGTH = 20


class SourceMissingError(ToolError):
    """Something that an image is made of is not in the repository."""


def digest(parts: Iterable[str]) -> str:
    """A short key over some texts; their borders count, so that ("ab", "c") is not ("a", "bc")."""
    result = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        result.update(f"{len(encoded)}:".encode())
        result.update(encoded)
    return result.hexdigest()[:KEY_LENGTH]


def source_files(root: Path, relative: str) -> list[Path]:
    """The files of a folder that count as source, or the file itself, sorted.

    Raises SourceMissingError when there is none of that name.
    """
    start = root / relative
    if start.is_file():
        return [start]
    if not start.is_dir():
        raise SourceMissingError(f"{relative} is not there; is {root} the root of the project's repository?")
    return sorted(_walk(start))


class SourcesChangedError(ToolError):
    """Somebody edits while it builds: what was built must not be kept under the key of what was there before."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the sources of {what} have changed while it was built; run it again")


def hash_sources(root: Path, paths: Iterable[str]) -> str:
    """A key over the names, contents and execute bits of files and folders below ``root``."""
    parts: list[str] = []
    for relative in paths:
        for file in source_files(root, relative):
            executable = "x" if file.stat().st_mode & 0o111 else "-"
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            parts.extend((file.relative_to(root).as_posix(), executable, content))
    return digest(parts)


def image_key(root: Path, image: Image, environment: Iterable[str]) -> str:
    """The key of an image: equal keys mean an equal image.

    ``environment`` is what else decides: the builder, its base, the target platform, the tool itself.
    """
    inputs = [image.dockerfile, *image.packages, *image.files]
    if image.requirements is not None:
        inputs += [image.requirements, BUILD_REQUIREMENTS]
    return digest([image.name, image.reference, hash_sources(root, inputs), *image.debian, *environment])


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name in SKIPPED_FOLDERS or entry.name.endswith(SKIPPED_SUFFIXES):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry
