"""Why: the same manifest that `kubectl apply` takes is read alone, with its Secrets beside it or in a folder.

Errors name the document and the field. It never puts a secret's value into an error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from botfleet.documents import ManifestError, config_map_values, read_documents, secret_values
from botfleet.mistakes import Mistake, mistakes_of, without_unknown
from botfleet.spec import API_VERSION, DEFAULTS_KIND, GROUP, KIND, TelegramBot, TelegramBotDefaults

__all__ = [
    "Found",
    "Manifest",
    "ManifestError",
    "SecretDocuments",
    "SecretFolder",
    "SecretLayers",
    "SecretNotFoundError",
    "SecretSource",
    "examine",
    "load",
    "parse_bot",
    "parse_defaults",
]

Kind = TypeVar("Kind", TelegramBot, TelegramBotDefaults)


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
    defaults: tuple[TelegramBotDefaults, ...] = ()
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def defaults_of(self, bot: TelegramBot) -> dict[str, Any]:
        """What the bot's namespace says for it, as a layer of `effective`."""
        namespace = bot.metadata.namespace
        return next((one.spec.to_wire() for one in self.defaults if one.metadata.namespace == namespace), {})

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
    """Reads YAML files with one TelegramBot or more, their namespace's TelegramBotDefaults, and Secrets.

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
    taken = _Taken()
    mistakes: list[Mistake] = []
    for path in paths:
        documents = read_documents(path)
        for number, document in enumerate(documents, 1):
            mistakes += _take(document, f"{path}, document {number}", taken)
        if not documents:
            mistakes.append(Mistake(str(path), "", f"holds nothing; wanted: a {KIND}"))
    mistakes += _of_defaults(taken)
    defaults = tuple(one for one, _ in taken.defaults)
    secrets = SecretDocuments(taken.secrets)
    return Found(Manifest(tuple(taken.bots), secrets, defaults, taken.config_maps), tuple(mistakes))


@dataclass
class _Taken:
    """What the documents said so far. `defaults`: each with where it stands."""

    bots: list[TelegramBot] = field(default_factory=list)
    defaults: list[tuple[TelegramBotDefaults, str]] = field(default_factory=list)
    secrets: dict[str, Mapping[str, str]] = field(default_factory=dict)
    config_maps: dict[str, Mapping[str, str]] = field(default_factory=dict)


def _take(document: Any, where: str, taken: _Taken) -> Sequence[Mistake]:
    """Puts a document where it belongs; what is wrong with it."""
    if not isinstance(document, dict):
        return [Mistake(where, "", "is not an object with apiVersion, kind, metadata and spec")]
    kind = document.get("kind")
    if kind in {"Secret", "ConfigMap"} and document.get("apiVersion") == "v1":
        try:
            if kind == "Secret":
                name, values = secret_values(document, where)
                taken.secrets[name] = values
            else:
                name, values = config_map_values(document, where)
                taken.config_maps[name] = values
        except ManifestError as error:
            return [Mistake("", "", str(error))]
    elif kind == KIND:
        bot, wrong = _parsed(TelegramBot, document, where)
        taken.bots += [bot] if bot else []
        return wrong
    elif kind == DEFAULTS_KIND:
        defaults, wrong = _parsed(TelegramBotDefaults, document, where)
        taken.defaults += [(defaults, where)] if defaults else []
        return wrong
    elif kind != "Namespace":  # a harmless companion of a bot
        wanted = f"{KIND}, {DEFAULTS_KIND}, Secret or ConfigMap"
        return [Mistake(where, "", f"kind {kind!r} has no meaning here; wanted: {wanted}")]
    return []


def _of_defaults(taken: _Taken) -> Iterator[Mistake]:
    """Defaults that would silently say nothing, or of which one would."""
    of_bots = {bot.metadata.namespace for bot in taken.bots}
    seen: set[str] = set()
    for one, where in taken.defaults:
        namespace = one.metadata.namespace
        if namespace in seen:
            yield Mistake(where, "", f"is the second {DEFAULTS_KIND} of the namespace {namespace}; keep one of them")
        elif of_bots and namespace not in of_bots:
            told = f"no {KIND} of these files is in {namespace}; they are in: {', '.join(sorted(of_bots))}"
            yield Mistake(where, "metadata.namespace", told)
        seen.add(namespace)


def parse_bot(document: Mapping[str, Any], where: str) -> TelegramBot:
    """One TelegramBot from its wire form.

    Raises:
        ManifestError: each field that does not fit, with what to write.
    """
    return _all_right(TelegramBot, document, where)


def parse_defaults(document: Mapping[str, Any], where: str) -> TelegramBotDefaults:
    """A TelegramBotDefaults from its wire form.

    Raises:
        ManifestError: each field that does not fit, with what to write.
    """
    return _all_right(TelegramBotDefaults, document, where)


def _all_right(model: type[Kind], document: Mapping[str, Any], where: str) -> Kind:
    found, mistakes = _parsed(model, document, where)
    if found is None or mistakes:
        raise ManifestError(f"{where}: " + "; ".join(str(replace(mistake, where="")) for mistake in mistakes))
    return found


def _parsed(model: type[Kind], document: Mapping[str, Any], where: str) -> tuple[Kind | None, list[Mistake]]:
    """The object as far as it can be understood: without its unknown fields, the rest can be looked at all the same."""
    version = document.get("apiVersion")
    if version != API_VERSION:
        told = f"is not known to this program; write {API_VERSION}"
        if isinstance(version, str) and re.fullmatch(rf"{re.escape(GROUP)}/v[0-9]+((alpha|beta)[0-9]+)?", version):
            told = f"{version} is of a newer Botfleet than this program, which knows {API_VERSION}; update this program"
        return None, [Mistake(where, "apiVersion", told)]
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        mistakes = mistakes_of(error, model, where)
        rest = without_unknown(document, error)
    try:
        return model.model_validate(rest), mistakes
    except ValidationError as error:
        more = [mistake for mistake in mistakes_of(error, model, where) if mistake not in mistakes]
        return None, mistakes + more
