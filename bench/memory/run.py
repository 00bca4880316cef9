"""Why: the memory of one runner as a pod has it: idle and connected, and after many messages, beside its libraries alone."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench.figures import table
from bench.image import as_in_image
from bench.load import flat_out
from bench.process import Memory, memory
from bench.rig import Rig, rig, settings_line
from bench.running import tell
from bench.talker import talkers

CHATS = 50
SETTLE_SECONDS = 3.0


@dataclass
class Options:
    """What the command line says. `step`: weighed once in so many messages."""

    messages: int
    step: int


@contextlib.asynccontextmanager
async def _floor(made: Rig) -> AsyncIterator[int]:
    """A process that has only imported."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.memory.imports",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=as_in_image(made.folder),
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline(), "the libraries could not be imported"
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _compile() -> None:
    """What has no bytecode yet would be compiled in the process that is weighed: another one does it first."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import botrunner.app, bench.memory.imports")
    async with asyncio.timeout(120):
        assert await process.wait() == 0, "the runner cannot be imported"


async def run(options: Options) -> int:
    """Prints the figures."""
    print("memory of one runner")
    async with rig() as made:
        print(
            settings_line(
                messages=options.messages,
                chats=CHATS,
                PostgreSQL=made.durability(),
                Redis="on",
                debounce=0,
                typing="off",
                memory="off",
                limit="10,000 answers a minute and chat",
                Python=sys.version.split()[0],
            )
        )
        await _compile()
        bot = await made.bot_account()
        async with _floor(made) as floor:
            bare = memory(floor)
        await bot.start()
        await asyncio.sleep(SETTLE_SECONDS)
        idle = memory(bot.runner.pid)
        weighed = [("its libraries imported", bare), ("runner, connected, idle", idle)]
        async with talkers(made, CHATS, [bot.username]) as people:
            done = 0
            while done < options.messages:
                some = min(options.step, options.messages - done)
                rate = await flat_out(people, bot.username, some)
                done += some
                tell(f"{done} of {options.messages} messages, {rate:.0f}/s")
                weighed.append((f"after {done} messages", memory(bot.runner.pid)))
            await asyncio.sleep(SETTLE_SECONDS)
            last = memory(bot.runner.pid)
            weighed.append(("and idle again", last))
    _print(weighed, bare, idle, last)
    return 0


def _print(weighed: list[tuple[str, Memory]], bare: Memory, idle: Memory, last: Memory) -> None:
    rows = [[what, *(f"{value:.1f}" for value in (one.rss, one.pss, one.private))] for what, one in weighed]
    print()
    print(table(["MiB", "RSS", "PSS", "private"], rows))
    print(f"idle : libraries    {idle.rss / bare.rss:.2f} (RSS), {idle.pss / bare.pss:.2f} (PSS)")
    print(f"growth              {last.rss - idle.rss:.1f} MiB (RSS), {last.pss - idle.pss:.1f} MiB (PSS)")
