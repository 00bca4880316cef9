"""Why: kill -9 at a chosen point of the message path without a hook in the product.

A lock on a table holds the runner at a statement, a simulator's fault at a call; where it stands is seen, then it is killed.
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

import psycopg

from bench.kill.plan import HELD_TABLES, Kill, Point
from bench.rig import BenchBot, Rig
from botfleet_simulator.client.http import AdminClient

HELD_SECONDS = 3.0  # a runner with nothing to do there is killed all the same
LOOK_SECONDS = 0.005
_HELD = (
    "select pid, query from pg_stat_activity where usename = %s and wait_event_type = 'Lock' and state = 'active'"
    " order by query_start limit 1"
)
_CALL = "messages.sendMessage"
# The first words of a statement that tell which step it is; the longest of them are not shown whole by the server.
_STEPS = {
    "arrived as (": "taking a message in",
    "moved as (": "storing the update state",
    "go as (": "storing an answer",
    "attempted as (": "marking an answer attempted",
    "sent as (": "marking an answer sent",
    "relayed_at": "relaying events",
}


@dataclass
class Killer:
    """Kills one bot's runner and starts it again. `stood`: how often it stood where."""

    rig: Rig
    bot: BenchBot
    stood: Counter[str] = field(default_factory=Counter)

    async def kill(self, kill: Kill) -> None:
        """One kill of the plan."""
        if kill.point is Point.ANY:
            # Also a runner that has just been started: it is killed on its way to Telegram.
            await asyncio.sleep(kill.wait)
            await self.bot.runner.kill()
            self.stood[Point.ANY] += 1
        else:
            await self.ready()
            self.stood[await self._at(kill)] += 1
        await self.bot.runner.start()

    async def ready(self) -> None:
        """Until the runner serves."""
        await self.bot.runner.wait_probe("/readyz", 200, seconds=60)

    async def _at(self, kill: Kill) -> str:
        if kill.point in HELD_TABLES:
            return await self._at_statement(HELD_TABLES[kill.point], unheard=kill.unheard)
        if kill.point is Point.MODEL:
            fault = await self.rig.model.admin.add_fault("hold", key=self.bot.model_key, times=1)
            return await self._at_call(kill.point, self.rig.model.admin, fault.id)
        admin = self.rig.telegram.admin
        before = kill.point is Point.BEFORE_SEND
        fault = await admin.add_fault("hold", method=_CALL, account=self.bot.username, times=1, before=before)
        return await self._at_call(kill.point, admin, fault.id)

    async def _at_call(self, point: Point, admin: AdminClient, fault_id: int) -> str:
        stood: str = point
        try:
            await admin.wait_fault(fault_id, hits=1, timeout=HELD_SECONDS)
        except TimeoutError:
            stood = Point.ANY
        await self.bot.runner.kill()
        await admin.remove_fault(fault_id)
        return stood

    async def _at_statement(self, table: str, *, unheard: bool) -> str:
        dsn = self.rig.installation.server.dsn_for(
            self.rig.installation.server.user, self.rig.installation.server.password, "botfleet"
        )
        async with (
            await psycopg.AsyncConnection.connect(dsn) as holder,
            await psycopg.AsyncConnection.connect(dsn, autocommit=True) as watcher,
        ):
            await holder.execute("set lock_timeout = '5s'")
            # What is only read is held by the strongest lock; elsewhere reads go on, and it is the writes that are held.
            mode = "access exclusive" if table == HELD_TABLES[Point.OPT_OUTS] else "exclusive"
            try:
                await holder.execute(f"lock table botfleet.{table} in {mode} mode")
                found = await self._held(watcher)
            except psycopg.errors.LockNotAvailable:  # it stands within a transaction, nobody knows where
                found = None
            await self.bot.runner.kill()
            if found and not unheard:
                await watcher.execute("select pg_terminate_backend(%s)", (found[0],))
            await holder.rollback()  # what is held goes on, and is executed for nobody
        return _named(found[1], table, unheard=unheard) if found else Point.ANY

    async def _held(self, watcher: "psycopg.AsyncConnection[tuple[int, str]]") -> tuple[int, str] | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_SECONDS):
                while True:
                    cursor = await watcher.execute(_HELD, (self.bot.role,))
                    if found := await cursor.fetchone():
                        return found
                    await asyncio.sleep(LOOK_SECONDS)
        return None


def _named(query: str, table: str, *, unheard: bool) -> str:
    step = next((name for words, name in _STEPS.items() if words in query), f"reading the table {table}")
    return f"{step}, {'done unheard' if unheard else 'undone'}"
