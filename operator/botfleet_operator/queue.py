"""
Why: many objects at once, each object one at a time; a broken object backs off and never delays another.
Never: hold a key twice, or know what a key means. Its bound is the number of different keys.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failing key waits: doubling from `first` to `most` seconds, with jitter of a half."""

    first: float = 0.5
    most: float = 120.0

    def delay(self, failures: int) -> float:
        """Seconds before the next attempt after so many failures in a row (at least 1)."""
        whole = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return whole * (0.5 + random.random() / 2)  # noqa: S311 -- jitter, not a secret


class KeyedQueue(Generic[K]):
    """A work queue as in client-go: keys are de-duplicated, a key that is added while it is worked on comes again."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._ready: deque[K] = deque()
        self._queued: dict[K, float] = {}  # waiting to be worked on, since when
        self._working: set[K] = set()
        self._again: set[K] = set()  # added while being worked on
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}  # the earliest time in _delayed that counts
        self._order = 0
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def oldest_seconds(self) -> float:
        """How long the first ready key has been waiting."""
        return time.monotonic() - self._queued[self._ready[0]] if self._ready else 0.0

    @property
    def retrying(self) -> int:
        """How many keys have failed and not succeeded since."""
        return len(self._failures)

    def add(self, key: K) -> None:
        """As soon as a worker is free; once, however often it is added before."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued[key] = time.monotonic()
            self._ready.append(key)
            self._idle.clear()
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Not before so many seconds, unless it is added otherwise; the earliest of several wins."""
        due = asyncio.get_running_loop().time() + seconds
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        self._order += 1
        heapq.heappush(self._delayed, (due, self._order, key))
        self._wake.set()

    def failed(self, key: K, at_least: float = 0.0) -> float:
        """Counts a failure and comes back to the key after its back-off; returns those seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(self._failures[key]))
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forgets earlier failures."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """Forgets everything about a key that will not come again."""
        self._failures.pop(key, None)
        self._due.pop(key, None)

    async def get(self) -> K:
        """The next key; it must be given back with `done`."""
        while True:
            wait = self._promote()
            if self._ready:
                key = self._ready.popleft()
                del self._queued[key]
                self._working.add(key)
                return key
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """The key was worked on; it comes again if it was added meanwhile."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        if not self._working and not self._ready:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Until nothing is ready or being worked on (delayed keys do not count)."""
        await self._idle.wait()

    def _promote(self) -> float | None:
        """Makes due keys ready; returns seconds until the next one is due."""
        now = asyncio.get_running_loop().time()
        while self._delayed:
            due, _, key = self._delayed[0]
            if self._due.get(key) != due:
                heapq.heappop(self._delayed)  # replaced by an earlier time, or by an add
            elif due <= now:
                heapq.heappop(self._delayed)
                self.add(key)
            else:
                return due - now
        return None


async def work(queue: KeyedQueue[K], handle: Callable[[K], Awaitable[None]]) -> None:
    """One worker. `handle` answers for its own errors; what it raises ends the worker, and so is seen."""
    while True:
        key = await queue.get()
        try:
            await handle(key)
        finally:
            queue.done(key)
