"""Why: answer overhead and answers a second, each beside a bare echo bot that ran in the same minute at the same simulator."""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.figures import Rounds, percentile, ratio, table
from bench.image import as_in_image
from bench.load import at_rate, flat_out, one_after_the_other
from bench.process import cpu_seconds
from bench.rig import BenchBot, Rig, rig, settings_line
from bench.running import tell
from bench.talker import Talker, talkers

ECHO = "echo_bot"
CHATS = 50
RATE = 84.0
PROBES_A_SECOND = 4.0


@dataclass
class Options:
    """What the command line says."""

    rounds: int
    single: int
    loaded: int
    saturated: int


@dataclass
class Latency:
    """One load of one round, in milliseconds. `cpu`: of the bot's process, a message."""

    p50: float
    p99: float
    cpu: float


@dataclass
class Side:
    """What was measured of one bot, a value a round."""

    name: str
    username: str
    pid: int
    one_chat: list[Latency] = field(default_factory=list)
    many_chats: list[Latency] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


@contextlib.asynccontextmanager
async def _echo(made: Rig) -> AsyncIterator[int]:
    """The floor's process."""
    account = await made.telegram.admin.create_bot(ECHO)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.reply.echo",
        stdout=asyncio.subprocess.PIPE,
        env={
            **as_in_image(made.folder),
            "BENCH_TOKEN": str(account.token),
            "BENCH_HOST": made.telegram.host,
            "BENCH_PORT": str(made.telegram.port),
            "BENCH_PUBLIC_KEY": made.telegram.public_key,
        },
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline(), "the echo bot did not start"
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class _Model:
    """Asks the simulated model as the runner does, over a bare HTTP client: the time that no runner could save."""

    def __init__(self, made: Rig, session: aiohttp.ClientSession) -> None:
        self._url = f"{made.model.base_url}/chat/completions"
        self._session = session

    async def ask(self) -> float:
        """Milliseconds of one call."""
        said = [{"role": role, "content": "message 1"} for role in ("system", *("user", "assistant") * 10, "user")]
        body: dict[str, Any] = {"model": "gpt-5-mini", "messages": said, "max_completion_tokens": 500}
        began = time.perf_counter()
        async with self._session.post(self._url, json=body, headers={"Authorization": "Bearer probe"}) as answer:
            await answer.read()
        return (time.perf_counter() - began) * 1000

    @contextlib.asynccontextmanager
    async def meanwhile(self) -> AsyncIterator[list[float]]:
        """Asked now and then during the block; milliseconds."""
        found: list[float] = []

        async def ask_on() -> None:
            while True:
                found.append(await self.ask())
                await asyncio.sleep(1 / PROBES_A_SECOND)

        asking = asyncio.create_task(ask_on())
        try:
            yield found
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def run(options: Options) -> int:
    """Prints the figures."""
    async with rig() as made, _echo(made) as echo, aiohttp.ClientSession() as session:
        bot = await made.bot_account()
        await bot.start()
        sides = [Side("bare echo", ECHO, echo), Side("botrunner", bot.username, bot.runner.pid)]
        print("answer overhead and sustained answers")
        print(
            settings_line(
                debounce=0,
                typing="off",
                memory="off",
                limit="10,000 answers a minute and chat",
                history="20 messages",
                model="simulated, no latency",
                PostgreSQL=made.durability(),
                Redis="on",
                rounds=options.rounds,
            )
        )
        print(f"load: 1 chat x {options.single}; {RATE:g}/s over {CHATS} chats x {options.loaded};", end=" ")
        print(f"{CHATS} chats flat out x {options.saturated}; each round, floor and runner in turn")
        asks: dict[str, list[float]] = {"one": [], "many": []}
        async with talkers(made, CHATS, [side.username for side in sides]) as people:
            await _warm(people, sides)
            for number in range(options.rounds):
                tell(f"round {number + 1} of {options.rounds}")
                await _round(people, sides, options, _Model(made, session), asks, random.Random(number))  # noqa: S311
        _print(sides, asks)
        await _print_own(bot)
    return 0


async def _warm(people: list[Talker], sides: list[Side]) -> None:
    """Everybody has said something; what is made once is made."""
    for side in sides:
        for person in people:
            await one_after_the_other(person, side.username, 2)


async def _round(
    people: list[Talker],
    sides: list[Side],
    options: Options,
    model: _Model,
    asks: dict[str, list[float]],
    chance: random.Random,
) -> None:
    for side in sides:
        async with model.meanwhile() as asked:
            cpu = cpu_seconds(side.pid)
            taken = await one_after_the_other(people[0], side.username, options.single)
            side.one_chat.append(_latency(taken, cpu_seconds(side.pid) - cpu))
        if side is sides[-1]:
            asks["one"].append(percentile([*asked, asked[-1]], 50))
    for side in sides:
        async with model.meanwhile() as asked:
            cpu = cpu_seconds(side.pid)
            taken = await at_rate(people, side.username, RATE, options.loaded, chance)
            side.many_chats.append(_latency(taken, cpu_seconds(side.pid) - cpu))
        if side is sides[-1]:
            asks["many"].append(percentile([*asked, asked[-1]], 50))
    for side in sides:
        side.answers.append(await flat_out(people, side.username, options.saturated))


def _latency(seconds: list[float], cpu: float) -> Latency:
    milliseconds = [one * 1000 for one in seconds]
    return Latency(percentile(milliseconds, 50), percentile(milliseconds, 99), cpu * 1000 / len(seconds))


def _print(sides: list[Side], asks: dict[str, list[float]]) -> None:
    print("\nmin / median / max of the rounds, ms; overhead is the runner's time less the model's median")
    rows = []
    for load, attribute, key in (
        ("1 chat", "one_chat", "one"),
        (f"{RATE:g}/s, {CHATS} chats", "many_chats", "many"),
    ):
        floor, product = (getattr(side, attribute) for side in sides)
        for quantile in ("p50", "p99"):
            bare = Rounds(tuple(getattr(one, quantile) for one in floor))
            whole = Rounds(tuple(getattr(one, quantile) for one in product))
            less = Rounds(tuple(value - asked for value, asked in zip(whole.values, asks[key], strict=True)))
            rows.append([f"{load}, {quantile}", bare, whole, Rounds(tuple(asks[key])), less, ratio(less, bare)])
    print(table(["", "bare echo", "botrunner", "model", "overhead", "overhead : echo"], rows))
    rows = [_beside("answers a second", *(Rounds(tuple(side.answers)) for side in sides))]
    for load, attribute in (("1 chat", "one_chat"), (f"{RATE:g}/s", "many_chats")):
        costs = [Rounds(tuple(one.cpu for one in getattr(side, attribute))) for side in sides]
        rows.append(_beside(f"CPU a message, ms, {load}", *costs))
    print()
    print(table(["", "bare echo", "botrunner", "botrunner : echo"], rows))


def _beside(what: str, floor: Rounds, product: Rounds) -> list[object]:
    return [what, floor, product, ratio(product, floor)]


async def _print_own(bot: BenchBot) -> None:
    """What the runner itself counted, over the whole run."""
    _, text = await bot.runner.get("/metrics")
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    print("\nby the runner's own metrics, mean over the run, ms:", end=" ")
    names = {"model": "model", "taken in → stored": "reply", "send": "send"}
    print(
        ", ".join(
            f"{name} {float(values[key + '_sum']) * 1000 / max(1.0, float(values[key + '_count'])):.1f}"
            for name, key in ((name, f"botfleet_runner_{word}_seconds") for name, word in names.items())
        )
    )
