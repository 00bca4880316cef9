"""Why: a person of the simulated Telegram talks with a bot, and the terminal shows what they say to each other."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from rich.console import Console
from rich.markup import escape

from botfleet_simulator.client import TelegramAdmin
from botfleet_simulator.person import Person
from botfleet_tools.cluster import Cluster
from botfleet_tools.platform.forward import forwarded
from botfleet_tools.platform.simulated import MTPROTO_PORT, NAMESPACE, SimulatedPerson, Simulation

ADMIN_PORT = 8444
REPLY_SECONDS = 60.0


@contextlib.asynccontextmanager
async def person_in(cluster: Cluster, simulation: Simulation, who: SimulatedPerson) -> AsyncIterator[Person]:
    """A person of the simulation that runs in the cluster, logged in from here."""
    with forwarded(cluster, NAMESPACE, "deployment/telegram", MTPROTO_PORT, ADMIN_PORT) as ports:
        admin = TelegramAdmin(f"http://127.0.0.1:{ports[ADMIN_PORT]}")
        async with Person(
            "127.0.0.1", ports[MTPROTO_PORT], simulation.public_key, phone=who.phone, admin=admin
        ) as person:
            yield person


async def hold(person: Person, name: str, bot: str, lines: list[str], console: Console) -> None:
    """Says each line, waits for the answer, shows both."""
    for line in lines:
        console.print(f"  [bold]{escape(name)}[/] → @{bot}: {escape(line)}")
        started = asyncio.get_running_loop().time()
        await person.say(bot, line)
        reply = await person.wait_reply(bot, timeout=REPLY_SECONDS)
        seconds = asyncio.get_running_loop().time() - started
        _show_reply(console, bot, reply.text, f"{seconds:.1f} s")


async def chat(person: Person, bot: str, console: Console) -> None:
    """A conversation with somebody at the terminal, until an empty line, Ctrl-D or Ctrl-C."""
    console.print(f"You write to @{bot}. /stop and /start work as for anybody; an empty line ends the chat.")
    shower = asyncio.create_task(_show_replies(person, bot, console))
    try:
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            await person.say(bot, line)
        with contextlib.suppress(TimeoutError):  # what was said last deserves its answer (a piped conversation)
            async with asyncio.timeout(0.2 if sys.stdin.isatty() else 15):
                await shower
    finally:
        shower.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await shower


async def _show_replies(person: Person, bot: str, console: Console) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            reply = await person.wait_reply(bot, timeout=3600)
            _show_reply(console, bot, reply.text, None)


def _show_reply(console: Console, bot: str, text: str, took: str | None) -> None:
    first, *rest = text.splitlines() or [""]
    note = f"  [dim]({took})[/]" if took else ""
    console.print(f"  [green]@{bot}[/]: {escape(first)}{note if not rest else ''}")
    for number, line in enumerate(rest, 1):
        console.print(f"      {escape(line)}{note if number == len(rest) else ''}")
