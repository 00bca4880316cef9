"""Why: alone, without Redis, the same events reach whoever listens in the same process. Nothing is kept here."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from botfleet.bus.port import BusUnavailable
from botfleet.store.events import Event

DEFAULT_BOUND = 1000


class InProcessBus:
    """Hands each event to every subscriber. One that does not keep up holds the relay back, not the bot."""

    def __init__(self, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._queues: list[asyncio.Queue[Event]] = []

    async def publish(self, events: Sequence[Event]) -> None:
        """See `Bus`. Without subscribers events are taken and gone."""
        try:
            async with asyncio.timeout(self._timeout):
                for event in events:
                    for queue in tuple(self._queues):
                        await queue.put(event)
        except TimeoutError:
            raise BusUnavailable("a subscriber does not take its events") from None

    @asynccontextmanager
    async def subscribe(self, bound: int = DEFAULT_BOUND) -> AsyncIterator[AsyncIterator[Event]]:
        """Events from now on, until the block ends; at most `bound` wait."""
        queue: asyncio.Queue[Event] = asyncio.Queue(bound)
        self._queues.append(queue)
        try:
            yield _drain(queue)
        finally:
            self._queues.remove(queue)

    async def close(self) -> None:
        """Nothing to close."""


async def _drain(queue: asyncio.Queue[Event]) -> AsyncIterator[Event]:
    while True:
        yield await queue.get()
