"""Why: the people of a benchmark: a Telethon connection each, with as little of it in the way as can be, so that the bot is measured.

A message carries a number, a reply names it; the time between is from before the send to the reply's arrival.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from telethon import TelegramClient, events, functions
from telethon.crypto import rsa
from telethon.helpers import generate_random_long
from telethon.sessions import StringSession

from bench.kill.count import numbers_of
from bench.rig import Rig

REPLY_SECONDS = 30.0
CONNECT_SECONDS = 30.0


class Talker:
    """One person. Messages to one bot may be under way at once."""

    def __init__(self, client: TelegramClient) -> None:
        self._client = client
        self._peers: dict[str, Any] = {}
        self._waiting: dict[tuple[int, int], asyncio.Future[float]] = {}

    async def know(self, username: str) -> None:
        """Find a bot, before anything is measured."""
        self._peers[username] = await self._client.get_input_entity(username)

    async def exchange(self, username: str, number: int) -> float:
        """Say a number; the seconds until a reply names it. Raises TimeoutError."""
        peer = self._peers[username]
        answered = self._waiting[peer.user_id, number] = asyncio.get_running_loop().create_future()
        request = functions.messages.SendMessageRequest(peer, f"message {number}", random_id=generate_random_long())
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                began = time.perf_counter()
                await self._client(request)
                return float(await answered) - began
        finally:
            self._waiting.pop((peer.user_id, number), None)

    async def on_update(self, update: Any) -> None:
        """For Telethon."""
        now = time.perf_counter()
        message = getattr(update, "message", None)
        if message is None:
            return
        short = isinstance(message, str)
        text, sender = (message, update.user_id) if short else (message.message, message.peer_id.user_id)
        if (update if short else message).out:
            return
        for number in numbers_of([text]):
            waiting = self._waiting.get((sender, number))
            if waiting is not None and not waiting.done():
                waiting.set_result(now)


@contextlib.asynccontextmanager
async def talkers(rig: Rig, count: int, usernames: list[str]) -> AsyncIterator[list[Talker]]:
    """People who are connected and know these bots."""
    rsa.add_key(rig.telegram.public_key, old=False)
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for number in range(count):
            session = await rig.telegram.admin.create_session(await rig.person(number))
            client = TelegramClient(StringSession(session), 1, "simulated", connection_retries=None, retry_delay=0.2)
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect()
                await client.get_me()
            stack.push_async_callback(_disconnect, client)
            talker = Talker(client)
            client.add_event_handler(talker.on_update, events.Raw)
            for username in usernames:
                await talker.know(username)
            found.append(talker)
        yield found


async def _disconnect(client: TelegramClient) -> None:
    async with asyncio.timeout(CONNECT_SECONDS):
        await client.disconnect()
