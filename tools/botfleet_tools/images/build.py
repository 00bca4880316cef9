"""Builds what has changed and says what each image is: the one entry for programs, tests and the command line.

An image that is in the cache under its key is not built again. Two builds at once wait for each other.
"""

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import botfleet_tools
from botfleet_tools.cache import cache_dir, exclusive
from botfleet_tools.errors import ToolError
from botfleet_tools.images import archive as archives
from botfleet_tools.images.buildah import Buildah
from botfleet_tools.images.builder import Builder, BuilderName, choose
from botfleet_tools.images.catalog import Image, chosen
from botfleet_tools.images.context import Context, Ingredients, link, stage
from botfleet_tools.images.docker import Docker
from botfleet_tools.images.keys import SourcesChangedError, hash_sources, image_key
from botfleet_tools.images.target import native
from botfleet_tools.images.wheels import WheelMaker
from botfleet_tools.progress import Progress

LOCK_DEADLINE_SECONDS = 1800.0
AT_ONCE = 2
KEPT_PER_IMAGE = 2  # the image of now and the one before: somebody may be loading that at this moment
THIS_TOOL = "tools/botfleet_tools/images"


@dataclass(frozen=True)
class BuiltImage:
    """An image that is ready to be loaded."""

    name: str
    reference: str
    digest: str  # "sha256:…", the image's id: unchanged as long as nothing that goes into the image changed
    key: str
    archive: Path
    cached: bool  # it was there already


def repository_root() -> Path:
    """The root of the repository that the tools are installed from.

    Raises ToolError when they are installed from elsewhere.
    """
    root = Path(botfleet_tools.__file__).resolve().parents[2]
    if not (root / "Dockerfile.runner").is_file():
        raise ToolError(
            f"{root} has no Dockerfile.runner: install the tools from the repository, `uv pip install -e tools`"
        )
    return root


def build_images(
    *names: str,
    output: Path | None = None,
    builder: BuilderName = "auto",
    root: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, BuiltImage]:
    """Build the images of these names (all of them without one), or take them from the cache when nothing changed.

    With ``output`` each archive is also there as ``<name>.tar``. Raises ToolError, whose message says what failed.
    """
    images = chosen(names)
    work = _Work.start(root or repository_root(), builder, progress or Progress())
    built = {image.name: found for image in images if (found := work.cached(image)) is not None}
    missing = [image for image in images if image.name not in built]
    if missing:
        with exclusive("images", deadline_seconds=LOCK_DEADLINE_SECONDS):
            built |= work.build(missing)
    ordered = {image.name: built[image.name] for image in images}
    return ordered if output is None else {name: _put(image, output) for name, image in ordered.items()}


@dataclass(frozen=True)
class _Work:
    """One run of the tool."""

    root: Path
    builder: Builder
    wheels: WheelMaker
    progress: Progress

    @classmethod
    def start(cls, root: Path, name: BuilderName, progress: Progress) -> "_Work":
        target = native()
        log = cache_dir() / "logs" / "images.log"
        builder: Builder = Docker(log) if choose(name) == "docker" else Buildah(target, log, progress)
        return cls(root, builder, WheelMaker(root, target, log, progress), progress)

    def cached(self, image: Image) -> BuiltImage | None:
        """The image as it was built from the same inputs before."""
        key = self._key(image)
        description = self._folder(image) / key / "image.json"
        try:
            found = json.loads(description.read_text())
        except FileNotFoundError:
            return None
        return BuiltImage(**{**found, "archive": description.with_name("image.tar"), "cached": True})

    def build(self, images: list[Image]) -> dict[str, BuiltImage]:
        """Build what another process has not built in the meantime."""
        built = {image.name: found for image in images if (found := self.cached(image)) is not None}
        left = [image for image in images if image.name not in built]
        if left:
            self._remove_leftovers()
            built |= self._build_all(left)
        return built

    def _build_all(self, left: list[Image]) -> dict[str, BuiltImage]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            # The base image takes as long as all the wheels: they are made side by side, packages after the base.
            ready = pool.submit(self.builder.prepare)
            list(pool.map(self._fetch_wheels, left))
            ready.result()
        for image in left:
            self.builder.debian_packages(image)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            built = list(pool.map(self._build, left))
        self.builder.tidy()
        return {image.name: image for image in built}

    def _fetch_wheels(self, image: Image) -> None:
        if image.requirements is not None:
            with self.progress.step(f"Wheels of {image.name}"):
                self.wheels.dependencies(image)
                self.wheels.packages(image)

    def _build(self, image: Image) -> BuiltImage:
        with self.progress.step(f"Image {image.name}"):
            # What the sources are by now may have been built before.
            return self.cached(image) or self._build_archive(image)

    def _build_archive(self, image: Image) -> BuiltImage:
        key = self._key(image)
        folder = self._folder(image) / key
        unfinished = folder.with_name(f".{key}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        archive = unfinished / "image.tar"
        with tempfile.TemporaryDirectory(prefix=f"context-{image.name}-", dir=cache_dir() / "images") as temporary:
            self.builder.build(image, self._stage(image, Path(temporary)), archive)
        if self._key(image) != key:
            raise SourcesChangedError(f"image {image.name}")
        digest = archives.inspect(archive).digest
        built = BuiltImage(image.name, image.reference, digest, key, folder / "image.tar", cached=False)
        description = {name: value for name, value in asdict(built).items() if name not in {"archive", "cached"}}
        (unfinished / "image.json").write_text(json.dumps(description))
        unfinished.rename(folder)
        self._remove_old(image)
        return built

    def _stage(self, image: Image, folder: Path) -> Context:
        ingredients = Ingredients(
            dependencies=self.wheels.dependencies(image),
            packages=self.wheels.packages(image),
            pip=self.wheels.pip() if image.requirements is not None else None,
            debian=self.builder.debian_packages(image),
        )
        return stage(folder, self.root, image, ingredients)

    def _key(self, image: Image) -> str:
        tool = hash_sources(self.root, [THIS_TOOL])
        return image_key(self.root, image, [str(self.wheels.target), tool, *self.builder.environment(image)])

    def _folder(self, image: Image) -> Path:
        return cache_dir() / "images" / "built" / image.name

    def _remove_leftovers(self) -> None:
        """What a killed run left, and its log."""
        images = cache_dir() / "images"
        for path in (*images.glob("context-*"), *images.glob("built/*/.*.unfinished")):
            shutil.rmtree(path)
        self.wheels.log.unlink(missing_ok=True)

    def _remove_old(self, image: Image) -> None:
        kept = [path for path in self._folder(image).iterdir() if not path.name.startswith(".")]
        kept.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[KEPT_PER_IMAGE:]:
            shutil.rmtree(path)


def _put(image: BuiltImage, output: Path) -> BuiltImage:
    output.mkdir(parents=True, exist_ok=True)
    place = output / f"{image.name}.tar"
    new = output / f".{image.name}.tar.new"
    new.unlink(missing_ok=True)
    link(image.archive, new)
    new.replace(place)
    new.unlink(missing_ok=True)  # renaming one name of a file to another name of it does nothing (rename(2))
    return replace(image, archive=place)
