"""A real `botrunner` process alone on SQLite, a simulated Telegram and a simulated model, and people on unmodified Telethon."""

import asyncio
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet_simulator.launch import ModelServer, TelegramServer, model_server, telegram_server

ROOT = Path(__file__).parents[3]
READY = re.compile(r"probes_and_metrics.*?address\W+(127\.0\.0\.1:\d+)", re.DOTALL)
NUMBER = re.compile(r"\b\d+\b")


@dataclass
class Runner:
    """One bot's process, started and ended as often as a test likes; its log is kept over all of that."""

    folder: Path
    manifest: Path
    environment: dict[str, str]
    data: str = "data"
    process: asyncio.subprocess.Process | None = None
    address: str = ""
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"{self.data}.log"

    async def start(self) -> None:
        offset = self.log.stat().st_size if self.log.exists() else 0
        command = ["-m", "botrunner.main", "run", "-f", str(self.manifest), "--secrets", str(self.folder / "secrets")]
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                "--data",
                str(self.folder / self.data),
                stdout=output,
                stderr=output,
                env=self.environment,
            )
        while not (found := READY.search(self.log.read_text()[offset:])):
            if self.process.returncode is not None:
                return
            await asyncio.sleep(0.02)
        self.address = found.group(1)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self, seconds: float = 30) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def get(self, path: str) -> tuple[int, str]:
        """One request to the probes."""
        host, port = self.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]

    async def wait_probe(self, path: str, status: int, text: str = "", seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while True:
                found = await self.get(path)
                if found[0] == status and text in found[1]:
                    return
                await asyncio.sleep(0.05)


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
        target = self.folder / "secrets" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(value)

    def runner(self, manifest: Path, *, data: str = "data", **changes: Any) -> Runner:
        """A runner of a manifest as it stands in examples/; `changes` go over its spec."""
        defaults = {
            "account": {
                "dataCenter": {
                    "id": 2,
                    "address": self.telegram.host,
                    "port": self.telegram.port,
                    "publicKeySecretRef": {"name": "telegram-server", "key": "public.pem"},
                }
            },
            "model": {"baseUrl": self.model.base_url},
        }
        if changes:
            document = yaml.safe_load(manifest.read_text())
            for part, values in changes.items():
                document["spec"][part] = {**document["spec"].get(part, {}), **values}
            manifest = self.folder / "bot.yaml"
            manifest.write_text(yaml.safe_dump(document))
        environment = {
            **os.environ,
            "BOTFLEET_BOT_DEFAULTS": yaml.safe_dump(defaults),
            "BOTFLEET_LEASE_TERM_SECONDS": "3",
        }
        self.runners.append(Runner(self.folder, manifest, environment, data))
        return self.runners[-1]

    async def person(self) -> str:
        """The phone of somebody new."""
        self.people += 1
        phone = f"+99977{self.people:05d}"
        await self.telegram.admin.create_person(phone, name=f"Person {self.people}")
        return phone

    async def named_once(self, phone: str, numbers: list[int], seconds: float = 60) -> None:
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
    async with (
        telegram_server(tmp_path / "telegram", log=tmp_path / "telegram.log") as telegram,
        model_server(keys=[key]) as model,
    ):
        account = await telegram.admin.create_bot("concierge_bot", id=5_000_001, token=token)
        world = World(telegram, model, tmp_path, str(account.username), token, key)
        for path, value in {
            "telegram-app/api-id": "12345",
            "telegram-app/api-hash": "planted-api-hash",
            "concierge/token": token,
            "openai/api-key": key,
            "telegram-server/public.pem": telegram.public_key,
        }.items():
            world.secret(path, value)
        yield world
        for runner in world.runners:
            if runner.process is not None and runner.process.returncode is None:
                await runner.kill()


@pytest.fixture
async def concierge(world: World) -> Runner:
    """The example's concierge, answering at once, running."""
    runner = world.runner(ROOT / "examples/concierge.yaml", conversation={"debounceSeconds": 0})
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    return runner
