"""Image archives: what they say, and how their layers come to lie over each other."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from botfleet_tools.images.archive import ArchiveError, inspect, unpack

Entry = tuple[str, bytes | str]  # a name, and a file's content or a link's target


def layer(*entries: Entry) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
                info.mode = 0o755
                tar.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive(path: Path, *layers: bytes, config_name: str = "abc.json", images: int = 1) -> Path:
    settings = {"User": "65532:65532", "Entrypoint": ["botrunner"], "Env": ["HOME=/tmp", "EMPTY="]}
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    entry = {"Config": config_name, "RepoTags": ["localhost/botfleet/runner:dev"], "Layers": names}
    members = {
        "manifest.json": json.dumps([entry] * images).encode(),
        config_name: json.dumps({"config": settings}).encode(),
        **dict(zip(names, layers, strict=True)),
    }
    path.write_bytes(layer(*members.items()))
    return path


@pytest.mark.parametrize("config_name", ["abc.json", "blobs/sha256/abc"])
def test_an_archive_says_what_the_image_is(tmp_path: Path, config_name: str) -> None:
    image = inspect(archive(tmp_path / "image.tar", layer(), config_name=config_name))
    assert image.digest == "sha256:abc"
    assert image.references == ("localhost/botfleet/runner:dev",)
    assert (image.user, image.entrypoint) == ("65532:65532", ["botrunner"])
    assert image.environment == {"HOME": "/tmp", "EMPTY": ""}


def test_later_layers_replace_and_remove_what_earlier_ones_brought(tmp_path: Path) -> None:
    first = layer(
        ("a", b"old"), ("gone", b"1"), ("folder/", b""), ("folder/x", b"1"), ("emptied/", b""), ("emptied/y", b"1")
    )
    second = layer(
        ("emptied/z", b"2"), ("emptied/.wh..wh..opq", b""), ("a", b"new"), (".wh.gone", b""), ("folder", b"file")
    )
    root = tmp_path / "root"
    root.mkdir()
    unpack(archive(tmp_path / "image.tar", first, second), root)
    found = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert found == {"a": "new", "folder": "file", "emptied/z": "2"}


@pytest.mark.parametrize(
    "evil",
    [
        layer(("../outside", b"x")),
        layer(("link", "/"), ("link/outside", b"x")),
        layer(("link", "../.."), ("link/outside", b"x")),
        layer(("link", "/"), ("link/.wh.outside", b"")),
    ],
)
def test_no_layer_reaches_out_of_the_folder(tmp_path: Path, evil: bytes) -> None:
    root = tmp_path / "deep" / "root"
    root.mkdir(parents=True)
    first = layer(("link", "/")) if b".wh." in evil else layer()
    with pytest.raises(ArchiveError, match="leads out of the image"):
        unpack(archive(tmp_path / "image.tar", first, evil), root)
    assert not (tmp_path / "outside").exists()


def test_what_is_no_image_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.tar"
    path.write_bytes(layer(("readme", b"")))
    with pytest.raises(ArchiveError, match=r"no manifest\.json"):
        inspect(path)
    with pytest.raises(ArchiveError, match="exactly one image"):
        inspect(archive(tmp_path / "two.tar", layer(), images=2))
