"""
Why: runners have no Kubernetes credentials: their health comes through the database, one query a second for all bots.
Never: ask for a bot that has nothing new to say, or go on believing news that has grown old.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from botfleet.store.errors import StoreError
from botfleet.store.health_feed import HealthRow
from botfleet_operator.ledger import Ledger
from botfleet_operator.metrics import Metrics
from botfleet_operator.model import BotKey
from botfleet_operator.provision.bus import BusUnavailableError

log = structlog.get_logger("botfleet.operator.feed")

_OVERLAP = timedelta(seconds=10)  # a row may commit after one with a newer stamp
_ALL_EVERY_SECONDS = 60.0
_UNSETTLED_SECONDS = 10.0
_PACE_SECONDS = 0.05  # between the writes when many bots fall silent at once
_BUS_EVERY_SECONDS = 5.0
_OVERDUE_SECONDS = (
    75.0  # the comparison asks which roles and users there are once a minute; while it does, that is enough
)


def _nothing() -> None:
    """Before anybody listens."""


class HealthPoll:
    """Reads changed health, and now and then all of it; `enqueue(key, seconds)` is called for each bot with news."""

    def __init__(
        self,
        ledger: Ledger,
        metrics: Metrics,
        enqueue: Callable[[BotKey, float], None],
        *,
        seconds: float,
        heartbeat_seconds: float,
    ) -> None:
        self._ledger, self._metrics, self._enqueue = ledger, metrics, enqueue
        self._seconds, self._heartbeat_seconds = seconds, heartbeat_seconds
        self._newest: datetime | None = None
        self._all_at = float("-inf")
        self._unsettled_until = float("-inf")
        self._answered_at = time.monotonic()
        self.recovered: Callable[[], None] = _nothing

    def unsettle(self) -> None:
        """Pods come or go: for a while look at all leases, since a new holder with the same health leaves no stamp."""
        self._look_at_all_for(_UNSETTLED_SECONDS)

    def _look_at_all_for(self, seconds: float) -> None:
        self._unsettled_until = max(self._unsettled_until, time.monotonic() + seconds)

    async def run(self) -> None:
        """Until cancelled. An outage of the database is logged once when it begins and once when it ends."""
        failing = False
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.once()
                if failing:
                    log.info("health_readable_again")
                    # Nor does a runner that holds its lease again after the outage: each is back within that time, or silent.
                    self._look_at_all_for(self._heartbeat_seconds)
                    self.recovered()
                failing = False
            except StoreError as error:
                self._metrics.store_failures.labels("database").inc()
                if not failing:
                    log.warning("health_unreadable", error=str(error))
                failing = True
                if time.monotonic() - self._answered_at > self._heartbeat_seconds:
                    self._tell(self._ledger.silence())

    async def once(self) -> None:
        """One look."""
        now = time.monotonic()
        all_of_them = now - self._all_at >= _ALL_EVERY_SECONDS or now < self._unsettled_until
        # A lease that ran out and is held again leaves no stamp either, unless the health is another.
        if self._newest is None or all_of_them or self._ledger.any_lapsed():
            rows = await self._ledger.all_health()
            self._all_at = now
        else:
            rows = await self._ledger.changed_health(self._newest - _OVERLAP)
        self._answered_at = time.monotonic()
        self._note(rows)
        self._tell(self._ledger.heard(rows))

    def _note(self, rows: Iterable[HealthRow]) -> None:
        stamps = [row.changed_at for row in rows if row.changed_at is not None]
        if stamps and (self._newest is None or max(stamps) > self._newest):
            self._newest = max(stamps)

    def _tell(self, keys: list[BotKey]) -> None:
        for position, key in enumerate(keys):
            self._enqueue(key, position * _PACE_SECONDS if len(keys) > 16 else 0.0)


class Reassert:
    """Notices when users and roles that were made in Redis and the database are no longer there."""

    def __init__(self, ledger: Ledger, metrics: Metrics, enqueue: Callable[[BotKey, float], None]) -> None:
        self._ledger, self._metrics, self._enqueue = ledger, metrics, enqueue
        self._run_id = self._database_run_id = ""

    async def run(self) -> None:
        """Until cancelled."""
        failing = False
        while True:
            try:
                await self.once()
                failing = False
            except (BusUnavailableError, StoreError) as error:
                self._metrics.store_failures.labels(
                    "redis" if isinstance(error, BusUnavailableError) else "database"
                ).inc()
                if not failing:
                    log.warning("users_not_checked", error=str(error))
                failing = True
            await asyncio.sleep(_BUS_EVERY_SECONDS)

    async def once(self) -> None:
        """Each when its server was started anew, or nobody has looked lately. A server that is away hides nothing of the other."""
        try:
            await self._look_at_roles()
        finally:
            await self._look_at_users()

    async def _look_at_roles(self) -> None:
        run_id = await self._ledger.database_run_id()
        if run_id != self._database_run_id or self._ledger.role_names.seconds > _OVERDUE_SECONDS:
            self._tell(await self._ledger.check_roles(), "database_roles_missing")
            self._database_run_id = run_id

    async def _look_at_users(self) -> None:
        try:
            run_id = await self._ledger.bus_run_id()
            if run_id != self._run_id or self._ledger.user_names.seconds > _OVERDUE_SECONDS:
                self._tell(await self._ledger.check_users(), "redis_users_missing")
                self._run_id = run_id
        except BusUnavailableError:
            self._run_id = ""  # whatever it is when it is back
            raise

    def _tell(self, keys: list[BotKey], event: str) -> None:
        if keys:
            log.info(event, bots=len(keys))
        for key in keys:
            self._enqueue(key, 0.0)
