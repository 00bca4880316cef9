"""Why: all that can be wrong with a runner's files is found, and said, before anything is connected."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from botfleet.conditions import Reason
from botfleet.defaults import check_defaults
from botfleet.digest import spec_digest
from botfleet.effective import EffectiveSpec, effective, with_prompt
from botfleet.manifest import (
    Manifest,
    SecretDocuments,
    SecretFolder,
    SecretLayers,
    SecretNotFoundError,
    SecretSource,
    load,
)
from botfleet.spec import AccountSpec, TelegramBot
from botfleet.spec.account import SecretKeyRef
from botfleet.spec.behaviour import PromptSource, prompt_mistake
from botrunner.config import ConfigError, Settings, default_data_dir
from botrunner.telegram.connection import Account
from botrunner.telegram.types import ApiCredentials, BotToken, Credential, Server, UserSession


@dataclass(frozen=True)
class Prepared:
    """A manifest that can be used, and where its secrets come from."""

    settings: Settings
    bot: TelegramBot
    spec: EffectiveSpec
    digest: str
    secrets: SecretSource

    @property
    def full_name(self) -> str:
        """namespace/name."""
        return f"{self.bot.metadata.namespace}/{self.bot.metadata.name}"

    @property
    def data_dir(self) -> Path:
        """Where a bot that runs alone keeps its data."""
        return self.settings.data_dir or default_data_dir(self.bot.metadata.namespace, self.bot.metadata.name)


@dataclass(frozen=True)
class Credentials:
    """What a connection to Telegram and those to the models need. `fallback_keys`: in the order of the fallbacks.

    `transcription_key` None: voice messages are not written down.
    """

    account: Account
    model_key: str = field(repr=False)
    fallback_keys: tuple[str, ...] = field(default=(), repr=False)
    transcription_key: str | None = field(default=None, repr=False)


class CredentialsError(Exception):
    """A secret is not there or cannot be what it should be. The message names Secret and key, never the value.

    Attributes:
        reason: for the bot's condition.
    """

    def __init__(self, text: str, reason: Reason) -> None:
        super().__init__(text)
        self.reason = reason


def prepare(settings: Settings) -> Prepared:
    """Reads the manifest.

    Raises:
        ManifestError, IncompleteError, ConfigError: with what to write instead.
    """
    manifest = load(settings.manifest, *settings.beside)
    return prepare_bot(settings, manifest.only_bot(settings.name), manifest)


def prepare_bot(settings: Settings, bot: TelegramBot, manifest: Manifest) -> Prepared:
    """One bot of a manifest, with the defaults and the Secrets that stand there.

    Raises:
        IncompleteError, ConfigError: with what to write instead.
    """
    secrets = secrets_of(settings, manifest.secrets)
    spec = effective(bot.spec, manifest.defaults_of(bot), _defaults(settings.defaults))
    source = spec.persona.prompt_from
    if source is not None:
        spec = with_prompt(spec, _prompt(source, manifest, secrets))
    return Prepared(settings, bot, spec, spec_digest(spec), secrets)


def _prompt(source: PromptSource, manifest: Manifest, secrets: SecretSource) -> str:
    """The text that a persona's `promptFrom` names."""
    path = "spec.persona.promptFrom"
    text: str | None = None
    what = ""
    if reference := source.config_map_key_ref:
        what = f"ConfigMap {reference.name}, key {reference.key}"
        text = manifest.config_maps.get(reference.name, {}).get(reference.key)
    elif hidden := source.secret_key_ref:
        what = f"Secret {hidden.name}, key {hidden.key}"
        try:
            text = secrets.read(hidden.name, hidden.key)
        except SecretNotFoundError as error:
            raise ConfigError(
                f"{path}: {error}; add the Secret to the files, or say where it is: --secrets DIR"
            ) from None
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"{path}: {what}: cannot be read as text") from None
    if text is None:
        raise ConfigError(f"{path}: {what}: is not there; add the ConfigMap to the files given with -f")
    if wrong := prompt_mistake(text):
        raise ConfigError(f"{path}: {what}: {wrong}")
    return text


