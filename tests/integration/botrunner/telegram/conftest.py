"""One simulated Telegram for all these tests; each has a bot, people and a store of its own."""

import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from botfleet_simulator.client.telegram import TelegramAdmin
from botfleet_simulator.person import Person
from tests.integration.botrunner.telegram.harness import World
from tests.integration.botrunner.telegram.telethon_bot import Bot
from tests.support.unmeasured import environment

_numbers = itertools.count(1)
_DEFAULTS = {"short_updates": True, "random_id_repeat": "original", "duplicate_keys": "allow", "difference_limit": 5000}


@dataclass(frozen=True)
class Simulator:
    """Where the simulated Telegram listens."""

    host: str
    port: int
    admin_url: str
    public_key: str

    @property
    def admin(self) -> TelegramAdmin:
        return TelegramAdmin(self.admin_url)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("telegram")
    command = [sys.executable, "-m", "botfleet_simulator", "telegram", "--state", str(folder), "--port", "0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--admin-host", "127.0.0.1", "--admin-port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
        )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Simulator(
            "127.0.0.1", ready["port"], f"http://127.0.0.1:{ready['admin_port']}", Path(ready["public_key"]).read_text()
        )
    finally:
        process.terminate()
        process.wait(timeout=60)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
async def tg(simulator: Simulator) -> AsyncIterator[Simulator]:
    """The simulator, without faults before and after."""
    yield simulator
    await simulator.admin.clear_faults()
    await simulator.admin.update_settings(**_DEFAULTS)


@pytest.fixture
async def world(tg: Simulator, tmp_path: Path) -> AsyncIterator[World]:
    made = await World.make(tg, tmp_path, next(_numbers))
    yield made
    await tg.admin.clear_faults()
    await made.close()


@pytest.fixture
async def alice(world: World) -> AsyncIterator[Person]:
    """The first of a world's people, at a client of her own."""
    async with Person(
        world.tg.host, world.tg.port, world.tg.public_key, phone=world.phone, admin=world.tg.admin
    ) as person:
        yield person


@pytest.fixture
async def bot(world: World) -> AsyncIterator[Bot]:
    """Of a world: its bot account with a key that is authorized, for plain Telethon clients."""
    made = Bot(world, await world.tg.admin.create_session(world.name))
    yield made
    await made.close()
