"""What an image needs from outside is fetched once, and told as the reason why a first time lasts."""

import importlib.util
from pathlib import Path

import pytest

from botfleet_tools.images import debian_base
from botfleet_tools.images.catalog import BUILD_REQUIREMENTS, CATALOG
from botfleet_tools.images.debian_base import DebianBase
from botfleet_tools.images.target import SUITE, native
from botfleet_tools.images.wheels import WheelMaker
from botfleet_tools.progress import Progress

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_wheels_of_a_requirements_file_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WheelMaker, "_run", lambda *_, **__: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    first, second = Progress(), Progress()
    for progress in (first, second):
        WheelMaker(ROOT, native(), tmp_path / "log", progress).dependencies(CATALOG["runner"])
    assert first.fetched == [f"wheels of {BUILD_REQUIREMENTS}", "wheels of requirements/runner.txt"]
    assert second.fetched == []


def test_the_base_of_the_images_and_its_packages_are_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_tar(argv: list[str | Path], **_: object) -> None:
        Path(argv[argv.index("--file") + 1]).touch()

    def fake_debootstrap(_: DebianBase, tree: Path, *__: object) -> None:
        (tree / "var/cache/apt/archives").mkdir(parents=True)

    monkeypatch.setattr(debian_base, "run", fake_tar)
    monkeypatch.setattr(DebianBase, "_debootstrap", fake_debootstrap)
    first, second = Progress(), Progress()
    for progress in (first, second):
        DebianBase("amd64", tmp_path / "log", progress).packages(["postgresql-15"])
    assert first.fetched == [
        f"Debian {SUITE} for the images",
        "Debian packages postgresql-15 for the images",
    ]
    assert second.fetched == []
