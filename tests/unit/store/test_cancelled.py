"""The promise under cancellation: a write that is cut short leaves the SQLite file free for the next writer."""

import asyncio
import random
import sqlite3

from botfleet.store.engine import Store
from botfleet.store.lease import LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Intake, UpdateState

SEED = 7


async def test_a_write_that_is_cancelled_at_any_moment_does_not_lock_the_file(store: Store, bot_id: str) -> None:
    lease = await LeaseRepository(store, bot_id).acquire("me", 600)
    assert lease is not None
    path = MessagePath(store, lease, 1)
    chance = random.Random(SEED)  # noqa: S311 -- chooses moments

    async def write() -> None:
        for pts in range(1, 1_000_000):
            await path.take_in(Intake(states={0: UpdateState(pts)}))

    for _ in range(6):
        task = asyncio.create_task(write())
        await asyncio.sleep(chance.uniform(0, 0.01))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await path.take_in(Intake(states={0: UpdateState(1_000_000)}))  # waits for what is still being undone
        with sqlite3.connect(str(store.engine.url.database), timeout=5, isolation_level=None) as other:
            other.execute("begin immediate")
            other.execute("rollback")
        other.close()
