"""Why: holds the lease: takes it, renews it, and says in time that it is lost. Telegram work starts only under a tenure.

It never adopts a lease that it finds: after trouble the row is compared by the store, and a lost lease is acquired anew.
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from botfleet.health import Health
from botfleet.store.errors import StoreError, StoreUnavailable
from botfleet.store.lease import Lease
from botrunner.ownership.clock import LeaseClock, now
from botrunner.ownership.cutoff import CutOff

_log = structlog.get_logger(__name__)

TRY_EVERY_SECONDS = 1.0
REPORT_EVERY_SECONDS = 1.0


class Leases(Protocol):
    """What the keeper needs of `botfleet.store.lease.LeaseRepository`."""

    async def acquire(self, holder: str, term: float) -> Lease | None:
        """Take the lease; None: another holder has it."""

    async def renew(self, lease: Lease) -> bool:
        """False: lost."""

    async def release(self, lease: Lease) -> None:
        """Let the next one in."""

    async def report(self, lease: Lease, health: Health) -> None:
        """Write a changed health."""


@dataclass(frozen=True)
class Tenure:
    """One lease in hand, from its acquisition until it is lost or released. A new lease is a new tenure."""

    lease: Lease
    clock: LeaseClock
    guard: CutOff
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class LeaseKeeper:
    """Keeps the lease of one bot for one holder. `run` is the loop; the rest may be called from the same event loop."""

    def __init__(
        self,
        leases: Leases,
        holder: str,
        term: float,
        *,
        try_every: float = TRY_EVERY_SECONDS,
        report_every: float = REPORT_EVERY_SECONDS,
    ) -> None:
        """Args:
        term: in seconds, by the database's clock.
        try_every: seconds between attempts to take a lease that another one holds.
        report_every: seconds at least between two reports of health.
        """
        self._leases = leases
        self._holder = holder
        self._term = term
        self._try_every = min(try_every, term)
        self._report_every = report_every
        self._tenure: Tenure | None = None
        self._taken = asyncio.Condition()
        self._health: Health | None = None
        self._health_changed = asyncio.Event()
        self.held_elsewhere = False
        """Whether the last attempt found another holder: the reason LeaseHeldElsewhere for /readyz."""

    def held(self) -> Tenure | None:
        """The tenure, if there is one and its time is not over."""
        tenure = self._tenure
        return tenure if tenure is not None and not tenure.lost.is_set() and tenure.clock.may_act() else None

    async def wait_held(self) -> Tenure:
        """Wait, for as long as it takes, until the lease is held."""
        async with self._taken:
            await self._taken.wait_for(lambda: self.held() is not None)
            tenure = self.held()
            assert tenure is not None  # noqa: S101 -- just waited for
            return tenure

    def report(self, health: Health) -> None:
        """Have this health written: at once if it differs, at most once in `report_every`, again under each new lease."""
        if health != self._health:
            self._health = health
            self._health_changed.set()

    async def run(self) -> None:
        """Acquire, renew, and begin again after a loss, until cancelled. Cancelled, the sockets are shut, the lease stays.

        Raises:
            ExceptionGroup: with a StoreError: the store refuses in a way that will not pass.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report_changes(), name="lease-report")
            tasks.create_task(self._keep(), name="lease-keep")

    async def _keep(self) -> None:
        while True:
            tenure = await self._acquire()
            try:
                await self._renew_until_lost(tenure)
            finally:
                self._lose(tenure)

    async def release(self) -> None:
        """Clean stop, after Telegram is disconnected and with `run` cancelled: cut, then let the next one in at once."""
        tenure = self._tenure
        if tenure is None:
            return
        self._tenure = None
        await asyncio.to_thread(tenure.guard.close)
        tenure.lost.set()
        try:
            async with asyncio.timeout(self._deadline):
                await self._leases.release(tenure.lease)
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("lease.release_failed", error=type(error).__name__)  # it expires by itself

    @property
    def _deadline(self) -> float:
        return self._term / 3

    async def _acquire(self) -> Tenure:
        while True:
            sent_at = now()
            try:
                async with asyncio.timeout(self._deadline):
                    lease = await self._leases.acquire(self._holder, self._term)
            except (StoreUnavailable, TimeoutError) as error:
                _log.warning("lease.store_unavailable", error=type(error).__name__)
                lease = None
            else:
                self.held_elsewhere = lease is None
            clock = None if lease is None else LeaseClock(lease.term, sent_at)
            if lease is not None and clock is not None and clock.may_act():
                return await self._begin(Tenure(lease, clock, CutOff(clock)))
            # Jittered: a whole fleet asks again after an outage of the database.
            await asyncio.sleep(self._try_every * random.uniform(0.75, 1.0))  # noqa: S311

    async def _begin(self, tenure: Tenure) -> Tenure:
        async with self._taken:
            self._tenure = tenure
            self._taken.notify_all()
        self._health_changed.set()
        _log.info("lease.acquired", term=tenure.lease.term)
        return tenure

    async def _renew_until_lost(self, tenure: Tenure) -> None:
        pause = self._term / 3
        while True:
            await asyncio.sleep(min(pause, tenure.clock.remaining()))
            if not tenure.clock.may_act():
                _log.error("lease.over", reason="no renewal succeeded in time")
                return
            sent_at = now()
            try:
                async with asyncio.timeout(min(self._deadline, max(tenure.clock.remaining(), 0.001))):
                    renewed = await self._leases.renew(tenure.lease)
            except (StoreUnavailable, TimeoutError) as error:
                _log.warning("lease.renewal_failed", error=type(error).__name__)
                pause = min(self._try_every, self._term / 10)
                continue
            if not renewed or not tenure.clock.renewed(sent_at):
                _log.error("lease.over", reason="taken over" if not renewed else "renewed too late")
                return
            pause = max(0.0, self._term / 3 - (now() - sent_at))

    def _lose(self, tenure: Tenure) -> None:
        tenure.guard.cut()
        tenure.lost.set()

    async def _report_changes(self) -> None:
        """Writes the newest health; a report that fails is tried again, a stale lease's is dropped by the store."""
        while True:
            await self._health_changed.wait()
            self._health_changed.clear()
            tenure, health = self.held(), self._health
            if tenure is None or health is None:
                continue  # a new tenure sets the event again
            try:
                async with asyncio.timeout(self._deadline):
                    await self._leases.report(tenure.lease, health)
            except (StoreUnavailable, TimeoutError) as error:
                _log.warning("lease.report_failed", error=type(error).__name__)
                self._health_changed.set()
            except StoreError as error:
                _log.error("lease.report_refused", error=type(error).__name__)
            await asyncio.sleep(self._report_every)
