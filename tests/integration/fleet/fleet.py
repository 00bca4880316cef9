"""A fleet on the rig: Secrets and bots, and runners played by pods and health, so that roll-outs can be watched."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from botfleet.health import Health
from botfleet.store.health_feed import HealthRow
from botfleet_operator.model import BotKey, bot_record, child_record
from botfleet_operator.names import ANNOTATION_CREDENTIALS, ANNOTATION_SPEC, ANNOTATION_TEMPLATE
from tests.unit.operator import samples
from tests.unit.operator.rig import Rig


class Fleet:
    """Bots `bot-0`, `bot-1` … whose watches, pods and runners are played."""

    def __init__(self, rig: Rig, bots: int, **spec: Any) -> None:
        self.rig = rig
        self.names = [f"bot-{number}" for number in range(bots)]
        for number, name in enumerate(self.names):
            rig.world.secrets._store(samples.secret(name, token=f"{1000 + number}:AAplanted-token"))
            rig.show(name, f"uid-{name}", account=samples.account(name), **spec)

    async def run(self) -> None:
        """Until nobody has anything to do at once: all bots, and the roll-out."""
        for _ in range(50):
            while self.rig.queue._ready:
                key = await self.rig.queue.get()
                await self.rig.reconciler.handle(key)
                self.rig.queue.done(key)
            self.rig.waves.look()
            if not self.rig.queue._ready:
                return
        raise AssertionError("it never comes to rest")

    async def lead(self, **changes: Any) -> None:
        """Another leader, of another release perhaps, which knows only what the watches show."""
        self.rig.lead(**changes)
        for name in self.names:
            record = bot_record(self.rig.api.objects[("TelegramBot", "hotel", name)] | {})
            self.rig.world.bots.pop(record.key, None)
            self.rig.world.bot_seen(record)
        await self.run()

    async def after(self, seconds: float) -> None:
        self.rig.time += timedelta(seconds=seconds)
        await self.run()

    async def ready(self, *names: str, connected: bool = True) -> None:
        """The runner of a new pod of each bot's Deployment, as it is now, reports."""
        for name in names or self.names:
            marks = self.template(name)["metadata"]["annotations"]
            uid = f"pod-{secrets.token_hex(4)}"
            for old in self.rig.world.pods_of(BotKey("hotel", name)):
                self.rig.world.pods._drop(("hotel", old.name), old.version)
            self.rig.world.pods._store(
                replace(
                    samples.pod(uid),
                    name=f"{name}-{uid}",
                    bot=name,
                    credentials=marks[ANNOTATION_CREDENTIALS],
                    template=marks[ANNOTATION_TEMPLATE],
                )
            )
            self.says(name, uid, Health(spec_digest=marks[ANNOTATION_SPEC], connected=connected, authorized=connected))
        await self.run()

    def says(self, name: str, holder: str, health: Health) -> None:
        identity = self.rig.ledger.identity_of(BotKey("hotel", name), f"uid-{name}")
        assert identity is not None
        now = datetime.now(UTC)
        row = HealthRow(identity.bot_id, holder, now + timedelta(seconds=60), now, 0.0, health, now)
        for key in self.rig.ledger.heard([row]):
            self.rig.queue.add(key)

    async def owner_edits(self, name: str, **spec: Any) -> None:
        body = self.rig.api.objects[("TelegramBot", "hotel", name)]
        self.rig.api.store("TelegramBot", {**body, "spec": {**body["spec"], **spec}})
        self.rig.world.bot_seen(bot_record(self.rig.api.objects[("TelegramBot", "hotel", name)]))
        await self.run()

    async def somebody_edits(
        self, kind: str, name: str, edit: Callable[[dict[str, Any], dict[str, Any]], None]
    ) -> None:
        """`edit(body, fields)`: what becomes of the object, and of our entry in its managedFields."""
        body = copy.deepcopy(self.rig.api.objects[(kind, "hotel", name)])
        fields = samples.fields_of({k: v for k, v in body.items() if k != "status"})
        edit(body, fields)
        self.rig.api.store(kind, body)
        body = copy.deepcopy(self.rig.api.objects[(kind, "hotel", name)])
        body["metadata"]["managedFields"] = [{"manager": "botfleet-operator", "operation": "Apply", "fieldsV1": fields}]
        self.rig.world.children[kind]._store(child_record(kind, body))
        await self.run()

    def deployment(self, name: str) -> dict[str, Any]:
        return self.rig.api.objects[("Deployment", "hotel", name)]

    def template(self, name: str) -> dict[str, Any]:
        return dict(self.deployment(name)["spec"]["template"])

    def images(self) -> list[str]:
        """The last word of each bot's image, in the order of their names."""
        return [self.template(n)["spec"]["containers"][0]["image"].rpartition(":")[2] for n in self.names]

    def condition(self, name: str, kind: str = "UpToDate") -> tuple[str, str]:
        status = self.rig.api.objects[("TelegramBot", "hotel", name)]["status"]
        return next((c["status"], c["reason"]) for c in status["conditions"] if c["type"] == kind)

    def reasons(self) -> list[str]:
        return [self.condition(name)[1] for name in self.names]

    def figures(self) -> dict[str, float]:
        metrics = self.rig.metrics
        return {
            "pending": metrics.rollout_pending._value.get(),
            "in progress": metrics.rollout_in_progress._value.get(),
            "halted": metrics.rollout_halted._value.get(),
        }
