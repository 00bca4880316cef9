"""Why: answer overhead and answers a second, each beside a bare echo bot that ran in the same minute at the same simulator."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field

from bench.figures import Rounds, percentile, ratio, table
from bench.image import as_in_image
from bench.load import Exchange, at_rate, flat_out, one_after_the_other
from bench.process import cpu_seconds
from bench.reply.model_time import model_seconds, overheads
from bench.rig import BenchBot, Rig, rig, settings_line
from bench.running import tell
from bench.talker import Talker, talkers

ECHO = "echo_bot"
CHATS = 50
RATE = 84.0
SHOWN = {"1 chat": "one_chat", f"{RATE:g}/s, {CHATS} chats": "many_chats"}


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

    @classmethod
    def of(cls, seconds: Sequence[float], cpu: float) -> "Latency":
        """Of at least two messages; `cpu`: seconds in all."""
        milliseconds = [one * 1000 for one in seconds]
        return cls(percentile(milliseconds, 50), percentile(milliseconds, 99), cpu * 1000 / len(seconds))


@dataclass
class Load:
    """What was measured of one bot under one load, a value a round. `overhead`, `model`: of a bot that asks a model."""

    whole: list[Latency] = field(default_factory=list)
    overhead: list[Latency] = field(default_factory=list)
    model: list[Latency] = field(default_factory=list)


@dataclass
class Side:
    """One bot, and what was measured of it. `model_key`: what it asks its model with; None of a bot that has no model."""

    username: str
    pid: int
    model_key: str | None
    one_chat: Load = field(default_factory=Load)
    many_chats: Load = field(default_factory=Load)
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


async def run(options: Options) -> int:
    """Prints the figures."""
    async with rig() as made, _echo(made) as echo:
        bot = await made.bot_account()
        await bot.start()
        sides = [Side(ECHO, echo, None), Side(bot.username, bot.runner.pid, bot.model_key)]
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
        async with talkers(made, CHATS, [side.username for side in sides]) as people:
            await _warm(people, sides)
            for number in range(options.rounds):
                tell(f"round {number + 1} of {options.rounds}")
                await _round(made, people, sides, options, random.Random(number))  # noqa: S311
        _print(sides)
        await _print_own(bot)
    return 0


async def _warm(people: list[Talker], sides: list[Side]) -> None:
    """Everybody has said something; what is made once is made."""
    for side in sides:
        for person in people:
            await one_after_the_other(person, side.username, 2)


async def _round(made: Rig, people: list[Talker], sides: list[Side], options: Options, chance: random.Random) -> None:
    for side in sides:
        await _measure(made, side, side.one_chat, one_after_the_other(people[0], side.username, options.single))
    for side in sides:
        await _measure(made, side, side.many_chats, at_rate(people, side.username, RATE, options.loaded, chance))
    for side in sides:
        side.answers.append(await flat_out(people, side.username, options.saturated))


async def _measure(made: Rig, side: Side, load: Load, talking: Awaitable[list[Exchange]]) -> None:
    """What the model had of each message is read afterwards: nothing is asked meanwhile."""
    before, cpu = await made.model.admin.last_request(), cpu_seconds(side.pid)
    exchanges = await talking
    cpu = cpu_seconds(side.pid) - cpu
    load.whole.append(Latency.of([one.seconds for one in exchanges], cpu))
    if side.model_key is not None:
        model = model_seconds(await made.model.admin.requests(after=before, key=side.model_key))
        load.overhead.append(Latency.of(overheads(exchanges, model), cpu))
        load.model.append(Latency.of([model[one.number] for one in exchanges], cpu))


def _print(sides: list[Side]) -> None:
    print("\nmin / median / max of the rounds, ms; overhead is a message's time less the model's time for that message")
    loads = [(f"{shown}, {{}}", *(getattr(side, name) for side in sides)) for shown, name in SHOWN.items()]
    rows = []
    for shown, floor, product in loads:
        for quantile in ("p50", "p99"):
            bare, whole, model, less = (
                Rounds(tuple(getattr(one, quantile) for one in measured))
                for measured in (floor.whole, product.whole, product.model, product.overhead)
            )
            rows.append([shown.format(quantile), bare, whole, model, less, ratio(less, bare)])
    print(table(["", "bare echo", "botrunner", "model", "overhead", "overhead : echo"], rows))
    rows = [_beside("answers a second", *(Rounds(tuple(side.answers)) for side in sides))]
    for shown, floor, product in loads:
        costs = (Rounds(tuple(one.cpu for one in load.whole)) for load in (floor, product))
        rows.append(_beside(f"CPU a message, ms, {shown.split(',')[0]}", *costs))
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
