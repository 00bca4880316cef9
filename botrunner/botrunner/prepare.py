"""Why: all that can be wrong with a runner's files is found, and said, before anything is connected."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from botfleet.digest import spec_digest
from botfleet.effective import EffectiveSpec, effective
from botfleet.manifest import SecretFolder, SecretNotFoundError, SecretSource, load
from botfleet.spec import AccountType, TelegramBot
from botrunner.config import ConfigError, Settings, default_data_dir
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
    """What a connection to Telegram and one to the model need."""

    api: ApiCredentials
    account: Credential
    server: Server | None
    model_key: str


class CredentialsError(Exception):
    """A secret is not there or cannot be what it should be. The message names Secret and key, never the value."""


def prepare(settings: Settings) -> Prepared:
    """Reads the manifest.

    Raises:
        ManifestError, IncompleteError, ConfigError: with what to write instead.
    """
    manifest = load(settings.manifest)
    bot = manifest.only_bot(settings.name)
    spec = effective(bot.spec, *_defaults(settings.defaults))
    secrets: SecretSource = SecretFolder(settings.secrets_dir) if settings.secrets_dir else manifest.secrets
    return Prepared(settings, bot, spec, spec_digest(spec), secrets)


def _defaults(text: str | None) -> list[dict[str, Any]]:
    try:
        layer = yaml.safe_load(text) if text else None
    except yaml.YAMLError as error:
        raise ConfigError("BOTFLEET_BOT_DEFAULTS is not YAML") from error
    if layer is not None and not isinstance(layer, dict):
        raise ConfigError("BOTFLEET_BOT_DEFAULTS must be a part of a spec, such as {model: {name: gpt-5-mini}}")
    return [layer] if layer else []


def read_credentials(prepared: Prepared) -> Credentials:
    """The secrets as they are now: mounted ones change under a running pod.

    Raises:
        CredentialsError: one is missing or cannot be used.
    """
    spec, read = prepared.spec, prepared.secrets.read
    account = spec.account
    try:
        app = account.api_credentials_secret_ref.name
        api_id, api_hash = read(app, "api-id"), read(app, "api-hash")
        credential: Credential
        if account.type is AccountType.BOT and account.bot_token_secret_ref:
            credential = BotToken(read(account.bot_token_secret_ref.name, account.bot_token_secret_ref.key).strip())
            credential.account_id  # noqa: B018 -- a token that names no account is refused here
        elif account.session_secret_ref:
            credential = UserSession(read(account.session_secret_ref.name, account.session_secret_ref.key).strip())
        else:
            raise CredentialsError("the spec names no credential of the account")
        server = None
        if centre := account.data_center:
            key = centre.public_key_secret_ref
            server = Server(centre.id, centre.address, centre.port, read(key.name, key.key) if key else None)
        model_key = read(spec.model.api_key_secret_ref.name, spec.model.api_key_secret_ref.key).strip()
        return Credentials(ApiCredentials(int(api_id), api_hash.strip()), credential, server, model_key)
    except SecretNotFoundError as error:
        raise CredentialsError(str(error)) from error
    except UnicodeDecodeError:
        raise CredentialsError("a secret is not text") from None
    except ValueError as error:
        raise CredentialsError(_told(error, app)) from None


def _told(error: ValueError, app: str) -> str:
    text = str(error)
    return text if "BotFather" in text else f"Secret {app}: api-id must be a number, as my.telegram.org shows it"
