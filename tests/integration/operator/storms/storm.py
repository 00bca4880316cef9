"""
Why: one storm from its seed: events, faults and kills; then calm, and what became of it.
Never: judge; `Outcome` has the facts, a test or the command line says what is good.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

from botfleet.store.engine import create_store
from tests.integration.operator.harness import Installation, OperatorProcess
from tests.integration.operator.storms import truth
from tests.integration.operator.storms.erasures import Erasures
from tests.integration.operator.storms.faults import FaultProxy
from tests.integration.operator.storms.owner import Owner
from tests.integration.operator.storms.plan import Event, Plan
from tests.integration.operator.storms.runners import Runners

_LOOK_SECONDS = 0.5
_CLEAN_LOOKS = 3  # one after the other; from the first on no lease runs out, and what was on its way comes in between
# How far the events may run ahead of the operator's writes, however slow the machine starts it: else all would be over
# before it has made anything that could be edited. An operator that has nothing to write holds nothing up.
_AHEAD, _EVENTS_A_WRITE = 15, 0.6
_IDLE_SECONDS = 0.7
_START_SECONDS = 150.0
_FRESH_LEASE_SECONDS = "60"  # nobody starts the last one again, should a slow machine cost it its leadership


@dataclass(frozen=True)
class Options:
    """How large, and how long to wait afterwards. `events`: beyond its creation, for each bot."""

    objects: int
    seed: int
    kills: int
    events: float = 2.5
    faults: float = 0.05
    at_once: int = 14
    settle_seconds: float = 60.0
    quiet_seconds: float = 4.0


@dataclass
class Outcome:
    """What a storm came to."""

    seed: int
    events: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    writes: int = 0
    erased: int = 0  # bots whose deletion was to take their data
    storm_seconds: float = 0.0
    settled_seconds: float = 0.0
    differences: list[str] = field(default_factory=list)
    locked_out: list[str] = field(default_factory=list)
    quiet_writes: list[str] = field(default_factory=list)
    restart_writes: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)  # what the operator's log says of its own errors
    log_tail: str = ""

    @property
    def wrong(self) -> dict[str, list[str]]:
        """Everything that is not as promised; empty: the storm has passed."""
        found = {
            "not as wanted": self.differences,
            "locked out": self.locked_out,
            "written in the quiet": self.quiet_writes,
            "written by a fresh start": self.restart_writes,
            "in the operator's log": self.mistakes,
        }
        return {what: lines for what, lines in found.items() if lines}


class Storm:
    """Plays it once."""

    def __init__(
        self, installation: Installation, options: Options, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._installation, self._options, self._tell = installation, options, tell
        # One each: what one of them draws depends on the others' moments as little as can be.
        self._chance, events, faults = (random.Random(f"{options.seed} {number}") for number in range(3))  # noqa: S311
        self._plan = Plan(options.objects, installation.namespaces, events, options.events)
        self._proxy = FaultProxy(installation.api, faults, options.faults)
        database = installation.database
        self._store = create_store(database.url(database.owner), database.passwords[database.owner])
        self._erasures, self._runners = Erasures(installation, self._store), Runners()
        self._outcome = Outcome(options.seed)
        self._operator: OperatorProcess | None = None
        self._wanted = True  # whether the operator is started again when it has ended
        self._kills_left = options.kills

    async def run(self) -> Outcome:
        """The storm, the calm, the quiet, a fresh start."""
        outcome, installation = self._outcome, self._installation
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._store.close)
            await stack.enter_async_context(self._proxy.serving())
            owner = Owner.of(installation.api)
            stack.push_async_callback(owner.close)
            runners = await stack.enter_async_context(self._runners.running(owner, installation))
            for namespace in installation.namespaces:
                await owner.common(namespace)
            operator = self._operator = installation.operator(
                KUBECONFIG=str(self._proxy.kubeconfig(installation.folder)),
                BOTFLEET_POD_UID="one-pod",  # as kubelet starts a container again: it leads at once
                BOTFLEET_API_TIMEOUT_SECONDS="2",
                BOTFLEET_SWEEP_SECONDS="1",
            )
            stack.push_async_callback(asyncio.to_thread, operator.end)
            keeper = asyncio.create_task(self._keep(operator))
            collector = asyncio.create_task(owner.collect_garbage(installation.namespaces))
            try:
                await self._blow(owner)
                await self._settle(owner, (collector, runners))
                outcome.quiet_writes = await self._quiet()
                outcome.locked_out = await truth.locked_out(owner, installation, self._plan)
                outcome.restart_writes = await self._start_afresh(operator)
            finally:
                for task in (keeper, collector):
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
            outcome.met, outcome.writes = self._proxy.met, self._proxy.writes
            outcome.erased = len(self._erasures.begun)
            outcome.mistakes = mistakes(operator)
            outcome.log_tail = operator.log.read_text()[-4000:]
        return outcome

    async def _keep(self, operator: OperatorProcess) -> None:
        """As kubelet does: what has ended is started again. The next kill is set once it leads."""
        self._outcome.starts = 1
        self._arm()
        while True:
            await asyncio.sleep(0.05)
            if operator.process.poll() is not None and self._wanted:
                self._proxy.watched.clear()
                operator.start()
                self._outcome.starts += 1
                self._arm()

    def _arm(self) -> None:
        if self._kills_left <= 0 or self._operator is None:
            return
        self._kills_left -= 1
        write = self._chance.randint(10, 10 + 3 * self._options.objects // max(1, self._options.kills))
        self._proxy.kill_at(write, done=self._chance.random() < 0.5, kill=self._operator.process.kill)

    async def _blow(self, owner: Owner) -> None:
        """All events, each bot's in their order, several bots at once."""
        began = time.monotonic()
        last: dict[str, asyncio.Task[None]] = {}
        room = asyncio.Semaphore(self._options.at_once)

        async def one(event: Event, before: asyncio.Task[None] | None) -> None:
            if before is not None:
                await before
            async with room:
                await self._not_too_far_ahead()
                self._runners.expect(event)
                await owner.do(event, self._erasures)
                await self._runners.heard(event)
                self._outcome.events[event.act] += 1
                await asyncio.sleep(self._pause())

        async with asyncio.TaskGroup() as tasks:
            for event in self._plan.events():
                last[event.bot.name] = tasks.create_task(one(event, last.get(event.bot.name)))
        self._outcome.storm_seconds = time.monotonic() - began
        self._tell(f"{self._outcome.events.total()} events in {self._outcome.storm_seconds:.0f} s")

    async def _not_too_far_ahead(self) -> None:
        while self._outcome.events.total() > _AHEAD + _EVENTS_A_WRITE * self._proxy.writes:
            before = self._proxy.writes
            await self._proxy.watched.wait()
            await asyncio.sleep(_IDLE_SECONDS)
            if self._proxy.writes == before and self._proxy.watched.is_set():
                return

    def _pause(self) -> float:
        return self._chance.expovariate(1 / 0.2)

    async def _settle(self, owner: Owner, helpers: tuple[asyncio.Task[None], ...]) -> None:
        """No more faults; waits until everything is as wanted and stays so, or for its time."""
        self._proxy.storming = False
        began, seen, clean = time.monotonic(), 0, 0
        while True:
            for helper in helpers:
                if helper.done():
                    helper.result()
            found = await truth.differences(owner, self._installation, self._plan)
            found += await asyncio.to_thread(lambda: list(self._erasures.left()))
            # Events wait in a queue of their own, and come after what they tell of.
            found += [f"still told: {line}" for line in self._proxy.written[seen:] if "/events.k8s.io/" in line]
            seen = len(self._proxy.written)
            self._outcome.differences = found
            self._outcome.settled_seconds = time.monotonic() - began
            clean = 0 if found else clean + 1
            if clean == 1:
                await self._runners.hold()
            if clean == _CLEAN_LOOKS or (found and self._outcome.settled_seconds > self._options.settle_seconds):
                self._tell(f"settled after {self._outcome.settled_seconds:.1f} s, {len(found)} differences")
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _quiet(self) -> list[str]:
        before = len(self._proxy.written)
        await asyncio.sleep(self._options.quiet_seconds)
        return self._proxy.written[before:]

    async def _start_afresh(self, operator: OperatorProcess) -> list[str]:
        """Killed and started once more: it knows nothing but what is there, and must find nothing to do."""
        before, self._wanted = len(self._proxy.written), False
        await asyncio.to_thread(operator.kill)
        operator.start(BOTFLEET_LEADER_LEASE_SECONDS=_FRESH_LEASE_SECONDS)
        await asyncio.to_thread(operator.wait_leading, _START_SECONDS)
        living = sum(bot.exists for bot in self._plan.wanted.values())
        async with asyncio.timeout(_START_SECONDS):
            while not await asyncio.to_thread(_has_looked_at, operator, living):  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.1)
        return self._proxy.written[before:]


def _has_looked_at(operator: OperatorProcess, bots: int) -> bool:
    seen = operator.metrics()
    done = sum(n for name, n in seen.items() if name.startswith("botfleet_operator_reconciles_total"))
    return done >= bots and seen.get("botfleet_operator_queue_depth") == 0


def mistakes(operator: OperatorProcess) -> list[str]:
    """Log lines that no fault of the API server excuses."""
    never = {"reconcile_broken", "rounds_exhausted", "watch_forbidden", "other_cluster"}
    lines = [str(line) for line in operator.lines() if line.get("event") in never]
    traces = operator.log.read_text().split("Traceback (most recent call last)")[1:]
    return lines + [f"a traceback: {trace[:3000]}" for trace in traces]
