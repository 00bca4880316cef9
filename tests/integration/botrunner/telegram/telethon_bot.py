"""A bot account whose key is authorized, and plain Telethon clients of it; for the facts about Telethon (test_telethon_*.py)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import MemorySession, StringSession
from telethon.tl import types

from tests.integration.botrunner.telegram.harness import World
from tests.waiting import DEADLINE


def memory_of(text: str) -> MemorySession:
    """A session that can keep a state, with the key of another one."""
    source, session = StringSession(text), MemorySession()
    session.set_dc(source.dc_id, source.server_address, source.port)
    session.auth_key = source.auth_key
    return session


class Bot:
    """A bot account whose key is authorized, and clients of it."""

    def __init__(self, world: World, session: str) -> None:
        self.tg, self.name, self.alice, self.session = world.tg, world.name, world.alice, session
        self.world = world
        self.clients: list[TelegramClient] = []

    async def client(
        self, kind: type[TelegramClient] = TelegramClient, *, state: int | None = None, **options: Any
    ) -> Any:
        session: Any = StringSession(self.session)
        if state is not None:
            session = memory_of(self.session)
            session.set_update_state(0, types.updates.State(state, 0, datetime.now(UTC), 0, 0))
        made = kind(session, 1, "hash", **{"request_retries": 1, "catch_up": state is not None, **options})
        self.clients.append(made)
        await made.connect()
        return made

    async def unauthorized(self, *, state: int | None = None, **options: Any) -> Any:
        """A client with a key that it has just made, and that is nobody's yet."""
        rsa.add_key(self.tg.public_key, old=False)
        session = MemorySession()
        session.set_dc(2, self.tg.host, self.tg.port)
        if state is not None:
            session.set_update_state(0, types.updates.State(state, 0, datetime.now(UTC), 0, 0))
        made = TelegramClient(session, 1, "hash", **{"request_retries": 1, "catch_up": state is not None, **options})
        self.clients.append(made)
        await asyncio.wait_for(made.connect(), DEADLINE)
        return made

    async def pts(self) -> int:
        return (await self.tg.admin.state(self.name)).pts

    async def differences(self, count: int = 1) -> None:
        """Until so many have been answered: what comes later comes after them."""
        await self.tg.admin.wait_for_call(
            "updates.getDifference", account=self.name, count=count, after=self.world.since, outcome="ok"
        )

    async def hear(self, text: str) -> None:
        await self.tg.admin.send_message(self.alice, self.name, text)

    async def close(self) -> None:
        """End the clients; what ended one of them already is read, so that it is not reported as forgotten."""
        for client in self.clients:
            await client.disconnect()
            if client._sender._disconnected.done() and not client._sender._disconnected.cancelled():
                client._sender._disconnected.exception()


class Hooked(TelegramClient):
    """Notes what comes through the hook, and how the state stood."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[tuple[str, int]] = []
        self.inside = 0
        self.overlapped = False
        self.fails = False

    async def _preprocess_updates(self, found: Any, users: Any, chats: Any) -> Any:
        self.overlapped = self.overlapped or self.inside > 0
        self.inside += 1
        await asyncio.sleep(0.02)
        self.inside -= 1
        for update in found:
            message = getattr(update, "message", None)
            text = message if isinstance(message, str) else getattr(message, "message", None)
            if text is not None:
                self.seen.append((text, self._message_box.session_state()[0]["pts"]))
        if self.fails and self.seen:  # not at the empty difference of the start
            raise RuntimeError("on purpose")
        return await super()._preprocess_updates(found, users, chats)


async def note(handled: list[int], count: int) -> None:
    handled.append(count)


async def hear(heard: list[str], text: str) -> None:
    heard.append(text)
