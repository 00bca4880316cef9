"""When an image is built again: its key changes with what goes into it, and with nothing else."""

import os
from pathlib import Path

import pytest

from botfleet_tools.images.catalog import BUILD_REQUIREMENTS, CATALOG, Image, UnknownImageError, chosen
from botfleet_tools.images.keys import SourceMissingError, digest, hash_sources, image_key

IMAGE = Image(
    "one", "localhost/one:dev", "Dockerfile.one", requirements="one.txt", packages=("core",), files=("files",)
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "Dockerfile.one": "FROM scratch\n",
        "one.txt": "a==1 --hash=sha256:00\n",
        BUILD_REQUIREMENTS: "pip==1 --hash=sha256:00\n",
        "core/pyproject.toml": "[project]\n",
        "core/pkg/__init__.py": "",
        "files/run.sh": "#!/bin/sh\n",
        "unrelated.txt": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "changed", ["Dockerfile.one", "one.txt", BUILD_REQUIREMENTS, "core/pkg/__init__.py", "files/run.sh"]
)
def test_the_key_changes_with_every_input(root: Path, changed: str) -> None:
    before = image_key(root, IMAGE, ["base"])
    (root / changed).write_text("changed")
    assert image_key(root, IMAGE, ["base"]) != before


def test_the_key_changes_with_new_renamed_and_executable_files_and_with_the_environment(root: Path) -> None:
    keys = {image_key(root, IMAGE, ["base"]), image_key(root, IMAGE, ["another base"])}
    (root / "core/pkg/new.py").write_text("")
    keys.add(image_key(root, IMAGE, ["base"]))
    (root / "core/pkg/new.py").rename(root / "core/pkg/newer.py")
    keys.add(image_key(root, IMAGE, ["base"]))
    (root / "files/run.sh").chmod(0o755)
    keys.add(image_key(root, IMAGE, ["base"]))
    assert len(keys) == 5


def test_the_key_stays_when_only_times_places_caches_or_foreign_files_change(root: Path, tmp_path: Path) -> None:
    before = image_key(root, IMAGE, ["base"])
    (root / "unrelated.txt").write_text("changed")
    (root / "core/pkg/__pycache__").mkdir()
    (root / "core/pkg/__pycache__/x.pyc").write_bytes(b"")
    (root / "core/pkg.egg-info").mkdir()
    (root / "core/pkg.egg-info/PKG-INFO").write_text("")
    os.utime(root / "one.txt", (1, 1))
    assert image_key(root, IMAGE, ["base"]) == before
    elsewhere = tmp_path.with_name(tmp_path.name + "-elsewhere")
    root.rename(elsewhere)
    assert image_key(elsewhere, IMAGE, ["base"]) == before
    elsewhere.rename(root)


def test_a_missing_source_is_named(root: Path) -> None:
    with pytest.raises(SourceMissingError, match="migrations is not there"):
        hash_sources(root, ["migrations"])


def test_the_borders_of_texts_count() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_images_are_chosen_by_name_in_the_tables_order() -> None:
    assert [image.name for image in chosen(("redis", "runner"))] == ["runner", "redis"]
    assert [image.name for image in chosen(())] == list(CATALOG)
    with pytest.raises(UnknownImageError, match="no image is called api; there are runner, operator"):
        chosen(("api", "runner"))


def test_what_the_catalog_names_is_in_the_repository() -> None:
    root = Path(__file__).parents[3]
    for image in CATALOG.values():
        for name in (
            image.dockerfile,
            *image.packages,
            *image.files,
            *([image.requirements] if image.requirements else []),
        ):
            assert (root / name).exists(), name
