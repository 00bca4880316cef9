"""Why: the store is opened before anything else: in a cluster it is waited for, alone it is a file that is made here."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy.exc import ArgumentError

from botfleet.keys import KEY_BYTES, Purpose, Sealer, derive, new_installation_key
from botfleet.store.engine import Store, create_store
from botfleet.store.errors import StoreUnavailable
from botfleet.store.identity import BotRow, ensure_standalone_bot, own_bot
from botfleet.store.schema import create_all_sqlite, wait_for_schema
from botrunner.backoff import backoff
from botrunner.config import ConfigError, Settings, read_own
from botrunner.files import write_whole
from botrunner.prepare import Prepared

log = structlog.get_logger()

FOR_THE_LEASE = 1  # connection of three: a renewal behind a rush of messages would come too late
SCHEMA_SECONDS = 5.0  # of one attempt; the attempts go on, and a stop is looked for between them


@dataclass(frozen=True)
class OpenStore:
    """A store with the schema that this program needs, and which bot this is."""

    store: Store
    bot: BotRow
    sealer: Sealer


@contextlib.asynccontextmanager
async def open_store(prepared: Prepared, stop: asyncio.Event) -> AsyncIterator[OpenStore | None]:
    """The open store for the length of the block; None when the runner was stopped while it waited.

    Raises:
        ConfigError: a file with a credential is missing or damaged.
        StoreError: the store cannot be used.
    """
    settings = prepared.settings
    store = _alone(prepared) if settings.standalone else _shared(settings)
    try:
        if settings.standalone:
            yield await _open_alone(store, prepared)
        else:
            sealer = Sealer(_session_key(settings))
            yield await _wait_for_shared(store, sealer, stop)
    finally:
        await store.close()


def _shared(settings: Settings) -> Store:
    assert settings.database_url is not None  # noqa: S101 -- not standalone
    # A third of the lease's term: no statement of a runner outlives its right to act.
    limit = settings.lease_term_seconds / 3
    try:
        return create_store(
            settings.database_url,
            read_own(settings, "database-password"),
            reserved=FOR_THE_LEASE,
            statement_timeout=limit,
        )
    except (ValueError, ArgumentError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError("BOTFLEET_DATABASE_URL must look like postgresql://ROLE@HOST:PORT/DATABASE") from None


def _alone(prepared: Prepared) -> Store:
    return create_store(f"sqlite:///{prepared.data_dir / 'botfleet.sqlite3'}", reserved=FOR_THE_LEASE)


async def _open_alone(store: Store, prepared: Prepared) -> OpenStore:
    await create_all_sqlite(store)
    bot = await ensure_standalone_bot(store, prepared.bot.metadata.namespace, prepared.bot.metadata.name)
    key = derive(_installation_key(prepared.data_dir), bot.id, Purpose.SESSION_KEY, bot.session_key_generation)
    return OpenStore(store, bot, Sealer(key))


async def _wait_for_shared(store: Store, sealer: Sealer, stop: asyncio.Event) -> OpenStore | None:
    attempt = 0
    while not stop.is_set():
        attempt += 1
        try:
            await wait_for_schema(store, SCHEMA_SECONDS)
            return OpenStore(store, await own_bot(store), sealer)
        except StoreUnavailable as error:
            log.warning("database_unavailable", error=str(error), attempt=attempt)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff(attempt, longest=10)):
                    await stop.wait()
    return None


def _session_key(settings: Settings) -> bytes:
    text = read_own(settings, "session-key")
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise ConfigError("session-key is not base64") from error
    if len(key) != KEY_BYTES:
        raise ConfigError(f"session-key must hold {KEY_BYTES} bytes")
    return key


def _installation_key(folder: Path) -> bytes:
    """Alone, the installation key is a file of mode 0600 beside the store; made at the first start."""
    path = folder / "installation-key"
    if not path.exists():
        write_whole(path, base64.urlsafe_b64encode(new_installation_key()))
    try:
        key = base64.urlsafe_b64decode(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a key; restore it from your backup") from error
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path}: is damaged; restore it from your backup, or delete it and the bot logs in anew")
    return key
