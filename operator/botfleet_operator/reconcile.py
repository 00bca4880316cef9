"""
Why: one bot, from what is to what should be: observe, decide, apply, again until nothing is left to do; then its status.
Never: more than one reconcile of a bot at a time (the queue sees to it), or a write that changes nothing.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from botfleet.conditions import Reason
from botfleet.store.errors import StoreError
from botfleet_operator import status
from botfleet_operator.apply import Applier
from botfleet_operator.decide import decide
from botfleet_operator.eraser import Eraser
from botfleet_operator.kubeapi import (
    JSON_PATCH,
    ConflictError,
    InvalidError,
    KubeApi,
    KubeError,
    NotFoundError,
    NotLeadingError,
    same,
)
from botfleet_operator.ledger import Ledger
from botfleet_operator.metrics import Metrics, Statuses, statuses
from botfleet_operator.model import BotKey, BotRecord
from botfleet_operator.observe import Scratch, Setting, observe
from botfleet_operator.plan import Apply, Plan
from botfleet_operator.provision.bus import BusUnavailableError
from botfleet_operator.queue import KeyedQueue
from botfleet_operator.removal import Remover
from botfleet_operator.strays import uid_of
from botfleet_operator.transitions import DELETED, Transition, transitions
from botfleet_operator.waves import Waves
from botfleet_operator.world import TELEGRAM_BOTS, World

log = structlog.get_logger("botfleet.operator.reconcile")

_ROUNDS_MOST = 12
# What sends no news when it comes or goes: an object without our label; a binding that nobody has proved in time.
_UNWATCHED = frozenset(
    {
        Reason.NAME_CONFLICT,
        Reason.SECRET_MISSING,
        Reason.SECRET_NOT_LABELLED,
        Reason.CONFIG_MAP_MISSING,
        Reason.CONFIG_MAP_NOT_LABELLED,
        Reason.ACCOUNT_IN_USE,
    }
)
_LOOK_AGAIN_SECONDS = 30.0
_GONE_SECONDS = 1.0  # until the watch has told, too, that an object is no more
_CONFLICT_SECONDS = 1.0


@dataclass(slots=True)
class _Written:
    """What was last written of a bot's status, until the watch shows it."""

    uid: str
    version: int
    status: dict[str, object]
    figures_at: float


