"""Stages what an image's build may read: its Dockerfile, its files, its wheels with their hashes, and nothing else.

The working tree is never handed to a builder: what is not staged cannot end up in an image.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from botfleet_tools.images.catalog import Image
from botfleet_tools.images.keys import digest, hash_sources, source_files
from botfleet_tools.images.locks import lock
from botfleet_tools.images.wheels import describe


@dataclass(frozen=True)
class Ingredients:
    """Files from the cache that go into an image."""

    dependencies: list[Path] = field(default_factory=list)  # wheels of others
    packages: list[Path] = field(default_factory=list)  # wheels of ours
    pip: Path | None = None
    debian: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """A folder that is staged for a build, and the build arguments that go with it."""

    folder: Path
    arguments: dict[str, str]


def stage(folder: Path, root: Path, image: Image, ingredients: Ingredients) -> Context:
    """Fill ``folder``: sources at their own paths, ``dependencies/`` and ``packages/`` (wheels and their hashes),
    ``pip.whl`` and ``debs/``.
    """
    for relative in (image.dockerfile, *image.files):
        for file in source_files(root, relative):
            place = folder / file.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
    locks = {"dependencies": _lock(ingredients.dependencies), "packages": _lock(ingredients.packages)}
    if image.requirements is not None:
        for name, text in locks.items():
            (folder / name).mkdir()
            (folder / name / "requirements.txt").write_text(text)
    if ingredients.pip is not None:
        link(ingredients.pip, folder / "pip.whl")
    for name, files in (
        ("dependencies", ingredients.dependencies),
        ("packages", ingredients.packages),
        ("debs", ingredients.debian),
    ):
        for file in files:
            link(file, folder / name / file.name)
    recipes = [name for name in image.files if name.endswith(".sh")]
    debian = sorted(file.name for file in ingredients.debian)
    return Context(
        folder,
        {
            "DEPENDENCIES_KEY": digest([locks["dependencies"], *debian, hash_sources(root, recipes)]),
            "PACKAGES_KEY": digest([locks["packages"]]),
        },
    )


def build_arguments(dockerfile: str, arguments: dict[str, str]) -> list[str]:
    """The ``--build-arg`` options for those arguments that the Dockerfile declares; builders warn of others."""
    declared = {
        line.split("=")[0].removeprefix("ARG ").strip() for line in dockerfile.splitlines() if line[:4] == "ARG "
    }
    options: list[str] = []
    for name, value in arguments.items():
        if name in declared:
            options += ["--build-arg", f"{name}={value}"]
    return options


def link(source: Path, place: Path) -> None:
    """A second name for a file; a copy where file systems differ."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def _lock(wheels: list[Path]) -> str:
    return lock([describe(wheel) for wheel in wheels])
