"""Why: the floor of bench/reply: a bot that is Telethon and nothing else, and says what it hears.

A program of its own, `python -m bench.reply.echo`, so that it has a process as the runner has; it prints a line when it listens.
"""

import asyncio
import os
import sys
from typing import Any

import uvloop
from telethon import TelegramClient, events
from telethon.crypto import rsa
from telethon.sessions import StringSession


async def main() -> None:
    """Until it is ended."""
    rsa.add_key(os.environ["BENCH_PUBLIC_KEY"], old=False)
    session = StringSession()
    session.set_dc(2, os.environ["BENCH_HOST"], int(os.environ["BENCH_PORT"]))
    client = TelegramClient(session, 1, "simulated")

    @client.on(events.NewMessage(incoming=True))  # type: ignore[untyped-decorator]
    async def echo(event: Any) -> None:
        await client.send_message(await event.get_input_chat(), event.raw_text, parse_mode=None)

    await client.start(bot_token=os.environ["BENCH_TOKEN"])
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