class Reconciler:
    """Handles the keys of the queue."""

    def __init__(
        self,
        api: KubeApi,
        world: World,
        ledger: Ledger,
        setting: Setting,
        queue: KeyedQueue[BotKey],
        remover: Remover,
        eraser: Eraser,
        metrics: Metrics,
        waves: Waves,
        *,
        guard: Callable[[], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell: Callable[[BotKey, str, Transition], None] = lambda key, uid, transition: None,
    ) -> None:
        self._api, self._world, self._ledger, self.setting = api, world, ledger, setting
        self._queue, self._remover, self._metrics, self._now = queue, remover, metrics, now
        self._waves, self._tell = waves, tell
        self._applier = Applier(api, world, ledger, eraser, guard)
        self._written: dict[BotKey, _Written] = {}
        self._failing: set[BotKey] = set()
        # For the metrics; `told` counts the changes of both, since counting a fleet anew each second is most of its idling.
        self.told = 0
        self.phases: dict[BotKey, str] = {}
        self.conditions: dict[BotKey, Statuses] = {}

    def try_again(self) -> None:
        """What everything depends on is back: nobody waits for the end of a back-off."""
        for key in self._failing:
            self._queue.add(key)

    async def handle(self, key: BotKey) -> None:
        """One reconcile, with its result in queue and metrics. What nobody foresaw in one bot delays that bot alone."""
        began = time.monotonic()
        try:
            result = await self._reconcile(key)
        except NotLeadingError:
            result = "not_leading"
            self._queue.add_after(key, _CONFLICT_SECONDS)  # a renewal that was late may still be answered
        except (KubeError, StoreError, BusUnavailableError) as error:
            result = "error"
            self._failing.add(key)
            delay = self._queue.failed(key)
            log.warning(
                "reconcile_failed", namespace=key.namespace, bot=key.name, error=str(error), retry_seconds=delay
            )
        except Exception as error:  # noqa: BLE001 -- a mistake of ours; a person reads of it, and the other bots go on
            result = "broken"
            delay = self._queue.failed(key)
            # Without the error's text, which may quote a value.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error(
                "reconcile_broken",
                namespace=key.namespace,
                bot=key.name,
                error=type(error).__name__,
                where=f"{Path(where.filename).name}:{where.lineno}",
                retry_seconds=delay,
            )
        self._waves.noted(key)
        self._metrics.reconciles.labels(result).inc()
        self._metrics.reconcile_seconds.labels(result).observe(time.monotonic() - began)

    async def _reconcile(self, key: BotKey) -> str:
        bot = self._world.bots.get(key)
        if bot is None:
            waits = await self._clean_up(key)
            self._written.pop(key, None)
            self.phases.pop(key, None)
            self.conditions.pop(key, None)
            self.told += 1
            self._waves.gone(key)
            self._failing.discard(key)
            if waits is None:
                self._queue.forget(key)
            else:
                self._queue.add_after(key, waits)
            return "removed"
        bot = self._as_written(bot)
        scratch = Scratch()
        plan = await self._rounds(bot, scratch)
        before = self._ledger.identity_at(key)
        waits = await self._clean_up(key, successor=bot.uid)
        if scratch.wait_seconds is not None and waits is None:
            retired = before is not None and self._ledger.identity_at(key) is None
            waits = 0.0 if retired else scratch.wait_seconds
        await self._write_status(bot, plan)
        self._waves.note(self._as_written(bot))
        if scratch.failures:
            self._failing.add(key)
            self._queue.failed(key, at_least=max(f.seconds for f in scratch.failures.values()))
            return "failed"
        self._failing.discard(key)
        self._queue.succeeded(key)
        retry = waits if waits is not None else plan.retry_seconds
        if retry is None and any(v.reason in _UNWATCHED for v in plan.verdicts):
            retry = _LOOK_AGAIN_SECONDS
        if retry is not None:
            self._queue.add_after(key, retry)
        return "ok"

    async def _clean_up(self, key: BotKey, successor: str | None = None) -> float | None:
        """As the remover; whose removal is done is told."""
        gone = {uid for uid, name in self._world.gone.items() if name == key}
        waits = await self._remover.clean_up(key, successor=successor)
        for uid in gone - self._world.gone.keys():
            self._tell(key, uid, DELETED)
        return waits

    async def _rounds(self, bot: BotRecord, scratch: Scratch) -> Plan:
        applied: set[str] = set()
        for _ in range(_ROUNDS_MOST):
            turn = self._waves.turn(bot.key)
            plan = decide(observe(bot, self._world, self._ledger, self.setting, scratch, turn))
            if not plan.steps:
                return plan
            kinds = {step.manifest["kind"] for step in plan.steps if isinstance(step, Apply)}
            if kinds & applied and await self._is_gone(bot):
                # The garbage collector takes its children as fast as they are made; the watch tells in a moment.
                scratch.wait_seconds = _GONE_SECONDS
                return plan
            applied |= kinds
            await self._applier.run(bot, plan.steps, scratch)
            if scratch.wait_seconds is not None:
                return plan
        log.error(
            "rounds_exhausted",
            namespace=bot.namespace,
            bot=bot.name,
            steps=[type(step).__name__ for step in plan.steps],
        )
        return plan

    async def _is_gone(self, bot: BotRecord) -> bool:
        return await uid_of(self._api, TELEGRAM_BOTS, bot.key) != bot.uid

    def _as_written(self, bot: BotRecord) -> BotRecord:
        """With the status that was written last, if the watch does not show it yet."""
        written = self._written.get(bot.key)
        if written is None or written.uid != bot.uid:
            return bot
        if written.version <= bot.version:
            written.status = {}  # the watch shows it: one copy is enough
            return bot
        return replace(bot, status=dict(written.status))

    async def _write_status(self, bot: BotRecord, plan: Plan) -> None:
        if not plan.verdicts and not bot.deleting:
            return
        before = self._written.get(bot.key)
        since = time.monotonic() - before.figures_at if before else status.FIGURES_INTERVAL_SECONDS
        whole, now = since >= status.FIGURES_INTERVAL_SECONDS, self._now()
        wanted = status.merged(bot, plan, now, figures=whole)
        phase, words = str(wanted["phase"]), statuses(wanted["conditions"])
        if (self.phases.get(bot.key), self.conditions.get(bot.key)) != (phase, words):
            self.phases[bot.key], self.conditions[bot.key] = phase, words
            self.told += 1
        changed = status.changed(bot.status, wanted)
        if not whole and status.merged(bot, plan, now) != wanted:
            self._queue.add_after(bot.key, status.FIGURES_INTERVAL_SECONDS - since)
        if not changed:
            return
        try:
            answered = await self._api.patch(
                TELEGRAM_BOTS,
                bot.namespace,
                bot.name,
                [same(bot.uid), {"op": "add", "path": "/status", "value": wanted}],
                content_type=JSON_PATCH,
                subresource="status",
            )
        except NotFoundError:
            return  # deleted; the watch tells
        except ConflictError:
            # The watch tells; but what was not written must not wait for news that may not come.
            self._queue.add_after(bot.key, _CONFLICT_SECONDS)
            return
        except InvalidError:
            if not await self._is_gone(bot):
                raise
            return  # the name belongs to a new object by now; the watch tells
        told = bool(status.FIGURES & changed)
        figures_at = time.monotonic() if told else (before.figures_at if before else float("-inf"))
        self._written[bot.key] = _Written(bot.uid, int(answered["resourceVersion"]), wanted, figures_at)
        for transition in transitions(bot.status, wanted):
            self._tell(bot.key, bot.uid, transition)
