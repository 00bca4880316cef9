"""A real `botrunner` process alone on SQLite, a simulated Telegram and a simulated model, and people on unmodified Telethon."""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from botfleet_simulator.launch import ModelServer, TelegramServer, model_server, telegram_server
from tests.support.runner import ROOT, Runner, adapted, put_secrets, simulated
from tests.support.unmeasured import unmeasured

NUMBER = re.compile(r"\b\d+\b")


@dataclass
class World:
    """Everything round one bot."""

    telegram: TelegramServer
    model: ModelServer
    folder: Path
    username: str
    token: str
    model_key: str
    people: int = 0
    runners: list[Runner] = field(default_factory=list)

    def secret(self, path: str, value: str) -> None:
        put_secrets(self.folder, {path: value})

    def runner(self, manifest: Path, *, data: str = "data", **changes: Any) -> Runner:
        """A runner of a manifest as it stands in examples/; `changes` go over its spec."""
        if changes:
            manifest = adapted(manifest, self.folder / "bot.yaml", **changes)
        environment = {
            **os.environ,
            "BOTFLEET_BOT_DEFAULTS": simulated(self.telegram, self.model),
            # Alone, who comes back has the lease at once: a term that a stalled machine outlasts is all that it costs.
            "BOTFLEET_LEASE_TERM_SECONDS": "60",
        }
        self.runners.append(Runner(self.folder, manifest, environment, data))
        return self.runners[-1]

    async def person(self) -> str:
        """The phone of somebody new."""
        self.people += 1
        phone = f"+99977{self.people:05d}"
        await self.telegram.admin.create_person(phone, name=f"Person {self.people}")
        return phone

    async def named_once(self, phone: str, numbers: list[int], seconds: float = 120) -> None:
        """By the receiver's count: exactly one delivered reply names each number, in order.

        Counted once the bot has answered one more message: within a chat everything is in order, so what it would say
        twice has come before that.
        """
        last, asked = secrets.randbelow(900_000) + 100_000, False
        async with asyncio.timeout(seconds):
            while True:
                replies = await self.telegram.admin.messages(phone, self.username, incoming=True)
                named = [int(word) for reply in replies for word in NUMBER.findall(reply.text)]
                if last in named:
                    break
                if set(numbers) <= set(named) and not asked:
                    await self.telegram.admin.send_message(phone, self.username, f"message {last}")
                    asked = True
                await asyncio.sleep(0.1)
        assert named == [*sorted(numbers), last]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    token, key = f"5000001:AA{secrets.token_hex(16)}", f"sk-{secrets.token_hex(16)}"
    async with contextlib.AsyncExitStack() as servers:
        with unmeasured():
            telegram = await servers.enter_async_context(
                telegram_server(tmp_path / "telegram", log=tmp_path / "telegram.log")
            )
            model = await servers.enter_async_context(model_server(keys=[key]))
        account = await telegram.admin.create_bot("concierge_bot", id=5_000_001, token=token)
        world = World(telegram, model, tmp_path, str(account.username), token, key)
        values = {
            "telegram-app/api-id": "12345",
            "telegram-app/api-hash": "planted-api-hash",
            "concierge/token": token,
            "openai/api-key": key,
            "telegram-server/public.pem": telegram.public_key,
        }
        put_secrets(tmp_path, values)
        yield world
        for runner in world.runners:
            await runner.end()


@pytest.fixture
async def concierge(world: World) -> Runner:
    """The example's concierge, answering at once, running."""
    runner = world.runner(ROOT / "examples/concierge.yaml", conversation={"debounceSeconds": 0})
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    return runner
