"""
Why: what the start asks of PostgreSQL and the API server is asked again while they are away: they come back, a person need not.
Never: ask again what was refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from botfleet.store.errors import StoreUnavailable
from botfleet_operator.installation import StartError
from botfleet_operator.kubeapi import KubeError

log = structlog.get_logger("botfleet.operator")

T = TypeVar("T")
_ASK_AGAIN_SECONDS = 0.5


async def patiently(ask: Callable[[], Awaitable[T]], what: str, deadline_seconds: float) -> T:
    """The answer, asked for as often as it takes.

    Raises:
        StartError: none came within `deadline_seconds`.
    """
    deadline, said = time.monotonic() + deadline_seconds, False
    while True:
        try:
            return await ask()
        except (KubeError, StoreUnavailable) as error:
            if time.monotonic() > deadline:
                raise StartError(f"{what}: no answer within {deadline_seconds:g} s: {error}") from error
            if not said:
                log.warning("waiting_at_the_start", what=what, error=str(error))
            said = True
        await asyncio.sleep(_ASK_AGAIN_SECONDS)
