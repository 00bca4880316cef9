"""Why: the figures of the operator at several sizes of a fleet, each beside its floor, on a real API server. A stand-in plays the node."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.figures import percentile
from bench.image import as_in_image
from bench.operator import fleet, floor, sheet, troubles
from bench.operator.curves import svg
from bench.operator.sheet import Measured
from bench.process import cpu_seconds, memory
from bench.rig import settings_line
from bench.running import tell
from bench.storm import installation
from tests.integration.operator.cluster import Cluster
from tests.integration.operator.harness import Installation, OperatorProcess

HARMED, HARMED_AT_RESTART, STATUSES = 60, 10, 50
SETTLED_SECONDS = 12.0  # after a pod came or went the operator looks at all leases so long
HELD_BOTS = 25  # how many lose their connection in one go
UNSCHEDULED = 50  # how many pods no node takes; in a small fleet half of them


@dataclass
class Options:
    """What the command line says. `idle`: seconds of the quiet time. `into`: a folder with figures that are kept, and drawn."""

    sizes: tuple[int, ...]
    idle: float
    into: Path | None


async def run(options: Options) -> int:
    """Prints a table a size."""
    print("the operator, a fleet at rest and a fleet that is harmed")
    print(
        settings_line(
            bots=", ".join(f"{size:,}" for size in options.sizes),
            idle=f"{options.idle:g} s",
            machine=f"{os.cpu_count()} processors for everything, load {os.getloadavg()[0]:.1f} before",
            node="none, a stand-in marks pods running and writes the runners' rows",
            API_server="audited, etcd without fsync",
            Python=sys.version.split()[0],
        )
    )
    print(sheet.floors())
    sizes = {} if options.into is None else sheet.kept(options.into / "operator.json")
    for size in options.sizes:
        sizes[size] = await _size(size, options.idle)
        print()
        print(sheet.printed(size, sizes[size]), flush=True)
        if options.into is not None:
            sheet.keep(options.into / "operator.json", sizes)
            (options.into / "operator.svg").write_text(svg(sizes))
    return 0


async def _size(size: int, idle: float) -> dict[str, Measured]:
    with installation(2, audit=True) as made:
        async with contextlib.AsyncExitStack() as stack:
            cluster = Cluster.of(made.api)
            stack.push_async_callback(cluster.close)
            database = await psycopg.AsyncConnection.connect(made.database.superuser_dsn, autocommit=True)
            stack.push_async_callback(database.close)
            operator = made.operator(
                BOTFLEET_NAMESPACES="", BOTFLEET_SWEEP_SECONDS="60", BOTFLEET_RUNNER_LEASE_TERM_SECONDS="15",
                BOTFLEET_POD_UID="one-pod", PYTHONPATH=as_in_image(made.folder, "operator")["PYTHONPATH"],
            )  # fmt: skip
            stack.push_async_callback(asyncio.to_thread, operator.end)
            await asyncio.to_thread(operator.wait_leading)
            return await _Round(made, cluster, database, operator, size).all(idle)


class _Round:
    """One size, from the first bot to the last restart."""

    def __init__(
        self,
        made: Installation,
        cluster: Cluster,
        database: psycopg.AsyncConnection,
        operator: OperatorProcess,
        size: int,
    ) -> None:
        self._made, self._cluster, self._database, self._operator, self._size = made, cluster, database, operator, size
        self._namespace, self._floors = made.namespaces
        self._names = fleet.names(size)

    async def all(self, idle: float) -> dict[str, Measured]:
        """Every figure, each with its floor at once after it."""
        cluster, namespace, floors = self._cluster, self._namespace, self._floors
        await fleet.put_secrets(cluster, namespace, self._size)
        children = Measured(await fleet.make(cluster, namespace, self._size), 0)
        await self._settled()
        bare = await floor.applies(cluster, namespace, floors, self._size)
        tell(f"{self._size} bots: children after {children.operator:.1f} s, bare applies {bare:.1f} s")
        async with self._stand_in():
            await fleet.until(self._all_ready, "all bots are Ready")
            await self._settled()
            writes = self._written() / self._size
            imported, libraries = await floor.process(self._made.folder)
            weighed = Measured(memory(self._operator.process.pid).rss, libraries)
            healed = Measured(
                percentile(await self._harmed(), 95), percentile(await floor.healed(cluster, floors, HARMED), 95)
            )
            health = Measured(
                percentile(await self._health(), 99),
                percentile(await floor.told(cluster, self._database, floors, STATUSES), 99),
            )
            tell(f"{self._size} bots: harmed and healed; now {idle:g} s of nothing")
            await self._settled()
            cpu, idle_writes = await self._idle(idle)
            restart, restart_writes = await self._restart()
            bare_restart = imported + await floor.lists(cluster, namespace)
            late = await self._harmed_at_restart()
            foreign = await self._beside_foreign_secrets()
            tell(f"{self._size} bots: restarted; now {idle:g} s with pods that no node takes")
            unscheduled = await self._unscheduled(idle)
        return {
            sheet.CHILDREN.name: Measured(children.operator, bare),
            sheet.WRITES.name: Measured(writes),
            sheet.MEMORY.name: weighed,
            sheet.HEALED.name: healed,
            sheet.HEALTH.name: health,
            sheet.CPU.name: Measured(cpu),
            sheet.IDLE.name: Measured(idle_writes),
            sheet.RESTART.name: Measured(restart, bare_restart),
            sheet.RESTART_WRITES.name: Measured(restart_writes),
            sheet.HEALED_RESTART.name: Measured(late, bare_restart),
            sheet.UNSCHEDULED.name: Measured(unscheduled),
            sheet.FOREIGN.name: Measured(foreign),
        }

    # Waiting

    async def _all_ready(self) -> bool:
        await asyncio.sleep(0.5)
        return await fleet.ready(self._cluster, self._namespace) == self._size

    async def _settled(self) -> None:
        """Nothing was written for a while."""
        while True:
            before = self._written()
            await asyncio.sleep(3)
            if self._written() == before and self._operator.metrics().get("botfleet_operator_queue_depth") == 0:
                return

    def _written(self) -> int:
        log = self._made.api.audit_log
        assert log is not None
        with log.open() as lines:
            return sheet.writes_in(lines)

    @contextlib.asynccontextmanager
    async def _stand_in(self) -> AsyncIterator[None]:
        api = self._made.api
        work = {
            "url": api.url, "ca": str(api.ca), "certificate": str(api.client_cert), "key": str(api.client_key),
            "dsn": self._made.database.superuser_dsn, "namespace": self._namespace,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.operator.standin",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(work).encode() + b"\n")
            async with asyncio.timeout(fleet.DEADLINE_SECONDS):
                assert await process.stdout.readline(), "the stand-in has ended"
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    # Measuring

    async def _harmed(self) -> list[float]:
        taken = []
        for number in range(HARMED):
            kind, harm = fleet.HARMS[number % len(fleet.HARMS)]
            name = self._names[number * 7 % self._size]
            taken.append(await fleet.restored(self._cluster, self._namespace, kind, name, harm))
        return taken

    async def _health(self) -> list[float]:
        some = self._names[:: max(1, self._size // HELD_BOTS)][:HELD_BOTS]
        return await fleet.health_to_status(self._cluster, self._database, self._namespace, some, STATUSES)

    async def _idle(self, seconds: float) -> tuple[float, int]:
        """CPU seconds a minute, and writes."""
        await asyncio.sleep(SETTLED_SECONDS)
        pid, before = self._operator.process.pid, self._written()
        began, spent = time.monotonic(), cpu_seconds(pid)
        await asyncio.sleep(seconds)
        spent = cpu_seconds(pid) - spent
        return spent / (time.monotonic() - began) * 60, self._written() - before

    async def _restart(self) -> tuple[float, int]:
        """From its start until each bot was looked at and nothing is left to do, and what it wrote."""
        await asyncio.to_thread(self._operator.stop)
        before = self._written()
        self._operator.start()
        seconds = await fleet.until(self._has_looked_at_all, "every bot was looked at")
        await self._settled()
        return seconds, self._written() - before

    async def _has_looked_at_all(self) -> bool:
        seen = await asyncio.to_thread(self._operator.metrics)
        done = _sum(seen, "botfleet_operator_reconciles_total")
        return done >= self._size and seen.get("botfleet_operator_queue_depth") == 0

    async def _harmed_at_restart(self) -> float:
        """Killed, started, and harmed while it starts: seconds until the last of them is restored."""
        await asyncio.to_thread(self._operator.kill)
        self._operator.start()
        harms = [
            fleet.restored(self._cluster, self._namespace, *self._harm_of(number))
            for number in range(min(HARMED_AT_RESTART, self._size))
        ]
        return max(await asyncio.gather(*harms))

    async def _beside_foreign_secrets(self) -> float:
        """MiB that an operator has more when it starts beside them."""
        alone = await self._weighed_afresh()
        await troubles.foreign_secrets(self._cluster, self._namespace)
        return await self._weighed_afresh() - alone

    async def _weighed_afresh(self) -> float:
        await asyncio.to_thread(self._operator.stop)
        self._operator.start()
        await fleet.until(self._has_looked_at_all, "every bot was looked at")
        await self._settled()
        return memory(self._operator.process.pid).rss

    async def _unscheduled(self, seconds: float) -> int:
        """Writes in that time, after their statuses have said so."""
        some = self._names[: min(UNSCHEDULED, self._size // 2)]
        pods = await troubles.unschedule(self._cluster, self._database, self._namespace, some)
        await self._settled()
        before = self._written()
        await troubles.keep_unscheduled(self._cluster, self._namespace, pods, seconds)
        await self._settled()
        return self._written() - before

    def _harm_of(self, number: int) -> tuple[str, str, fleet.Harm]:
        kind, harm = fleet.HARMS[number % len(fleet.HARMS)]
        return kind, self._names[-1 - number], harm


def _sum(samples: dict[str, float], name: str) -> float:
    values: Iterable[float] = (value for key, value in samples.items() if key.startswith(name))
    return sum(values)
