"""Why: every setting of a runner in one typed object, documented where it is defined (docs/settings.md is made from it).

Passwords come from files only: an address with a password in it is refused, since environments and process lists are read by many.
"""

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from botfleet.bus.address import check_database


class ConfigError(ValueError):
    """A setting cannot be used; the message says which, and what to give instead."""


@dataclass(frozen=True)
class Settings:
    """What a runner is told besides its manifest."""

    manifest: Path
    """The file with the TelegramBot (and, alone, its Secrets)."""
    beside: tuple[Path, ...] = ()
    """Further files, with Secrets say: all are read as one."""
    name: str | None = None
    """Which bot of the file, when there are several."""
    secrets_dir: Path | None = None
    """BOTFLEET_SECRETS_DIR: the owner's Secrets as DIR/NAME/KEY. What it lacks is looked for among the Secrets of
    the manifest's files."""
    data_dir: Path | None = None
    """BOTFLEET_DATA_DIR: alone, where SQLite and the key lie. Default: $XDG_DATA_HOME/botfleet/NAMESPACE-NAME."""
    database_url: str | None = None
    """BOTFLEET_DATABASE_URL: postgresql://ROLE@HOST:PORT/DATABASE. Without it the bot keeps its data in SQLite."""
    redis_url: str | None = None
    """BOTFLEET_REDIS_URL: redis://USER@HOST:PORT/0. Without it events stay in the process."""
    own_dir: Path | None = None
    """BOTFLEET_OWN_DIR: files database-password, redis-password and session-key."""
    bus_prefix: str = "bf:local:"
    """BOTFLEET_BUS_PREFIX: what the bot's keys in Redis begin with."""
    holder: str = ""
    """BOTFLEET_HOLDER: who holds the lease; in a pod its UID. Default: the machine's name and a random part. Alone always
    `alone`: locks of the machine keep a second one out, and the next start takes over from a killed one at once."""
    health_address: str = "127.0.0.1:0"
    """BOTFLEET_HEALTH_ADDRESS: HOST:PORT of probes and metrics; port 0 is a free one."""
    lease_term_seconds: float = 15.0
    """BOTFLEET_LEASE_TERM_SECONDS: how long a runner that is gone keeps the account from the next one."""
    clean_up_seconds: float = 3600.0
    """BOTFLEET_CLEAN_UP_SECONDS: how often finished work is looked for that was kept for long enough."""
    defaults: str | None = None
    """BOTFLEET_BOT_DEFAULTS: YAML, a part of a TelegramBot's spec: what it says when the manifest does not."""
    log_format: str = "console"
    """BOTFLEET_LOG_FORMAT: console or json."""
    log_level: str = "info"
    """BOTFLEET_LOG_LEVEL: debug, info, warning or error."""

    @property
    def standalone(self) -> bool:
        """Without a shared database: SQLite, one bot, no cluster."""
        return self.database_url is None


def from_environment(
    manifest: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    beside: tuple[Path, ...] = (),
    name: str | None = None,
    secrets_dir: Path | None = None,
    data_dir: Path | None = None,
    health_address: str | None = None,
) -> Settings:
    """The settings from BOTFLEET_* variables; what the command line says goes first.

    Raises:
        ConfigError: a value that cannot be used.
    """

    def text(key: str) -> str | None:
        return environment.get(f"BOTFLEET_{key}") or None

    def path(key: str) -> Path | None:
        value = text(key)
        return Path(value) if value else None

    settings = Settings(
        manifest=manifest,
        beside=beside,
        name=name,
        secrets_dir=secrets_dir or path("SECRETS_DIR"),
        data_dir=data_dir or path("DATA_DIR"),
        database_url=_without_password("BOTFLEET_DATABASE_URL", text("DATABASE_URL")),
        redis_url=_database_zero("BOTFLEET_REDIS_URL", _without_password("BOTFLEET_REDIS_URL", text("REDIS_URL"))),
        own_dir=path("OWN_DIR"),
        bus_prefix=text("BUS_PREFIX") or Settings.bus_prefix,
        holder=_holder(text("HOLDER"), shared=text("DATABASE_URL") is not None),
        health_address=_address(health_address or text("HEALTH_ADDRESS") or Settings.health_address),
        lease_term_seconds=_seconds(
            "BOTFLEET_LEASE_TERM_SECONDS", text("LEASE_TERM_SECONDS"), Settings.lease_term_seconds, (0.5, 300)
        ),
        clean_up_seconds=_seconds(
            "BOTFLEET_CLEAN_UP_SECONDS", text("CLEAN_UP_SECONDS"), Settings.clean_up_seconds, (1, 86_400)
        ),
        defaults=text("BOT_DEFAULTS"),
        log_format=_one_of("BOTFLEET_LOG_FORMAT", text("LOG_FORMAT") or Settings.log_format, ("console", "json")),
        log_level=_one_of(
            "BOTFLEET_LOG_LEVEL", text("LOG_LEVEL") or Settings.log_level, ("debug", "info", "warning", "error")
        ),
    )
    if settings.database_url and settings.own_dir is None:
        raise ConfigError(
            "BOTFLEET_DATABASE_URL needs BOTFLEET_OWN_DIR, the folder with database-password and session-key"
        )
    if settings.redis_url and settings.own_dir is None:
        raise ConfigError("BOTFLEET_REDIS_URL needs BOTFLEET_OWN_DIR, the folder with redis-password")
    return settings


def read_own(settings: Settings, name: str) -> str:
    """One of the runner's own credentials.

    Raises:
        ConfigError: the file is not there or cannot be read.
    """
    if settings.own_dir is None:
        raise ConfigError(f"BOTFLEET_OWN_DIR is not set; {name} is read from there")
    try:
        return (settings.own_dir / name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{settings.own_dir / name}: cannot be read ({error.strerror}); it holds a credential"
        ) from error
    except UnicodeDecodeError:
        raise ConfigError(f"{settings.own_dir / name}: is not text; it holds a credential") from None


def default_data_dir(namespace: str, name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where a bot that runs alone keeps its data (XDG Base Directory Specification)."""
    base = environment.get("XDG_DATA_HOME") or str(Path(environment.get("HOME", "/tmp")) / ".local/share")  # noqa: S108
    return Path(base) / "botfleet" / f"{namespace}-{name}"


def _without_password(key: str, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        password = urlsplit(url).password
    except ValueError as error:
        raise ConfigError(f"{key} is not a URL") from error
    if password is not None:
        raise ConfigError(f"{key} must not hold a password; put it into a file in BOTFLEET_OWN_DIR")
    return url


def _database_zero(key: str, url: str | None) -> str | None:
    try:
        check_database(url or "")
    except ValueError as error:
        raise ConfigError(f"{key} must end in /0: {error}") from error
    return url


def _holder(given: str | None, *, shared: bool) -> str:
    if not shared:
        return "alone"
    return given or f"{socket.gethostname()[:24]}-{uuid.uuid4().hex[:12]}"


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError("BOTFLEET_HEALTH_ADDRESS must look like 0.0.0.0:8080")
    return value


def _seconds(key: str, value: str | None, default: float, limits: tuple[float, float]) -> float:
    if value is None:
        return default
    try:
        seconds = float(value)
    except ValueError as error:
        raise ConfigError(f"{key} must be a number of seconds, such as 15") from error
    if not limits[0] <= seconds <= limits[1]:
        raise ConfigError(f"{key} must lie between {limits[0]} and {limits[1]} seconds")
    return seconds


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> str:
    if value.lower() not in allowed:
        raise ConfigError(f"{key} must be one of: {', '.join(allowed)}")
    return value.lower()
