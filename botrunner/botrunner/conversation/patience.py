"""Why: what has to be written is written, however long the store is away; and what waits can be called."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, TypeVar

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


@contextlib.asynccontextmanager
async def turn_at(
    slots: asyncio.Semaphore, called: asyncio.Event, still: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bool]:
    """A slot for the block, first come, first served; each call meanwhile asks `still`, and costs nobody their turn.

    Gives False, without a slot, when `still` said no.
    """
    if not slots.locked():
        async with slots:
            yield True
        return
    slot = asyncio.create_task(slots.acquire(), name="slot")
    try:
        wanted = True
        while wanted and not await _done_before(slot, called):
            called.clear()
            wanted = await still()
        yield wanted
    finally:
        if not slot.cancel():
            slots.release()


async def _done_before(task: asyncio.Task[Literal[True]], event: asyncio.Event) -> bool:
    """Whether the task is done; if not, the event was set before."""
    if not event.is_set():
        waits = asyncio.create_task(event.wait())
        try:
            await asyncio.wait((task, waits), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waits.cancel()
    return task.done()
