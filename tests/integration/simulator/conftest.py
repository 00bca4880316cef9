"""The simulator under test here is one process a session; faults and settings are put back after each test."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import StringSession

from botfleet_simulator.client import Account
from botfleet_simulator.launch import ModelServer, TelegramServer, model_server, telegram_server
from tests.waiting import DEADLINE

numbers = itertools.count(1)


class Bench:
    """A server, and clients that are disconnected at the end of the test."""

    def __init__(self, server: TelegramServer, stack: contextlib.AsyncExitStack) -> None:
        self.server = server
        self.admin = server.admin
        self._stack = stack

    async def pair(self) -> tuple[Account, Account]:
        """A new bot and a new person."""
        number = next(numbers)
        bot = await self.admin.create_bot(f"bench_{number}_bot")
        person = await self.admin.create_person(f"+9996700{number:04d}", username=f"bench_{number}_person")
        return bot, person

    async def client(self, account: Account | str | None = None, **options: Any) -> TelegramClient:
        """A client of an account, logged in with a ready-made session (or with that session, or not at all)."""
        rsa.add_key(self.server.public_key, old=False)
        if isinstance(account, Account):
            account = await self.admin.create_session(account.id)
        session = StringSession(account)
        if account is None:
            session.set_dc(2, self.server.host, self.server.port)
        options = {"retry_delay": 0.1, "connection_retries": None, "raise_last_call_error": True, **options}
        client = TelegramClient(session, 1, "bench", **options)
        self._stack.push_async_callback(client.disconnect)
        await asyncio.wait_for(client.connect(), DEADLINE)
        return client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TelegramServer]:
    async with telegram_server(tmp_path_factory.mktemp("simulator") / "state") as server:
        yield server


@pytest.fixture
async def bench(shared_server: TelegramServer) -> AsyncIterator[Bench]:
    defaults = await shared_server.admin.settings()
    async with contextlib.AsyncExitStack() as stack:
        yield Bench(shared_server, stack)
        await shared_server.admin.clear_faults()
        await shared_server.admin.update_settings(**defaults)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_model() -> AsyncIterator[ModelServer]:
    async with model_server() as server:
        yield server


@pytest.fixture
async def model(shared_model: ModelServer) -> AsyncIterator[ModelServer]:
    await shared_model.admin.reset_requests()
    yield shared_model
    await shared_model.admin.clear_faults()
    await shared_model.admin.update_settings(latency=0.0, keys=None)


@pytest.fixture
def unused_number() -> Iterator[int]:
    yield next(numbers)
