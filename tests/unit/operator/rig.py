"""An operator without its process, over a real store (SQLite) and stand-ins for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botfleet.store.engine import Store
from botfleet.store.erasure import ErasureRepository
from botfleet_operator.builders import Platform
from botfleet_operator.defaults import defaults_record
from botfleet_operator.eraser import Eraser
from botfleet_operator.kubeapi import NotLeadingError
from botfleet_operator.ledger import Ledger
from botfleet_operator.metrics import Metrics
from botfleet_operator.model import BotKey, BotRecord, bot_record, child_record
from botfleet_operator.observe import Setting
from botfleet_operator.prompts import prompt_record
from botfleet_operator.queue import KeyedQueue
from botfleet_operator.reconcile import Reconciler
from botfleet_operator.removal import Remover, Sweeper
from botfleet_operator.rollout import Limits
from botfleet_operator.transitions import Transition
from botfleet_operator.waves import Waves
from botfleet_operator.world import TELEGRAM_BOTS, World, child_name
from tests.unit.operator import samples
from tests.unit.operator.fakes import FakeApi, FakeRoles, FakeUsers
from tests.unit.operator.samples import KEY, PLATFORM

LIMITS = Limits("2")
KEY_OF = BotKey("hotel", "concierge")
SWEEP_SECONDS = 60.0


class Rig:
    """An operator without its process."""

    def __init__(self, store: Store, installation_id: str, before: Rig | None = None) -> None:
        self.store, self.installation_id = store, installation_id
        self.api: FakeApi = before.api if before else FakeApi()
        self.roles: FakeRoles = before.roles if before else FakeRoles()
        self.users: FakeUsers = before.users if before else FakeUsers()
        self.metrics = Metrics()
        self.leading = self.still_there = True
        self.clock = 0.0
        self.told: list[tuple[str, str, str]] = []  # Events: the bot's UID, type and reason
        self.queue: KeyedQueue[BotKey] = KeyedQueue()
        api: Any = self.api
        self.world = World(api, namespaces=(), installation_key=KEY, enqueue=self.queue.add, defaults={})
        self.ledger = Ledger(
            store, self.roles, self.users,  # type: ignore[arg-type]
            installation_id=installation_id, installation_key=KEY,
        )  # fmt: skip
        self.ledger.freed, self.ledger.lost = self.world.freed, self.queue.add
        self.remover = Remover(self.world, self.ledger, self.guard)
        self.eraser = Eraser(self.ledger, ErasureRepository(store, KEY), self.guard)
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.lead()
        self.sweeper = Sweeper(
            api, TELEGRAM_BOTS, self.world, self.ledger, self.metrics, namespaces=(), seconds=SWEEP_SECONDS,
            same_cluster=True, is_still_there=self._is_still_there, guard=self.guard, clock=lambda: self.clock,
        )  # fmt: skip

    async def restarted(self) -> Rig:
        """Another process, which has read everything that there is."""
        again = Rig(self.store, self.installation_id, self)
        await again.ledger.load()
        for record in samples.secrets().values():
            again.world.secrets._store(record)
        for (kind, namespace, name), body in self.api.objects.items():
            if kind in again.world.children:
                managed = self.api.managed.get((kind, namespace, name), [])
                seen = {**body, "metadata": {**body["metadata"], "managedFields": managed}}
                again.world.children[kind]._store(child_record(kind, seen))
            elif kind == "TelegramBot":
                again.world.bot_seen(bot_record(body))
        return again

    def _tell(self, _key: BotKey, uid: str, transition: Transition) -> None:
        self.told.append((uid, transition.type, transition.reason))

    def lead(
        self, platform: Platform = PLATFORM, defaults: Mapping[str, Any] | None = None, limits: Limits = LIMITS
    ) -> None:
        """Another leader begins, without any memory but the watches'; perhaps of another release."""
        api: Any = self.api
        self.waves = Waves(self.world, limits, self.queue.add, self.metrics, now=lambda: self.time)
        self.reconciler = Reconciler(
            api, self.world, self.ledger, Setting(platform, defaults or {}), self.queue, self.remover, self.eraser,
            self.metrics, self.waves, guard=self.guard, now=lambda: self.time, tell=self._tell,
        )  # fmt: skip

    async def _is_still_there(self) -> bool:
        return self.still_there

    async def look(self, *, after: float = SWEEP_SECONDS) -> None:
        """One comparison, so many seconds after the last."""
        self.clock += after
        await self.sweeper.once()

    def guard(self) -> None:
        if not self.leading:
            raise NotLeadingError("no")

    def show(self, name: str = "concierge", uid: str = "uid-1", **spec: Any) -> BotRecord:
        """The bot and all Secrets appear in the watches."""
        for secret in samples.secrets().values():
            self.world.secrets._store(secret)
        base = samples.bot(**spec)
        record = replace(base, name=name, uid=uid, version=self.api.version)
        metadata = {"namespace": "hotel", "name": name, "uid": uid}
        self.api.store("TelegramBot", {"metadata": metadata, "spec": record.spec})
        self.world.bot_seen(record)
        return record

    def defaults(self, generation: int = 1, *, name: str = "default", namespace: str = "hotel", **spec: Any) -> None:
        """The namespace's defaults appear in their watch, or change."""
        self.api.version += 1
        metadata = {
            "namespace": namespace, "name": name, "uid": f"uid-{name}", "generation": generation,
            "resourceVersion": str(self.api.version),
        }  # fmt: skip
        self.world.defaults._store(defaults_record({"metadata": metadata, "spec": spec}))

    def prompt(self, name: str, *, namespace: str = "hotel", **texts: str) -> None:
        """A ConfigMap with the label appears in its watch, or changes."""
        self.api.version += 1
        metadata = {
            "namespace": namespace, "name": name, "uid": f"uid-{name}", "resourceVersion": str(self.api.version),
        }  # fmt: skip
        self.world.prompts._store(prompt_record({"metadata": metadata, "data": texts}))

    async def woken(self) -> list[BotKey]:
        """The bots in the queue, which is empty then."""
        keys = [await self.queue.get() for _ in range(len(self.queue))]
        for key in keys:
            self.queue.done(key)
        return sorted(keys)

    def change(self, name: str = "concierge", spec: dict[str, Any] | None = None, **metadata: Any) -> bool:
        """Somebody changes the object, or nobody does, and the watch shows it as it is now. False: it has gone."""
        key = ("TelegramBot", "hotel", name)
        body = self.api.objects.get(key)
        if body is None:
            gone = self.world.bots.get(BotKey("hotel", name))
            if gone is not None:
                self.world.bot_deleted(gone.key, gone.uid)
            return False
        generation = body["metadata"].get("generation", 3) + (spec is not None)
        metadata = {**body["metadata"], "generation": generation, **metadata}
        self.api.store("TelegramBot", {**body, "metadata": metadata, "spec": {**body["spec"], **(spec or {})}})
        self.world.bot_seen(bot_record(self.api.objects[key]))
        return True

    def hide(self, name: str = "concierge", uid: str = "uid-1") -> None:
        """The bot's deletion is shown by the watch."""
        self.api.objects.pop(("TelegramBot", "hotel", name), None)
        self.world.bot_deleted(BotKey("hotel", name), uid)

    def amend(self, kind: str, name: str = "concierge", **changes: Any) -> None:
        """The watch has shown this of a child."""
        informer = self.world.children[kind]
        record = informer.get("hotel", child_name(kind, name))
        assert record is not None
        informer.amend(replace(record, **changes))

    async def reconcile(self, name: str = "concierge") -> dict[str, Any]:
        await self.reconciler.handle(BotKey("hotel", name))
        found = self.api.objects.get(("TelegramBot", "hotel", name), {})
        return dict(found.get("status", {}))

    def reason(self, status: dict[str, Any], kind: str) -> str:
        return str(next(c["reason"] for c in status["conditions"] if c["type"] == kind))
