"""Why: what is measured by looking now and then: the loop's lag, queue lengths, the lease; and what the reporter held back."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

from botfleet.store.errors import StoreUnavailable
from botfleet.store.messages import MessagePath
from botrunner.conversation.spending import Purse
from botrunner.health import Vitals
from botrunner.metrics import Metrics
from botrunner.ownership.keeper import LeaseKeeper
from botrunner.reporter import Reporter

EVERY_SECONDS = 1.0
QUEUES_EVERY_SECONDS = 15.0  # a query of the store each time


async def beat(vitals: Vitals, metrics: Metrics) -> None:
    """Tells the probes that the event loop runs, from the process's start on; runs until cancelled."""
    while True:
        metrics.tasks.set(len(asyncio.all_tasks()))
        before = time.monotonic()
        await asyncio.sleep(EVERY_SECONDS)
        metrics.loop_lag.set(max(0.0, time.monotonic() - before - EVERY_SECONDS))
        vitals.beat()


async def watch(metrics: Metrics, keeper: LeaseKeeper, reporter: Reporter) -> None:
    """The lease, and what the reporter held back when it is due; runs until cancelled."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        tenure = keeper.held()
        metrics.lease_held.set(tenure is not None)
        metrics.lease_age.set(tenure.clock.age() if tenure is not None else 0)
        reporter.lease_elsewhere(keeper.held_elsewhere)
        reporter.flush()


async def watch_queues(path: MessagePath, metrics: Metrics, reporter: Reporter) -> None:
    """Lengths and ages of inbox and outbox, and takeovers, whose end is told here when their time is over; until cancelled."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            await path.end_expired_takeovers()
            counts = await path.counts()
            oldest = counts.oldest_pending_at
            metrics.pending.set(counts.pending)
            reporter.waiting(counts.pending)
            metrics.outgoing.set(counts.outgoing)
            metrics.takeovers.set(counts.takeovers)
            metrics.oldest_pending.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)
        await asyncio.sleep(QUEUES_EVERY_SECONDS)


async def watch_budget(purse: Purse) -> None:
    """The day's spending, so that midnight is seen without a message; its purse tells. Runs until cancelled."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            await purse.look()
        await asyncio.sleep(QUEUES_EVERY_SECONDS)
