"""Why: the same manifest that `kubectl apply` takes is read alone, with its Secrets beside it or in a folder.

Errors name the document and the field. It never puts a secret's value into an error.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic import ValidationError

from botfleet.spec.bot import API_VERSION, KIND, TelegramBot

MAX_BYTES = 4 * 1024 * 1024


class ManifestError(ValueError):
    """The file cannot be used; the message says why and what to write."""


class SecretNotFoundError(LookupError):
    """No such Secret, or no such key in it."""

    def __init__(self, name: str, key: str, *, secret_exists: bool) -> None:
        what = (
            f"Secret {name} has no key {key}" if secret_exists else f"Secret {name} (key {key}) is nowhere to be found"
        )
        super().__init__(what)
        self.name, self.key, self.secret_exists = name, key, secret_exists


class SecretSource(Protocol):
    """Where credentials are read from."""

    def read(self, name: str, key: str) -> str:
        """The value as text, without a line end after it.

        Raises:
            SecretNotFoundError: there is none.
        """
        ...


@dataclass(frozen=True, repr=False)
class SecretDocuments:
    """Secrets that stand as documents in the manifest's own file."""

    secrets: Mapping[str, Mapping[str, str]]

    def read(self, name: str, key: str) -> str:
        """See SecretSource."""
        if name not in self.secrets or key not in self.secrets[name]:
            raise SecretNotFoundError(name, key, secret_exists=name in self.secrets)
        return self.secrets[name][key].strip("\r\n")


@dataclass(frozen=True)
class SecretFolder:
    """Secrets as files, FOLDER/NAME/KEY: a projected volume, or a folder of the owner's."""

    folder: Path

    def read(self, name: str, key: str) -> str:
        """See SecretSource."""
        if "/" in name or "/" in key or name.startswith(".") or key.startswith("."):
            raise SecretNotFoundError(name, key, secret_exists=False)
        try:
            return (self.folder / name / key).read_text(encoding="utf-8").strip("\r\n")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise SecretNotFoundError(name, key, secret_exists=(self.folder / name).is_dir()) from error


@dataclass(frozen=True)
class Manifest:
    """What stands in one file."""

    bots: tuple[TelegramBot, ...]
    secrets: SecretDocuments

    def only_bot(self, name: str | None = None) -> TelegramBot:
        """The one bot of the file, or the one with this name.

        Raises:
            ManifestError: there is none, or it is not clear which.
        """
        found = [bot for bot in self.bots if name is None or bot.metadata.name == name]
        if len(found) == 1:
            return found[0]
        names = ", ".join(bot.metadata.name for bot in self.bots) or "none"
        raise ManifestError(f"the file has these TelegramBots: {names}. Say which one: --name NAME")


def load(path: Path) -> Manifest:
    """Reads a YAML file with one TelegramBot or more, and Secrets.

    Raises:
        ManifestError: unreadable, no YAML, an unknown kind or version, or a field that does not fit.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{path}: larger than {MAX_BYTES} bytes; is it a manifest?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise ManifestError(f"{path}: is not YAML: {error}") from error
    bots: list[TelegramBot] = []
    secrets: dict[str, Mapping[str, str]] = {}
    for number, document in enumerate(documents, 1):
        where = f"{path}, document {number}"
        if not isinstance(document, dict):
            raise ManifestError(f"{where}: is not an object with apiVersion, kind, metadata and spec")
        if document.get("kind") == "Secret" and document.get("apiVersion") == "v1":
            name, values = _secret(document, where)
            secrets[name] = values
        elif document.get("kind") == KIND:
            bots.append(parse_bot(document, where))
        elif document.get("kind") not in {"Namespace", "ConfigMap"}:  # harmless companions of a bot
            raise ManifestError(f"{where}: kind {document.get('kind')!r} has no meaning here; wanted: {KIND} or Secret")
    return Manifest(tuple(bots), SecretDocuments(secrets))


def parse_bot(document: Mapping[str, Any], where: str) -> TelegramBot:
    """One TelegramBot from its wire form.

    Raises:
        ManifestError: each field that does not fit, with what to write.
    """
    version = document.get("apiVersion")
    if version != API_VERSION:
        raise ManifestError(
            f"{where}: apiVersion {version!r} is not known to this program; it knows {API_VERSION}. "
            "If the manifest is of a newer Botfleet, update this program."
        )
    try:
        return TelegramBot.model_validate(document)
    except ValidationError as error:
        raise ManifestError(f"{where}: " + "; ".join(describe(error))) from error


def describe(error: ValidationError) -> list[str]:
    """`path: what to do`, one entry a mistake, without the values."""
    out = []
    for one in error.errors(include_input=False, include_url=False, include_context=False):
        path = ".".join(str(part) for part in one["loc"]) or "the object"
        hint = "unknown field; remove it or correct its spelling" if one["type"] == "extra_forbidden" else one["msg"]
        out.append(f"{path}: {hint.removeprefix('Value error, ')}")
    return out


def _secret(document: Mapping[str, Any], where: str) -> tuple[str, dict[str, str]]:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ManifestError(f"{where}: the Secret has no metadata.name")
    values: dict[str, str] = {}
    for key, value in (document.get("data") or {}).items():
        try:
            values[str(key)] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError, TypeError) as error:
            raise ManifestError(
                f"{where}: Secret data.{key} is not base64 of text; use stringData for plain text"
            ) from error
    for key, value in (document.get("stringData") or {}).items():
        if not isinstance(value, str):
            raise ManifestError(f"{where}: Secret stringData.{key} must be text; put it in quotes")
        values[str(key)] = value
    return metadata["name"], values