def secrets_of(settings: Settings, beside: SecretDocuments) -> SecretSource:
    """Where this bot's secrets are read from. `beside`: those of its files; a folder goes before them."""
    return SecretLayers((SecretFolder(settings.secrets_dir), beside)) if settings.secrets_dir else beside


def _defaults(text: str | None) -> dict[str, Any]:
    try:
        layer = (yaml.safe_load(text) or {}) if text else {}
    except yaml.YAMLError as error:
        raise ConfigError("BOTFLEET_BOT_DEFAULTS is not YAML") from error
    if not isinstance(layer, dict):
        raise ConfigError("BOTFLEET_BOT_DEFAULTS must be a part of a spec, such as {model: {name: gpt-5-mini}}")
    try:
        return check_defaults(layer)
    except ValidationError as error:
        fields = ", ".join(".".join(str(part) for part in one["loc"]) for one in error.errors(include_input=False))
        raise ConfigError(f"BOTFLEET_BOT_DEFAULTS does not fit a TelegramBot's spec: {fields}") from None


def read_credentials(prepared: Prepared) -> Credentials:
    """The secrets as they are now: mounted ones change under a running pod.

    Raises:
        CredentialsError: one is missing or cannot be used.
    """
    with _told():
        api, server = read_application(prepared)
        model_key, *fallback_keys = read_model_keys(prepared)
        voices = prepared.spec.model.transcription
        voice_key = _key(prepared, voices.api_key_secret_ref) if voices else None
        account = _account(prepared.spec.account, prepared.secrets.read)
    return Credentials(Account(api, account, server), model_key, tuple(fallback_keys), voice_key)


def read_application(prepared: Prepared) -> tuple[ApiCredentials, Server | None]:
    """What any login needs, whoever logs in.

    Raises:
        CredentialsError: one is missing or cannot be used.
    """
    account, read = prepared.spec.account, prepared.secrets.read
    app, centre = account.api_credentials_secret_ref.name, account.data_center
    with _told():
        api_id, api_hash = read(app, "api-id").strip(), read(app, "api-hash").strip()
        key = centre.public_key_secret_ref if centre else None
        public_key = read(key.name, key.key) if key else None
    if not (api_id.isascii() and api_id.isdigit() and len(api_id) < 12):
        told = f"Secret {app}: api-id must be a number, as my.telegram.org shows it"
        raise CredentialsError(told, Reason.API_CREDENTIALS_INVALID)
    server = Server(centre.id, centre.address, centre.port, public_key) if centre else None
    return ApiCredentials(int(api_id), api_hash), server


def read_model_keys(prepared: Prepared) -> list[str]:
    """The keys of the models' endpoints, the main model's first.

    Raises:
        CredentialsError: one is missing or cannot be used.
    """
    with _told():
        return [_key(prepared, model.api_key_secret_ref) for model in prepared.spec.model.chain]


def _key(prepared: Prepared, reference: SecretKeyRef) -> str:
    return prepared.secrets.read(reference.name, reference.key).strip()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What may come of reading a secret, in words."""
    try:
        yield
    except SecretNotFoundError as error:
        raise CredentialsError(
            f"{error}. Create it, or correct the name in the spec.", Reason.NEVER_LOGGED_IN
        ) from error
    except UnicodeDecodeError:
        raise CredentialsError("a secret is not text", Reason.NEVER_LOGGED_IN) from None
    except OSError as error:
        told = f"{error.filename}: cannot be read ({error.strerror}); it holds a secret"
        raise CredentialsError(told, Reason.NEVER_LOGGED_IN) from None


def _account(account: AccountSpec, read: Callable[[str, str], str]) -> Credential:
    if account.bot_token_secret_ref:
        reference = account.bot_token_secret_ref
        token = BotToken(read(reference.name, reference.key).strip())
        try:
            token.account_id  # noqa: B018 -- a token that names no account is refused here
        except ValueError as error:
            told = f"Secret {reference.name}, key {reference.key}: {error}"
            raise CredentialsError(told, Reason.TOKEN_INVALID) from None
        return token
    if account.session_secret_ref is None:
        raise CredentialsError("the spec names no credential of the account", Reason.NEVER_LOGGED_IN)
    return UserSession(read(account.session_secret_ref.name, account.session_secret_ref.key).strip())
