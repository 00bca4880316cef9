"""Why: events are true once they are in the store; the relay carries them to the bus, in order, at least once.

It loses nothing when the bus is away (rows wait in the store) and never stops the bot from answering.
"""

import asyncio
import random
from dataclasses import dataclass
from typing import Protocol

import structlog

from botfleet.bus.port import Bus, BusUnavailable
from botfleet.store.errors import StoreUnavailable
from botfleet.store.events import Event

_log = structlog.get_logger(__name__)


class Source(Protocol):
    """Where events wait; `EventRepository` is one."""

    async def unrelayed(self, limit: int = ...) -> list[Event]:
        """The oldest that wait."""
        ...

    async def mark_relayed(self, ids: list[str]) -> None:
        """They are on the bus."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, but for `batch`. `idle`: how often to look without being told; waits grow from `first` to `longest`.

    `rest`: at least between two looks that did not fill a batch. Under load each look then carries several events, and
    the store has time for the messages; the first event after a quiet moment is carried at once.
    """

    batch: int = 500
    rest: float = 0.025
    idle: float = 5.0
    first: float = 0.5
    longest: float = 30.0


class Relay:
    """Run it as one task; cancel it to stop. Cancelled half-way, it hands the same events over again next time."""

    def __init__(self, source: Source, bus: Bus, pace: Pace | None = None) -> None:
        self._source = source
        self._bus = bus
        self._pace = pace or Pace()
        self._told = asyncio.Event()
        self.relayed = 0
        self.waiting = False

    def tell(self) -> None:
        """There may be events: look now. Cheap, and right after every write that makes one."""
        self._told.set()

    async def run(self) -> None:
        """Carry events until cancelled.

        Raises:
            LeaseLost: another runner relays now.
            StoreError: the store refuses; a programming error.
        """
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            self._told.clear()
            try:
                count = await self._carry()
            except (BusUnavailable, StoreUnavailable) as error:
                failures += 1
                self.waiting = True
                seconds = self._wait_after(failures)
                _log.warning("relay.waits", reason=str(error), seconds=round(seconds, 1), failures=failures)
                # Being told of new events is no reason to knock sooner.
                await asyncio.sleep(seconds)
                continue
            if failures:
                _log.info("relay.goes_on", failures=failures)
            failures, self.waiting = 0, False
            if count < self._pace.batch:
                await self._until_told()
                await asyncio.sleep(max(0.0, began + self._pace.rest - clock()))

    async def _carry(self) -> int:
        events = await self._source.unrelayed(self._pace.batch)
        if events:
            await self._bus.publish(events)
            await self._source.mark_relayed([event.id for event in events])
            self.relayed += len(events)
        return len(events)

    async def _until_told(self) -> None:
        try:
            async with asyncio.timeout(self._pace.idle):
                await self._told.wait()
        except TimeoutError:
            return

    def _wait_after(self, failures: int) -> float:
        longest = min(self._pace.longest, self._pace.first * float(1 << min(failures - 1, 16)))
        # Runners that lost the same Redis do not come back in step.
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
