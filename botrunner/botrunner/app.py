"""Why: puts one bot together and runs it until it is told to stop: store, lease, Telegram, conversations, relay, probes.

Wiring and order only. What is said is conversation/'s, who may act is ownership/'s, Telegram is telegram/'s.
"""

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from botfleet.conditions import Reason
from botfleet.store.binding import BindingRepository
from botfleet.store.errors import StoreError
from botfleet.store.lease import LeaseRepository
from botrunner import __version__, logs
from botrunner.config import ConfigError
from botrunner.gauges import beat, watch
from botrunner.health import HealthServer, Vitals
from botrunner.life import Life
from botrunner.metrics import Metrics
from botrunner.opening import OpenStore, open_store
from botrunner.ownership.binding import Bindings, LocalBindings, OperatorBindings
from botrunner.ownership.flock import HeldElsewhereError, credential_lock, folder_lock
from botrunner.ownership.keeper import LeaseKeeper
from botrunner.prepare import Credentials, CredentialsError, Prepared, read_credentials
from botrunner.reporter import Reporter
from botrunner.telegram.connection import End

log = structlog.get_logger()
T = TypeVar("T")

CREDENTIAL_POLL_SECONDS = 1.0


async def serve(prepared: Prepared) -> int:
    """Runs the bot; the process's exit code: 0 stopped, 1 failed, 2 a setting or a credential that cannot be used."""
    settings = prepared.settings
    logs.set_up(settings.log_format, settings.log_level, prepared.full_name)
    log.info("starting", version=__version__, manifest=str(settings.manifest), spec=prepared.digest[:12])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, _interrupted, stop)
    vitals, metrics = Vitals(), Metrics()
    try:
        server = HealthServer(settings.health_address, vitals, metrics)
    except OSError as error:
        log.error("cannot_go_on", why=f"{settings.health_address} cannot be listened on: {error.strerror}")
        return 2
    log.info("probes_and_metrics", address=f"{settings.health_address.rpartition(':')[0]}:{server.port}")
    beating = asyncio.create_task(beat(vitals, metrics), name="beat")
    try:
        code = await _run(prepared, vitals, metrics, stop)
    finally:
        beating.cancel()
        server.close()
    if code == 0:
        log.info("stopped")
    return code


def _interrupted(stop: asyncio.Event) -> None:
    """Ctrl-C: the first ends it gracefully, a second at once. Whatever a kill interrupts goes on at the next start."""
    if stop.is_set():
        log.warning("ended_at_once", why="a second Ctrl-C")
        os._exit(128 + signal.SIGINT)
    stop.set()


async def _run(prepared: Prepared, vitals: Vitals, metrics: Metrics, stop: asyncio.Event) -> int:
    try:
        with contextlib.ExitStack() as locks:
            if prepared.settings.standalone:
                _lock(prepared, locks)
            async with open_store(prepared, stop) as opened:
                if opened is not None:
                    logs.CHAT_MARKS.key = opened.bot.id.encode()
                    await _Bot(prepared, opened, vitals, metrics, stop).run()
    except (ConfigError, CredentialsError, HeldElsewhereError, StoreError, BaseExceptionGroup) as error:
        told = _first(error)
        if told is None:
            raise
        log.error("cannot_go_on", why=str(told))
        return 1 if isinstance(told, StoreError) else 2
    return 0


def _first(error: BaseException) -> BaseException | None:
    """The one that says what is wrong, out of however many groups; None: something that nobody foresaw is among them."""
    if isinstance(error, BaseExceptionGroup):
        found = [_first(one) for one in error.exceptions]
        return None if None in found else found[0]
    return error if isinstance(error, ConfigError | CredentialsError | HeldElsewhereError | StoreError) else None


def _lock(prepared: Prepared, locks: contextlib.ExitStack) -> None:
    """Alone, two locks of this machine stand for the lease: of the data folder, here, and of the credential, with each life.

    Raises:
        HeldElsewhereError: another process has it.
        CredentialsError: alone, unlike in a cluster, a missing secret will not appear by itself.
        ConfigError: the data folder cannot be made.
    """
    try:
        prepared.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{prepared.data_dir} cannot be made a folder for the data: {error.strerror}") from error
    read_credentials(prepared)
    locks.enter_context(folder_lock(prepared.data_dir))


class _Bot:
    """The parts that live as long as the process, and the loop over lives: one life a lease and credential."""

    def __init__(
        self, prepared: Prepared, opened: OpenStore, vitals: Vitals, metrics: Metrics, stop: asyncio.Event
    ) -> None:
        self._prepared, self._opened, self._vitals, self._metrics, self._stop = prepared, opened, vitals, metrics, stop
        settings = prepared.settings
        self._keeper = LeaseKeeper(
            LeaseRepository(opened.store, opened.bot.id), settings.holder, settings.lease_term_seconds
        )
        self._reporter = Reporter(self._keeper, prepared.digest, vitals, metrics)
        repository = BindingRepository(opened.store)
        kind = LocalBindings if settings.standalone else OperatorBindings
        self._bindings: Bindings = kind(repository, opened.bot.id)

    async def run(self) -> None:
        """Until the stop.

        Raises:
            ExceptionGroup: with a StoreError: the store refuses in a way that will not pass.
        """
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._keeper.run(), name="lease"),
                tasks.create_task(watch(self._metrics, self._keeper, self._reporter), name="gauges"),
            ]
            await self._lives()
            for task in background:
                task.cancel()
        await self._keeper.release()

    async def _lives(self) -> None:
        while not self._stop.is_set():
            tenure = await self._unless_stopped(self._keeper.wait_held())
            if tenure is None:
                return
            try:
                credentials = read_credentials(self._prepared)
            except CredentialsError as error:
                log.error("credentials_unusable", why=str(error))
                self._reporter.refused(error.reason)
                await self._until_changed(None)
                continue
            life = Life(
                self._prepared, self._opened, credentials, tenure, self._bindings, self._reporter, self._metrics
            )
            with self._locked(credentials):
                ended = await life.run(self._stop, functools.partial(self._changed, credentials))
            log.info("life_ended", why=ended.end.value, reason=ended.reason)
            if ended.end is End.REFUSED:
                self._reporter.refused(ended.reason or Reason.NEVER_LOGGED_IN)
                await self._until_changed(credentials)

    def _locked(self, credentials: Credentials) -> contextlib.AbstractContextManager[object]:
        """Alone, the credential that is used now: another process may have had it before it was put here.

        Raises:
            HeldElsewhereError: another process has it.
        """
        if not self._prepared.settings.standalone:
            return contextlib.nullcontext()
        return credential_lock(credentials.account.credential.digest)

    async def _changed(self, known: Credentials | None) -> None:
        """Returns once the mounted secrets are others than those known: kubelet changes them under a running pod."""
        while True:
            await asyncio.sleep(CREDENTIAL_POLL_SECONDS)
            with contextlib.suppress(CredentialsError):
                if read_credentials(self._prepared) != known:
                    return

    async def _until_changed(self, known: Credentials | None) -> None:
        await self._unless_stopped(self._changed(known))

    async def _unless_stopped(self, what: Coroutine[Any, Any, T]) -> T | None:
        """Its result, or None when the stop came first."""
        waiting = asyncio.create_task(what)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            for task in (waiting, stopping):
                task.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)
