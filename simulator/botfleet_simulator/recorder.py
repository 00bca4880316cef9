"""Things that happened, in order and bounded, and a way to wait until enough of them have: tests wait for events, not for time.

It must never make the writer wait: appending costs nothing while nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

LOOK_PAUSE_SECONDS = 0.01


class Numbered(Protocol):
    """What a recorder keeps: its items carry the number that they were recorded under."""

    seq: int


Item = TypeVar("Item", bound=Numbered)


class Pulse:
    """Wakes everybody who waits for a change, who then looks for himself."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def beat(self) -> None:
        """Say that something changed."""
        if self._waiters:
            waiters, self._waiters = self._waiters, set()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def until(self, satisfied: Callable[[], bool], timeout: float, *, pause: float = 0.0) -> bool:
        """Wait until `satisfied()` is true; False when `timeout` seconds passed first.

        `pause`: seconds that pass at least between two looks, for conditions that are dear to check.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not satisfied():
            left = deadline - loop.time()
            if left <= 0:
                return False
            waiter = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait_for(waiter, left)
            except TimeoutError:
                return satisfied()
            finally:
                self._waiters.discard(waiter)
            if pause:
                await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        return True


class Recorder(Generic[Item]):
    """The newest `size` items, numbered from 1 without gaps."""

    def __init__(self, size: int = 100_000) -> None:
        self._items: deque[Item] = deque(maxlen=size)
        self._last = 0
        self.pulse = Pulse()

    def next_seq(self) -> int:
        """The number that the item recorded next must carry."""
        return self._last + 1

    @property
    def last_seq(self) -> int:
        """The number of the newest item; 0 when there was none."""
        return self._last

    def add(self, item: Item) -> None:
        """Record an item that carries `next_seq()`."""
        self._last = item.seq
        self._items.append(item)
        self.pulse.beat()

    def clear(self) -> None:
        """Forget the items; numbers go on."""
        self._items.clear()

    def after(self, seq: int = 0) -> Iterator[Item]:
        """Items with a number above `seq`, oldest first."""
        skip = max(0, len(self._items) - (self._last - seq))
        for index, item in enumerate(self._items):
            if index >= skip and item.seq > seq:
                yield item

    async def wait(
        self, wanted: Callable[[Item], bool], *, count: int, after: int, timeout: float
    ) -> list[Item] | None:
        """Wait until `count` wanted items were recorded after `after`; None when the time is up."""

        def found() -> list[Item]:
            return [item for item in self.after(after) if wanted(item)]

        if not await self.pulse.until(lambda: len(found()) >= count, timeout, pause=LOOK_PAUSE_SECONDS):
            return None
        return found()
