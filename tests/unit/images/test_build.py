"""What is built and what is taken from the cache, with a builder that only writes archives."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from botfleet_tools import cache
from botfleet_tools.errors import ToolError
from botfleet_tools.images import build
from botfleet_tools.images.build import build_images
from botfleet_tools.images.catalog import CATALOG, Image
from botfleet_tools.images.context import Context
from botfleet_tools.progress import Progress


class FakeBuilder:
    """Remembers what it was asked for; an archive's digest is the image's name and how often anything was built."""

    name = "fake"

    def __init__(self, _log: Path) -> None:
        self.calls: list[str] = []
        self.fails = False
        self.meanwhile: Callable[[], None] = lambda: None

    def environment(self, _image: Image) -> list[str]:
        return [self.name]

    def prepare(self) -> None:
        self.calls.append("prepare")

    def debian_packages(self, _image: Image) -> list[Path]:
        return []

    def tidy(self) -> None:
        self.calls.append("tidy")

    def build(self, image: Image, context: Context, archive: Path) -> None:
        if self.fails:
            raise ToolError("the build failed")
        assert (context.folder / image.dockerfile).is_file()
        self.calls.append(image.name)
        self.meanwhile()
        config = f"{image.name}{len(self.calls)}.json"
        manifest = [{"Config": config, "RepoTags": [image.reference], "Layers": []}]
        with tarfile.open(archive, "w") as tar:
            for name, content in (("manifest.json", json.dumps(manifest)), (config, "{}")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content.encode()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for name in ("redis", "postgres"):
        for file in (CATALOG[name].dockerfile, *CATALOG[name].files, f"{build.THIS_TOOL}/tool.py"):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(file)
    return root


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBuilder:
    fake = FakeBuilder(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "choose", lambda _: "docker")
    monkeypatch.setattr(build, "Docker", lambda _: fake)
    return fake


def made(root: Path, *names: str, output: Path | None = None) -> dict[str, build.BuiltImage]:
    return build_images(*names, root=root, output=output, progress=Progress())


def test_the_second_build_starts_nothing(root: Path, builder: FakeBuilder) -> None:
    first = made(root, "redis", "postgres")
    assert list(first) == ["postgres", "redis"]
    assert (builder.calls[0], sorted(builder.calls[1:3]), builder.calls[3]) == (
        "prepare",
        ["postgres", "redis"],
        "tidy",
    )

    second = made(root, "redis", "postgres")

    assert len(builder.calls) == 4
    assert all(image.cached for image in second.values())
    assert [image.digest for image in second.values()] == [image.digest for image in first.values()]
    assert second["redis"].archive.is_file()


def test_only_what_changed_is_built(root: Path, builder: FakeBuilder) -> None:
    made(root, "redis", "postgres")
    (root / "images/redis-entrypoint.sh").write_text("edited")
    again = made(root, "redis", "postgres")
    assert builder.calls[4:] == ["prepare", "redis", "tidy"]
    assert (again["redis"].cached, again["postgres"].cached) == (False, True)


def test_going_back_to_the_sources_before_builds_nothing(root: Path, builder: FakeBuilder) -> None:
    before = made(root, "redis")["redis"]
    (root / "images/redis-entrypoint.sh").write_text("edited")
    made(root, "redis")
    (root / "images/redis-entrypoint.sh").write_text("images/redis-entrypoint.sh")
    assert made(root, "redis")["redis"].digest == before.digest
    assert builder.calls.count("redis") == 2


def test_the_cache_keeps_two_of_an_image(root: Path, builder: FakeBuilder) -> None:
    for text in ("one", "two", "three"):
        (root / "images/redis-entrypoint.sh").write_text(text)
        last = made(root, "redis")["redis"]
    assert len(list(last.archive.parent.parent.iterdir())) == 2
    assert last.archive.is_file()


def test_a_failed_build_leaves_nothing_that_counts_as_built(root: Path, builder: FakeBuilder) -> None:
    builder.fails = True
    with pytest.raises(ToolError, match="the build failed"):
        made(root, "redis")
    assert list((cache.cache_dir() / "images").glob("context-*")) == []
    builder.fails = False
    assert not made(root, "redis")["redis"].cached


def test_an_edit_during_a_build_is_not_kept_under_the_key_of_what_was_there_before(
    root: Path, builder: FakeBuilder
) -> None:
    file = root / "images/redis-entrypoint.sh"

    def edit() -> None:
        file.write_text("edited")

    builder.meanwhile = edit
    with pytest.raises(ToolError, match="run it again"):
        made(root, "redis")
    builder.meanwhile = lambda: None
    file.write_text("images/redis-entrypoint.sh")
    assert not made(root, "redis")["redis"].cached


def test_archives_are_put_where_they_are_asked_for(root: Path, builder: FakeBuilder, tmp_path: Path) -> None:
    for _ in range(2):
        image = made(root, "redis", output=tmp_path / "out")["redis"]
        assert image.archive == tmp_path / "out/redis.tar"
        assert image.archive.is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["redis.tar"]
