"""Why: half an hour in which nothing may grow and nothing may be lost, whatever goes wrong every few minutes."""

import asyncio
import contextlib
import itertools
import re
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from bench.figures import table
from bench.kill.count import Verdict, together
from bench.process import memory, open_files
from bench.rig import BenchBot, Rig, rig, settings_line
from bench.running import tell
from bench.soak.faults import FAULTS, Fault
from bench.soak.limits import Figures, Sample
from tests.support.traffic import Traffic

PEOPLE = 4  # write to each bot
PAUSE_SECONDS = 1.0  # of each person
LONGEST_FAULT_SECONDS = 20.0
BACK_SECONDS = 120.0  # a bot that takes in nothing for so long ends the run
SAMPLES = 200
AGE = "interval '31 days'"  # what is finished is made as old as what is removed
_FINISHED = {"inbox": "closed_at", "outbox": "closed_at", "events": "relayed_at"}


@dataclass
class Options:
    """What the command line says. `receiving`: the least share of the time."""

    minutes: float
    bots: int
    receiving: float


@dataclass(eq=False)
class _Watched:
    bot: BenchBot
    traffic: Traffic
    pid: int
    samples: list[Sample] = field(default_factory=list)
    """Of the process of this pid."""
    down: list[float] = field(default_factory=list)
    """Seconds, of each fault that hit it."""

    async def look(self, at: float) -> None:
        """One sample. The probes answer whatever is away, unless their process is: then there is none.

        Killed at any moment: before it answers, within its answer, or after it, when nothing but its pid is left.
        """
        if self.pid != self.bot.runner.pid:
            self.pid = self.bot.runner.pid
            self.samples.clear()
        try:
            _, text = await self.bot.runner.get("/metrics")
            values = dict(re.findall(r"^botfleet_runner_(tasks|receiving) (\S+)$", text, re.MULTILINE))
            tasks, receiving = int(float(values["tasks"])), float(values["receiving"]) == 1
            self.samples.append(Sample(at, memory(self.pid).rss, open_files(self.pid), tasks, receiving))
        except OSError:
            return


async def run(options: Options) -> int:
    """Prints the figures; 1 when one is beyond its limit, or a message was lost, answered twice or out of order."""
    print(f"soak: {options.bots} bots for {options.minutes:g} minutes, {len(FAULTS)} faults")
    seconds = options.minutes * 60
    clean_up = max(1.0, seconds / 60)
    async with rig() as made:
        watched = [await _begin(made, number, clean_up) for number in range(options.bots)]
        print(settings_line(PostgreSQL=made.durability(), Redis="on", people=PEOPLE, clean_up=f"{clean_up:.0f} s"))
        lasted = await _hold(made, watched, seconds)
        verdict = together([await one.traffic.verdict() for one in watched])
        left = await _left(made, clean_up)
        ended = any(one.bot.runner.process is None or one.bot.runner.process.returncode is not None for one in watched)
    return _print(
        {one: Figures.of(one.samples, sum(one.down) / lasted) for one in watched}, verdict, left, ended, options
    )


async def _begin(made: Rig, number: int, clean_up: float) -> _Watched:
    bot = await (made.user_account() if number % 2 else made.bot_account())
    bot.runner.environment["BOTFLEET_CLEAN_UP_SECONDS"] = f"{clean_up:.0f}"
    await bot.start()
    people = [await made.person(number * PEOPLE + person) for person in range(PEOPLE)]
    traffic = Traffic(made.telegram.admin, bot.username, people, PAUSE_SECONDS)
    traffic.start()
    return _Watched(bot, traffic, bot.runner.pid)


async def _hold(made: Rig, watched: list[_Watched], seconds: float) -> float:
    """How many seconds it was; a fault may take longer than its share."""
    began = time.monotonic()
    looking = asyncio.create_task(_look(watched, max(0.25, seconds / SAMPLES)))
    every = seconds / len(FAULTS)
    try:
        turns = itertools.cycle(watched)
        for fault in FAULTS:
            end = time.monotonic() + every
            await asyncio.sleep(every / 3)
            hit = [next(turns)] if fault.one_bot else watched
            tell(", ".join([fault.name, *(one.bot.username for one in hit)]))
            await _harm(made, hit, fault, min(LONGEST_FAULT_SECONDS, every / 3))
            await asyncio.sleep(max(0.0, end - time.monotonic()))
            await _age(made)
            if looking.done():
                break
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
    return time.monotonic() - began


