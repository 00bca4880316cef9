"""Why: the same manifest that `kubectl apply` takes is read alone, with its Secrets beside it or in a folder.

Errors name the document and the field. It never puts a secret's value into an error.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic import ValidationError

from botfleet.mistakes import Mistake, mistakes_of, without_unknown
from botfleet.spec.bot import API_VERSION, GROUP, KIND, TelegramBot

MAX_BYTES = 4 * 1024 * 1024
_TWICE = "this key stands twice in its mapping; keep one of them"


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
class SecretLayers:
    """Several sources, the first that has a key gives it."""

    sources: tuple[SecretSource, ...]

    def read(self, name: str, key: str) -> str:
        """See SecretSource."""
        exists = False
        for source in self.sources:
            try:
                return source.read(name, key)
            except SecretNotFoundError as error:
                exists = exists or error.secret_exists
        raise SecretNotFoundError(name, key, secret_exists=exists)


@dataclass(frozen=True)
class Manifest:
    """What stands in one file, or in several that belong together."""

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


def load(*paths: Path) -> Manifest:
    """Reads YAML files with one TelegramBot or more, and Secrets.

    Raises:
        ManifestError: unreadable, no YAML, an unknown kind or version, or a field that does not fit.
    """
    found = examine(*paths)
    if found.mistakes:
        raise ManifestError("; ".join(str(mistake) for mistake in found.mistakes))
    return found.manifest


@dataclass(frozen=True)
class Found:
    """What files say as far as it can be understood, and all that cannot."""

    manifest: Manifest
    mistakes: tuple[Mistake, ...]


def examine(*paths: Path) -> Found:
    """As `load`, for who wants to know of every mistake at once.

    Raises:
        ManifestError: a file cannot be read at all, or is no YAML.
    """
    bots: list[TelegramBot] = []
    secrets: dict[str, Mapping[str, str]] = {}
    mistakes: list[Mistake] = []
    for path in paths:
        documents = _documents(path)
        for number, document in enumerate(documents, 1):
            mistakes += _take(document, f"{path}, document {number}", bots, secrets)
        if not documents:
            mistakes.append(Mistake(str(path), "", f"holds nothing; wanted: a {KIND}"))
    return Found(Manifest(tuple(bots), SecretDocuments(secrets)), tuple(mistakes))


def _take(
    document: Any, where: str, bots: list[TelegramBot], secrets: dict[str, Mapping[str, str]]
) -> Sequence[Mistake]:
    """Puts a document where it belongs; what is wrong with it."""
    if not isinstance(document, dict):
        return [Mistake(where, "", "is not an object with apiVersion, kind, metadata and spec")]
    kind = document.get("kind")
    if kind == "Secret" and document.get("apiVersion") == "v1":
        try:
            name, values = _secret(document, where)
        except ManifestError as error:
            return [Mistake("", "", str(error))]
        secrets[name] = values
    elif kind == KIND:
        bot, wrong = _bot(document, where)
        bots += [bot] if bot else []
        return wrong
    elif kind not in {"Namespace", "ConfigMap"}:  # harmless companions of a bot
        return [Mistake(where, "", f"kind {kind!r} has no meaning here; wanted: {KIND} or Secret")]
    return []


def parse_bot(document: Mapping[str, Any], where: str) -> TelegramBot:
    """One TelegramBot from its wire form.

    Raises:
        ManifestError: each field that does not fit, with what to write.
    """
    bot, mistakes = _bot(document, where)
    if bot is None or mistakes:
        raise ManifestError(f"{where}: " + "; ".join(str(replace(mistake, where="")) for mistake in mistakes))
    return bot


def _bot(document: Mapping[str, Any], where: str) -> tuple[TelegramBot | None, list[Mistake]]:
    """The bot as far as it can be understood: without its unknown fields, the rest can be looked at all the same."""
    version = document.get("apiVersion")
    if version != API_VERSION:
        told = f"is not known to this program; write {API_VERSION}"
        if isinstance(version, str) and re.fullmatch(rf"{re.escape(GROUP)}/v[0-9]+((alpha|beta)[0-9]+)?", version):
            told = f"{version} is of a newer Botfleet than this program, which knows {API_VERSION}; update this program"
        return None, [Mistake(where, "apiVersion", told)]
    try:
        return TelegramBot.model_validate(document), []
    except ValidationError as error:
        mistakes = mistakes_of(error, TelegramBot, where)
        rest = without_unknown(document, error)
    try:
        return TelegramBot.model_validate(rest), mistakes
    except ValidationError as error:
        more = [mistake for mistake in mistakes_of(error, TelegramBot, where) if mistake not in mistakes]
        return None, mistakes + more


def _documents(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{path}: larger than {MAX_BYTES} bytes; is it a manifest?")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ManifestError(f"{path}: cannot be read: it is not text in UTF-8") from None
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        # The parser's own words quote the line, and a Secret may stand in it.
        raise ManifestError(f"{path}: is not YAML: {at}{_said(error)}") from None
    except (yaml.YAMLError, RecursionError):
        raise ManifestError(f"{path}: is not YAML") from None


def _said(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    if problem == _TWICE:
        return problem
    if r"'\t'" in problem:
        return "a tab; indent with spaces"
    return "look for a missing colon or quote, or for a wrong indentation, here or in the line before"


class _Loader(yaml.SafeLoader):
    """A key that is written twice is a mistake: the last one would win, and nobody would know."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, _TWICE, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _secret(document: Mapping[str, Any], where: str) -> tuple[str, dict[str, str]]:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ManifestError(f"{where}: the Secret has no metadata.name")
    values: dict[str, str] = {}
    for part in ("data", "stringData"):
        if not isinstance(document.get(part) or {}, dict):
            raise ManifestError(f"{where}: Secret {part} must be a mapping of keys to texts")
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
