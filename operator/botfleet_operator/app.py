"""
Why: puts the parts together and minds their order: wait, be elected, look at everything, then act; and backwards at the end.
Never: decide anything about a bot.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog

from botfleet.store.engine import Store, create_store
from botfleet.store.erasure import ErasureRepository
from botfleet.store.schema import wait_for_schema
from botfleet_operator.allowlist import allowlist
from botfleet_operator.builders import Platform
from botfleet_operator.defaults import TELEGRAM_BOT_DEFAULTS
from botfleet_operator.eraser import Eraser
from botfleet_operator.events import EventRecorder
from botfleet_operator.feed import HealthPoll, Reassert
from botfleet_operator.installation import Installation, StartError, is_still_there, read_key, recognise
from botfleet_operator.kubeapi import Credentials, KubeApi, KubeError
from botfleet_operator.leader import LeaderElection, Terms
from botfleet_operator.ledger import Ledger
from botfleet_operator.metrics import Metrics
from botfleet_operator.model import BotKey, bot_record
from botfleet_operator.network import network_of, renewed
from botfleet_operator.observe import Setting
from botfleet_operator.patience import patiently
from botfleet_operator.provision.bus import Users
from botfleet_operator.provision.database import Roles
from botfleet_operator.queue import KeyedQueue, work
from botfleet_operator.reconcile import Reconciler
from botfleet_operator.removal import Remover, Sweeper
from botfleet_operator.rows import Rows
from botfleet_operator.settings import Settings
from botfleet_operator.tasks import Background
from botfleet_operator.waves import Waves
from botfleet_operator.web import ProbeServer
from botfleet_operator.world import TELEGRAM_BOTS, World

log = structlog.get_logger("botfleet.operator")

_STOP_SECONDS = 3.0
_POOL = 6


class Operator:
    """One process. `start` returns when it leads and knows the cluster; `stop` hands leadership over first."""

    def __init__(self, settings: Settings, credentials: Credentials | None = None) -> None:
        self.settings = settings
        self.stopped = asyncio.Event()  # kopf ends when it is set
        self.exit_code = 0
        self.refused = False
        self.metrics = Metrics()
        self._background = Background()
        self.api = KubeApi(
            credentials or Credentials(),
            timeout_seconds=settings.api_timeout_seconds,
            watch_idle_seconds=settings.watch_idle_seconds,
            on_request=self.metrics.saw_request,
        )
        self.leader = LeaderElection(
            self.api,
            namespace=settings.own_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            terms=Terms(settings.leader_lease_seconds),
        )
        self.queue: KeyedQueue[BotKey] = KeyedQueue()
        self.probes = ProbeServer(settings.http_address, self.metrics, live=self._wrong, ready=self._unready)
        self._store: Store | None = None
        self._users: Users | None = None
        self._world: World | None = None
        self._reconciler: Reconciler | None = None
        self._waits_for: str | None = "the installation key"
        self._stopping = False

    # What kopf calls

    async def start(self) -> None:
        """Everything up to the first reconcile. Raises StartError when a person has to do something first."""
        await self.probes.start()
        loop = asyncio.get_running_loop()
        key = await self._wait_for_key()
        self._store = create_store(
            self.settings.database_url,
            _password(self.settings.database_password_file),
            pool=_POOL,
            statement_timeout=self.settings.store_timeout_seconds,
        )
        self._waits_for = "the migrated database"
        await wait_for_schema(self._store, self.settings.start_deadline_seconds)
        self._waits_for = "the CRDs"
        await self._wait_for_crds()
        self._waits_for = None  # a follower is ready: it could lead
        log.info("waiting_for_leadership")
        await self.leader.acquire()
        # From here on leadership is handed over before anything else ends.
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, lambda: self._background_stop(0))
        self.api.with_guard(self.leader.guard)
        self._background.start("leadership", self._lead())
        store, deadline = self._store, self.settings.start_deadline_seconds
        installation = await patiently(
            lambda: recognise(store, self.api, key, deadline_seconds=deadline), "the installation", deadline
        )
        await self._assemble(self._store, installation)
        self.metrics.leader.set(1)
        log.info("operator_leads", installation=installation.id)

    def refuse(self, why: str) -> None:
        """The start failed for a reason that a person has to remove."""
        self.refused = True
        self.exit_code = 1
        log.error("cannot_start", error=why)

    def bot_event(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """A TelegramBot was seen (kind None at the first look), changed or deleted."""
        if self._world is None:
            raise AssertionError("kopf watches after the start-up handlers")
        bot = bot_record(body)
        if kind == "DELETED":
            self._world.bot_deleted(bot.key, bot.uid)
        else:
            self._world.bot_seen(bot)

    async def stop(self) -> None:
        """Stops acting, releases the Lease, closes everything. Safe to call twice."""
        if self._stopping:
            return
        self._stopping = True
        await self._background.stop(_STOP_SECONDS)
        await self.leader.release()
        self.metrics.leader.set(0)
        self.stopped.set()
        await self.probes.stop()
        await self.api.close()
        if self._users is not None:
            await self._users.close()
        if self._store is not None:
            await self._store.close()

    # Parts

    async def _assemble(self, store: Store, installation: Installation) -> None:
        settings = self.settings
        self._users = Users(
            settings.redis_url,
            _password(settings.redis_password_file),
            installation.id,
            timeout_seconds=settings.store_timeout_seconds,
        )
        roles = Roles(store, installation.id, lease_term_seconds=settings.runner_lease_term_seconds)
        ledger = Ledger(
            store,
            roles,
            self._users,
            installation_id=installation.id,
            installation_key=installation.key,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        world = World(
            self.api,
            namespaces=settings.namespaces,
            installation_key=installation.key,
            enqueue=self.queue.add,
            defaults=settings.bot_defaults,
        )
        ledger.freed, ledger.lost = world.freed, self.queue.add
        await patiently(ledger.load, "the bots in the database", settings.start_deadline_seconds)
        self._world = world
        for informer in world.informers:
            self._background.start(f"informer {informer.resource.plural}", informer.run())
        async with asyncio.timeout(settings.start_deadline_seconds):
            for informer in world.informers:
                await informer.synced.wait()
        self._start_workers(store, world, ledger, await self._setting(installation), installation)

    def _start_workers(
        self, store: Store, world: World, ledger: Ledger, setting: Setting, installation: Installation
    ) -> None:
        settings, guard = self.settings, self.leader.guard
        remover = Remover(world, ledger, guard)
        eraser = Eraser(ledger, ErasureRepository(store, installation.key), guard)
        events = EventRecorder(self.api, reporter=settings.identity, guard=guard)
        self._background.start("events", events.run())
        waves = Waves(world, settings.rollout_limits, self.queue.add, self.metrics)
        self._reconciler = Reconciler(
            self.api,
            world,
            ledger,
            setting,
            self.queue,
            remover,
            eraser,
            self.metrics,
            waves,
            guard=guard,
            tell=events.tell,
        )
        self._background.start("rollout", waves.run())
        for number in range(settings.workers):
            self._background.start(f"worker {number}", work(self.queue, self._reconciler.handle))
        poll = HealthPoll(
            ledger,
            self.metrics,
            self._later,
            seconds=settings.health_poll_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        world.pods_moved = poll.unsettle
        poll.recovered = self._reconciler.try_again
        self._background.start("health", poll.run())
        self._background.start("users and roles", Reassert(ledger, self.metrics, self._later).run())
        self._background.start("rows", Rows(store, ledger).run())
        sweeper = Sweeper(
            self.api,
            TELEGRAM_BOTS,
            world,
            ledger,
            self.metrics,
            namespaces=settings.namespaces,
            seconds=settings.sweep_seconds,
            same_cluster=installation.cluster_uid is not None,
            is_still_there=lambda: is_still_there(self.api, installation),
            guard=guard,
        )
        self._background.start("comparison", sweeper.run())
        self._background.start("resync", self._resync(world))
        self._background.start("gauges", self._gauges())

    async def _setting(self, installation: Installation) -> Setting:
        settings = self.settings
        platform = Platform(
            image=settings.runner_image,
            image_pull_policy=settings.runner_image_pull_policy,
            image_pull_secrets=settings.runner_image_pull_secrets,
            database_url=settings.runner_database_url or without_user(settings.database_url),
            redis_url=settings.runner_redis_url or without_user(settings.redis_url),
            installation_id=installation.id,
            lease_term_seconds=settings.runner_lease_term_seconds,
            log_level=settings.runner_log_level,
            network=await patiently(
                lambda: network_of(settings, self.api),
                "the API server's addresses",
                settings.start_deadline_seconds,
            ),
        )
        allowed = allowlist(
            settings.allowed_images,
            settings.allowed_model_endpoints,
            settings.placement,
            runner_image=settings.runner_image,
            defaults=settings.bot_defaults,
        )
        return Setting(platform, settings.bot_defaults, allowed)

    def _later(self, key: BotKey, seconds: float) -> None:
        if seconds > 0:
            self.queue.add_after(key, seconds)
        else:
            self.queue.add(key)

    # Tasks

    async def _lead(self) -> None:
        """Holds the Lease; when it is lost the process ends, since another may act by now."""
        await self.leader.hold()
        if not self._stopping:
            self._background_stop(1)
            await asyncio.Event().wait()

    def _background_stop(self, code: int) -> None:
        self.exit_code = max(self.exit_code, code)
        self._stop_task = asyncio.get_running_loop().create_task(self.stop(), name="stop")

    async def watch_over(self) -> None:
        """Ends the process when a background task has died: a restart is better than half an operator."""
        await self._background.died.wait()
        self._background_stop(1)

    async def _resync(self, world: World) -> None:
        while True:
            await asyncio.sleep(self.settings.resync_seconds)
            if self._reconciler is not None:
                self._reconciler.setting = await renewed(self._reconciler.setting, self.settings, self.api)
            for key in list(world.bots):
                self.queue.add_after(key, random.random() * self.settings.resync_seconds / 2)  # noqa: S311 -- spreads

    async def _gauges(self) -> None:
        counted = -1
        while True:
            self.metrics.queue_depth.set(len(self.queue))
            self.metrics.queue_oldest.set(self.queue.oldest_seconds)
            self.metrics.queue_retrying.set(self.queue.retrying)
            for plural, seconds in self._world.silence().items() if self._world is not None else ():
                self.metrics.watch_silence.labels(plural).set(seconds)
            if self._reconciler is not None and self._reconciler.told != counted:
                counted = self._reconciler.told
                self.metrics.count_phases(self._reconciler.phases.values())
                self.metrics.count_conditions(self._reconciler.conditions.values())
            await asyncio.sleep(1.0)

    # Waiting

    async def _wait_for_key(self) -> bytes:
        deadline = time.monotonic() + self.settings.start_deadline_seconds
        said = False
        while True:
            try:
                return read_key(self.settings.installation_key_file)
            except StartError as error:
                if time.monotonic() > deadline or self.settings.installation_key_file.exists():
                    raise
                if not said:
                    log.warning("waiting_for_installation_key", error=str(error))
                said = True
            await asyncio.sleep(0.5)

    async def _wait_for_crds(self) -> None:
        """Kopf looks for its kind once, when it starts; an informer would be silent about a missing one for minutes."""
        deadline = time.monotonic() + self.settings.start_deadline_seconds
        namespace, said = next(iter(self.settings.namespaces), None), False
        for resource in (TELEGRAM_BOTS, TELEGRAM_BOT_DEFAULTS):
            while True:
                try:
                    async for _ in self.api.list_pages(resource, namespace, page_size=1):
                        break
                    break
                except KubeError as error:
                    if time.monotonic() > deadline:
                        raise StartError(
                            f"The {resource.kind} kind cannot be listed: {error}. Is the CRD installed?"
                        ) from error
                    if not said:
                        log.warning("waiting_for_crd", kind=resource.kind, error=str(error))
                    said = True
                await asyncio.sleep(0.5)

    def _wrong(self) -> str | None:
        return f"ended: {', '.join(self._background.dead)}" if self._background.dead else None

    def _unready(self) -> str | None:
        """Before it could lead it is not ready: a Deployment would end the working leader of the old version for it."""
        return self._wrong() or (f"waits for {self._waits_for}" if self._waits_for else None)


def without_user(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _password(file: Any) -> str:
    try:
        return str(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise StartError(f"A password file cannot be read: {file.name} ({type(error).__name__}).") from error
