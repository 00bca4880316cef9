"""
Why: the one place that sees the whole fleet of a roll-out: each bot's reconcile asks it whether it may, and tells it how it stands.
Never: memory that matters. Where a bot stands is in its status and on its Deployment; another leader reads it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from botfleet.conditions import ConditionType, Reason
from botfleet_operator import rollout
from botfleet_operator.metrics import Metrics
from botfleet_operator.model import BotKey, BotRecord, moment
from botfleet_operator.plan import Turn
from botfleet_operator.rollout import Decision, Limits, Motion, Place, Standing, Wave
from botfleet_operator.status import instant
from botfleet_operator.world import World

log = structlog.get_logger("botfleet.operator.rollout")

_LOOK_SECONDS = 0.2  # many bots stand differently at once
_KNOWN_WITHIN = timedelta(seconds=60)
_NAMED_MOST = 5
_PLACES = {
    Reason.ROLLOUT_PENDING.value: Place.PENDING,
    Reason.ROLLOUT_IN_PROGRESS.value: Place.IN_PROGRESS,
    Reason.ROLLOUT_FAILED.value: Place.FAILED,
}


class Waves:
    """Lets bots go, wave by wave."""

    def __init__(
        self,
        world: World,
        limits: Limits,
        enqueue: Callable[[BotKey], None],
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._world, self._limits, self._enqueue, self._metrics, self._now = world, limits, enqueue, metrics, now
        self._began = now()
        self._standings: dict[BotKey, Standing] = {}
        self._noted: set[BotKey] = set()
        self._fleet_is_known = False
        self._wave: Wave | None = None
        self._let_go: frozenset[BotKey] = frozenset()
        self._finished: datetime | None = None
        self._motion = Motion.IDLE
        self._changed = asyncio.Event()

    def turn(self, key: BotKey) -> Turn:
        """What the roll-out says to this bot now."""
        now, standing = self._now(), self._standings.get(key)
        since = standing.since if standing else None
        return Turn(
            may=key in self._let_go,
            now=instant(now),
            overdue=since is not None and since + self._limits.timeout <= now,
            timeout_seconds=round(self._limits.timeout.total_seconds()),
        )

    def note(self, bot: BotRecord) -> None:
        """How this bot stands, by its status as it was written last."""
        self.noted(bot.key)
        conditions = {str(c.get("type")): c for c in bot.status.get("conditions") or ()}
        told = conditions.get(ConditionType.UP_TO_DATE, {})
        place, turned = _PLACES.get(str(told.get("reason"))), moment(told.get("lastTransitionTime"))
        refused = conditions.get(ConditionType.ACCEPTED, {}).get("status") != "True"
        child = self._world.children["Deployment"].get(bot.namespace, bot.name)
        stamp = moment(child.rolled_out) if child is not None and child.rolled_out else None
        if stamp is not None and stamp > self._now():
            stamp = None  # of a time to come: somebody else wrote it
        if place is None or refused or bot.deleting or bot.paused or bot.spec.get("suspend") is True:
            if stamp is not None and told.get("status") == "True":
                self._has_finished(turned)
            self._forget(bot.key)
            return
        ready = conditions.get(ConditionType.READY, {}).get("status") == "True"
        standing = Standing(bot.key, place, ready, None if place is Place.PENDING else stamp or turned)
        if self._standings.get(bot.key) != standing:
            self._standings[bot.key] = standing
            self._changed.set()

    def noted(self, key: BotKey) -> None:
        """It was looked at, with whatever result."""
        if not self._fleet_is_known:
            self._noted.add(key)
            self._changed.set()

    def gone(self, key: BotKey) -> None:
        """Nobody waits for it any more."""
        self._forget(key)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            wake = self.look()
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.0, (wake - self._now()).total_seconds()) if wake else None):
                    await self._changed.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> datetime | None:
        """Decides anew, and wakes the bots that the decision is about. Returns when to look again if nothing changes."""
        if not self._knows_the_fleet():
            return self._began + _KNOWN_WITHIN
        decision = rollout.decide(
            self._standings.values(),
            fleet=len(self._world.bots),
            limits=self._limits,
            now=self._now(),
            wave=self._wave,
            finished=self._finished,
        )
        self._tell(decision)
        before, self._let_go = self._let_go, decision.wave.bots if decision.wave else frozenset()
        if decision.wave is not None:
            self._wave = decision.wave
        for key in sorted(self._let_go - before):
            self._enqueue(key)
        for key in decision.late:
            standing = self._standings.get(key)
            if standing is not None and standing.place is Place.IN_PROGRESS:
                self._enqueue(key)  # to say so in its status
        return decision.wake

    def _knows_the_fleet(self) -> bool:
        """A new leader lets nobody go before it knows who is under way: whom it has not looked at yet might be."""
        if not self._fleet_is_known:
            there = {BotKey(c.namespace, c.bot) for c in self._world.children["Deployment"] if c.bot is not None}
            known = self._noted.issuperset(there | self._world.bots.keys())
            self._fleet_is_known = known or self._now() - self._began >= _KNOWN_WITHIN
            if self._fleet_is_known:
                self._noted.clear()
        return self._fleet_is_known

    def _forget(self, key: BotKey) -> None:
        if self._standings.pop(key, None) is not None:
            self._changed.set()

    def _has_finished(self, when: datetime | None) -> None:
        if when is not None and (self._finished is None or when > self._finished):
            self._finished = when

    def _tell(self, decision: Decision) -> None:
        places = [standing.place for standing in self._standings.values()]
        pending, late = places.count(Place.PENDING), len(decision.late)
        self._metrics.rollout_pending.set(pending)
        self._metrics.rollout_in_progress.set(len(places) - pending)
        self._metrics.rollout_halted.set(decision.motion is Motion.HALTED)
        if decision.motion is Motion.HALTED:
            if self._motion is not Motion.HALTED:
                log.error(
                    "rollout_halted",
                    bots=[f"{key.namespace}/{key.name}" for key in decision.late[:_NAMED_MOST]],
                    not_ready=late,
                    pending=pending,
                    action="see why these bots are not Ready; then correct what was changed in the installation and upgrade again, "
                    "or roll it back: they get that first. One that has another reason may be suspended. docs/rollouts.md",
                )
        elif decision.wave is not None and (self._wave is None or decision.wave.began != self._wave.began):
            log.info("rollout_wave", bots=len(decision.wave.bots), pending=pending)
        elif decision.motion is Motion.IDLE and self._motion is not Motion.IDLE:
            log.info("rollout_complete")
        elif self._motion is Motion.HALTED:
            log.info("rollout_goes_on", pending=pending)
        self._motion = decision.motion
