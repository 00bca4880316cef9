"""Waiting for a fact of which nobody tells: a property of an object, a row of a table, another process. With a deadline, always."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

DEADLINE = 60.0
"""A safety net, and no promise: a process that starts takes ten seconds where five other tests run on two slow cores."""


async def until(condition: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Wait until a condition holds; returns what it gave.

    Raises:
        TimeoutError: it did not within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while not (found := condition()):  # noqa: ASYNC110 -- told by nobody
            await asyncio.sleep(0.01)
        return found


async def until_async(condition: Callable[[], Awaitable[Any]], seconds: float = DEADLINE) -> Any:
    """The same with a condition that has to be asked for.

    Raises:
        TimeoutError: it did not within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while not (found := await condition()):  # noqa: ASYNC110 -- told by nobody
            await asyncio.sleep(0.02)
        return found
