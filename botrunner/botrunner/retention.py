"""Why: the store of a bot that has run for years is no larger than that of one that has run for a month.

It decides how long finished work is kept, and when it is looked for; what may be removed is the store's to say.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from botfleet.store.errors import LeaseLost, StoreError
from botfleet.store.retention import Removed

log = structlog.get_logger()

KEEP_MESSAGES = timedelta(days=30)
"""After that Telegram brings no message and no send again: what is older than a day is not answered anyway."""
KEEP_EVENTS = timedelta(days=7)
"""That were relayed. Redis has them too, and PostgreSQL is there for those who missed some."""
PAUSE_SECONDS = 0.2  # between two batches: messages go first


class Finished(Protocol):
    """What is needed of `botfleet.store.retention.RetentionRepository`."""

    async def remove_finished(self, closed_before: datetime, relayed_before: datetime) -> Removed:
        """One batch."""


async def keep_small(
    finished: Finished, every: float, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Removes what is old enough, about every so many seconds, until cancelled.

    Raises:
        LeaseLost: another runner has the bot.
    """
    # A fleet that was started at once does not do it at once; one that is started often does it all the same.
    await asyncio.sleep(every * random.uniform(0.05, 0.2))  # noqa: S311 -- spreads load
    while True:
        try:
            await _remove(finished, now())
        except LeaseLost:
            raise
        except StoreError as error:  # also one that will not pass: no message depends on this
            log.warning("finished_work_not_removed", error=type(error).__name__)
        await asyncio.sleep(every * random.uniform(0.9, 1.1))  # noqa: S311


async def _remove(finished: Finished, at: datetime) -> None:
    rows = 0
    while True:
        removed = await finished.remove_finished(at - KEEP_MESSAGES, at - KEEP_EVENTS)
        rows += removed.inbox + removed.outbox + removed.events
        if removed.is_all:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    if rows:
        log.info("finished_work_removed", rows=rows)