async def _harm(made: Rig, hit: list[_Watched], fault: Fault, seconds: float) -> None:
    """One fault, and how long each bot that it hit took in nothing."""
    bot, began = hit[0].bot, time.monotonic()
    await fault.harm(made, bot)
    async with asyncio.TaskGroup() as looking:
        for one in hit:
            looking.create_task(_look_for_life(made, one, began))
        if fault.lasting:
            await asyncio.sleep(seconds)
        await fault.heal(made, bot)


async def _look_for_life(made: Rig, one: _Watched, began: float) -> None:
    """Down is a bot until a message that came after the harm is stored. PostgreSQL is asked, not the bot."""
    harmed = datetime.now(UTC)

    def takes_in() -> bool:
        try:
            with made.installation.superuser() as connection:
                return bool(
                    connection.execute(
                        "select from botfleet.inbox join botfleet.bots on bots.id = bot_id"
                        " where role_name = %s and received_at > %s limit 1",
                        (one.bot.role, harmed),
                    ).rowcount
                )
        except psycopg.Error:
            return False

    async with asyncio.timeout(BACK_SECONDS):
        while not await asyncio.to_thread(takes_in):  # noqa: ASYNC110 -- of another process
            await asyncio.sleep(0.05)
    one.down.append(time.monotonic() - began)


async def _look(watched: list[_Watched], every: float) -> None:
    began = time.monotonic()
    while True:
        for one in watched:
            await one.look(time.monotonic() - began)
        await asyncio.sleep(every)


async def _age(made: Rig) -> int:
    """What is finished becomes as old as what is removed. How many rows that were."""

    def age() -> int:
        with made.installation.superuser() as connection:
            return sum(
                connection.execute(
                    # Without those that a runner is just removing: whoever waits for them may be waited for by it.
                    f"update botfleet.{table} set {column} = {column} - {AGE} where ctid in"  # noqa: S608
                    f" (select ctid from botfleet.{table} where {column} is not null for update skip locked)"
                ).rowcount
                for table, column in _FINISHED.items()
            )

    return await asyncio.to_thread(age)


async def _left(made: Rig, clean_up: float) -> int:
    """Finished rows that are there although the runners had the time to remove them."""
    left = await _age(made)
    end = time.monotonic() + 3 * clean_up + 30
    while left and time.monotonic() < end:
        await asyncio.sleep(1)
        left = await _age(made)
    return left


def _print(figures: dict[_Watched, Figures], verdict: Verdict, left: int, ended: bool, options: Options) -> int:
    wrong = {f"{one.bot.username}: {what}" for one, o in figures.items() for what in o.wrong(options.receiving)}
    if left:
        wrong.add("finished rows")
    if not verdict.good:
        wrong.add("messages")
    if ended:
        wrong.add("a runner has ended")
    rows = [
        [
            one.bot.username,
            f"{o.rss:.0f}",
            f"{o.growth:+.1f}",
            f"{o.slope:+.1f}",
            f"{o.files:+.0f}",
            f"{o.tasks:+.0f}",
            f"{o.said:.1%}",
            f"{o.receiving:.2%}",
            " ".join(f"{seconds:.1f}" for seconds in one.down),
        ]
        for one, o in figures.items()
    ]
    heads = ["runner", "peak MiB", "growth MiB", "MiB an hour", "files", "tasks", "says so", "receiving", "down, s"]
    print(table(heads, rows))
    print(f"messages           {verdict.sent}")
    print(f"lost               {verdict.lost}")
    print(f"doubled            {verdict.doubled}")
    print(f"out of order       {verdict.out_of_order}")
    print(f"never sent there   {verdict.strange}")
    print(f"finished rows left {left}")
    print(f"beyond a limit     {', '.join(sorted(wrong)) or 'nothing'}")
    sys.stdout.flush()
    return 1 if wrong else 0
