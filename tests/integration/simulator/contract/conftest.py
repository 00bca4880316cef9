"""Where the contract suite gets its server: the one given on the command line, or a simulator of its own.

The tests see addresses, accounts and Telethon, and nothing of the simulator's insides. Its launcher is imported only to start one.

    pytest tests/integration/simulator/contract --telegram-address host:port --telegram-public-key FILE --telegram-accounts FILE
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import StringSession

from .waiting import DEADLINE

DEFAULT_ACCOUNTS = {
    "bots": [
        {"id": 5000001, "token": "5000001:AAContractSuiteFirstBotTokenXXXXXXX", "username": "contract_bot"},
        {"id": 5000002, "token": "5000002:AAContractSuiteOtherBotTokenXXXXXXX", "username": "other_bot"},
    ],
    "people": [
        {"id": 1001, "phone": "+99966110001", "name": "Alice", "username": "alice_contract"},
        {"id": 1002, "phone": "+99966110002", "name": "Bob", "username": "bob_contract"},
        {
            "id": 1003,
            "phone": "+99966110003",
            "name": "Carol",
            "username": "carol_contract",
            "password": "correct horse",
        },
    ],
}


@dataclass
class Target:
    """A server under test, and the accounts to test it with (bots[0..1], people[0..2]; the last has a 2FA password)."""

    host: str
    port: int
    public_key: str
    accounts: dict[str, Any]
    code: Callable[[str], Awaitable[str]]

    def client(self, session: str | None = None, **options: Any) -> TelegramClient:
        """A client that is not connected yet."""
        rsa.add_key(self.public_key, old=False)
        stored = StringSession(session)
        if session is None:
            stored.set_dc(2, self.host, self.port)
        return TelegramClient(stored, 1, "contract", **options)


class Clients:
    """Clients of one test: made, logged in, and disconnected at the end."""

    def __init__(self, target: Target, stack: contextlib.AsyncExitStack) -> None:
        self.target = target
        self._stack = stack
        self._sessions: dict[str, str] = {}

    async def connected(self, session: str | None = None, **options: Any) -> TelegramClient:
        """A client that has connected and not logged in."""
        client = self.target.client(session, **options)
        await asyncio.wait_for(client.connect(), DEADLINE)
        self._stack.push_async_callback(client.disconnect)
        return client

    async def bot(self, number: int = 0, **options: Any) -> TelegramClient:
        """A bot."""
        client = await self.connected(**options)
        await client.sign_in(bot_token=self.target.accounts["bots"][number]["token"])
        return client

    async def person(self, number: int = 0, **options: Any) -> TelegramClient:
        """A person without 2FA."""
        client = await self.connected(**options)
        phone = self.target.accounts["people"][number]["phone"]
        await client.send_code_request(phone)
        await client.sign_in(phone, await self.target.code(phone))
        return client

    def bot_name(self, number: int = 0) -> str:
        """A bot's username."""
        return str(self.target.accounts["bots"][number]["username"])

    def person_name(self, number: int = 0) -> str:
        """A person's username."""
        return str(self.target.accounts["people"][number]["username"])


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("telegram contract")
    group.addoption(
        "--telegram-address", help="host:port of the MTProto server to test; default: a simulator is started"
    )
    group.addoption("--telegram-public-key", help="its RSA key, a PEM file")
    group.addoption(
        "--telegram-accounts", help="test accounts: a YAML file as the simulator takes it; people may have `code`"
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    address = request.config.getoption("--telegram-address", default=None)
    if address is not None:
        yield given_target(request.config, address)
        return
    from botfleet_simulator.launch import telegram_server

    folder = tmp_path_factory.mktemp("contract") / "telegram"
    async with telegram_server(folder, accounts=DEFAULT_ACCOUNTS) as server:
        yield Target(server.host, server.port, server.public_key, DEFAULT_ACCOUNTS, server.admin.code)


def given_target(config: pytest.Config, address: str) -> Target:
    """The server that the command line names; its login codes are in the accounts file."""
    host, _, port = address.rpartition(":")
    for option in ("--telegram-public-key", "--telegram-accounts"):
        if config.getoption(option) is None:
            raise pytest.UsageError(f"--telegram-address needs {option} FILE as well")
    key = Path(config.getoption("--telegram-public-key")).read_text()
    accounts = yaml.safe_load(Path(config.getoption("--telegram-accounts")).read_text())
    codes = {person["phone"]: str(person.get("code", "22222")) for person in accounts["people"]}

    async def code(phone: str) -> str:
        return codes[phone]

    return Target(host, int(port), key, accounts, code)


@pytest.fixture
async def clients(target: Target) -> AsyncIterator[Clients]:
    async with contextlib.AsyncExitStack() as stack:
        yield Clients(target, stack)


@pytest.fixture
def word() -> str:
    """A text that no other run has used: the server may be one with a history."""
    return f"word-{secrets.token_hex(6)}"
