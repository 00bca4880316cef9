"""Why: what has to be written is written, however long the store is away; and what waits can be called."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from botfleet.store.errors import StoreUnavailable
from botrunner.backoff import backoff

T = TypeVar("T")

STORE_SECONDS = 5.0  # at most between two tries of the store


async def surely(work: Callable[[], Awaitable[T]]) -> T:
    """Done, however long the store is away."""
    failures = 0
    while True:
        try:
            return await work()
        except StoreUnavailable:
            failures += 1
            await asyncio.sleep(backoff(failures, first=0.5, longest=STORE_SECONDS))


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set before the time was over."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
