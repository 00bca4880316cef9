"""Promises of reading a manifest alone: Secrets beside it or in a folder, and errors that tell what to do."""

from pathlib import Path

import pytest
import yaml

from botfleet.manifest import ManifestError, SecretFolder, SecretNotFoundError, load
from tests.unit.core.test_spec import MINIMAL


def write(folder: Path, *documents: object) -> Path:
    path = folder / "bot.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def test_secrets_of_the_same_file_are_found_as_data_and_as_string_data(tmp_path: Path) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"a": "eA=="},
        "stringData": {"b": "y\n"},
    }
    manifest = load(write(tmp_path, MINIMAL, secret))
    assert (manifest.secrets.read("s", "a"), manifest.secrets.read("s", "b")) == ("x", "y")
    assert manifest.only_bot().metadata.name == "concierge"


def test_a_missing_secret_and_a_missing_key_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    folder = SecretFolder(tmp_path)
    with pytest.raises(SecretNotFoundError) as key:
        folder.read("s", "k")
    with pytest.raises(SecretNotFoundError) as secret:
        folder.read("t", "k")
    assert (key.value.secret_exists, secret.value.secret_exists) == (True, False)


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "in").mkdir()
    with pytest.raises(SecretNotFoundError):
        SecretFolder(tmp_path / "in").read("..", "outside")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "is not an object"),
        ("kind: Pod", "kind 'Pod' has no meaning here"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: '%'}", "use stringData"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: 12}", "put it in quotes"),
        ("apiVersion: v1\nkind: Secret", "no metadata.name"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bot.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=told):
        load(path)


def test_an_absent_or_binary_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot be read"):
        load(tmp_path / "b")


def test_which_of_several_bots_is_asked_for(tmp_path: Path) -> None:
    other = {**MINIMAL, "metadata": {"name": "other"}}
    manifest = load(write(tmp_path, MINIMAL, other))
    assert manifest.only_bot("other").metadata.name == "other"
    with pytest.raises(ManifestError, match="concierge, other"):
        manifest.only_bot()
