"""One cluster for the whole tier: a real node, the platform installed by Helm, the bots of examples/ applied, and people who write."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from botfleet_simulator.client import ModelAdmin, TelegramAdmin
from botfleet_simulator.person import Person
from botfleet_tools.cluster import Cluster
from botfleet_tools.cluster.kind import docker_runs
from botfleet_tools.platform import simulated
from botfleet_tools.platform.forward import forwarded
from botfleet_tools.platform.install import LoadedImages, Release, install, load_images
from botfleet_tools.platform.simulated import MTPROTO_PORT, NAMESPACE, SimulatedPerson, Simulation
from botfleet_tools.progress import Progress
from tests.e2e.logs import LogKeeper
from tests.support.watching import Watch, watching

NAME = "botfleet-e2e"
FIRST_SECONDS = 600.0
TEST_SECONDS = 400.0  # a quiet machine needs a tenth of it
EXAMPLES = Path(__file__).parents[2] / "examples"
READY_SECONDS = 180.0
ANSWERED_SECONDS = 180.0
REPLY_SECONDS = 90.0
WATCHED_SECONDS = 30
NUMBER = re.compile(r"\b\d+\b")


@dataclass
class Fleet:
    """The platform as its user has it, and what the tests need to look into it."""

    cluster: Cluster
    release: Release
    images: LoadedImages
    simulation: Simulation
    telegram: TelegramAdmin
    telegram_port: int
    model: ModelAdmin
    logs: LogKeeper
    planted: dict[str, str] = field(
        default_factory=dict, repr=False
    )  # secrets that must be in no log, by what they are

    def upgrade(self, **bots: Any) -> None:
        """`helm upgrade` with the values of this tier, and with these of the part `bots` beside them."""
        install(self.release, self.images, Progress(), {"bots": {"defaults": simulated.BOT_DEFAULTS, **bots}})

    def kubectl(self, *args: str, **options: Any) -> str:
        return self.cluster.kubectl(*args, **options)

    def get(self, namespace: str, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("-n", namespace, "get", kind, name, "-o", "json"))
        return found

    def condition(self, namespace: str, bot: str, type_: str) -> dict[str, Any] | None:
        conditions = self.get(namespace, "telegrambot", bot).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), None)

    def wait_condition(
        self,
        namespace: str,
        bot: str,
        type_: str,
        status: str,
        reason: str | None = None,
        seconds: float = READY_SECONDS,
    ) -> dict[str, Any]:
        """The condition, once it is as asked for."""
        seen: dict[str, Any] | None = None

        def as_asked() -> dict[str, Any] | None:
            nonlocal seen
            seen = self.condition(namespace, bot, type_)
            return seen if seen and seen["status"] == status and reason in (None, seen["reason"]) else None

        return wait_for(
            as_asked, seconds, lambda: f"{namespace}/{bot}: wanted {type_}={status} {reason or ''}, last seen {seen}"
        )

    async def seconds_after(self, change: Callable[[], object], namespace: str, bot: str, type_: str) -> float:
        """From the end of a change until the condition is True, as a watch tells that was open before the change."""
        with self.watching(namespace, "telegrambot", bot) as watch:
            return await asyncio.to_thread(watch.seconds_after, change, type_, WATCHED_SECONDS)

    def watching(self, namespace: str, kind: str, name: str) -> AbstractContextManager[Watch]:
        """An open watch of an object that is there."""
        return watching(self.cluster.kubeconfig, namespace, kind, name)

    @contextlib.asynccontextmanager
    async def person(self, who: SimulatedPerson) -> AsyncIterator[Person]:
        async with Person(
            "127.0.0.1", self.telegram_port, self.simulation.public_key, phone=who.phone, admin=self.telegram
        ) as person:
            yield person

    async def new_person(self, number: int) -> SimulatedPerson:
        """Somebody who has not written to any bot yet."""
        phone = f"+99911{number:05d}"
        account = await self.telegram.create_person(phone, name=f"Person {number}")
        return SimulatedPerson(account.id, phone, f"Person {number}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that asks for the fleet starts the node and the platform on its own time."""
    of_the_fleet = [item for item in items if "fleet" in getattr(item, "fixturenames", ())]
    for number, item in enumerate(of_the_fleet):
        item.add_marker(pytest.mark.timeout(TEST_SECONDS if number else FIRST_SECONDS))


T = TypeVar("T")


def wait_for(found: Callable[[], T | None], seconds: float, told: Callable[[], str]) -> T:
    """The first result that is not None, which must be there in time; asks five times a second."""
    started = time.monotonic()
    while True:
        result = found()
        after = time.monotonic() - started
        if result is not None:
            assert after <= seconds, f"it came only after {after:.1f} s, wanted within {seconds:.0f} s: {result}"
            return result
        assert after <= seconds, f"not within {seconds:.0f} s: {told()}"
        time.sleep(0.2)


def node_can_be_made() -> None:
    """Skips where no node can be made."""
    if os.geteuid() != 0 and not docker_runs():
        pytest.skip("a node of plain processes needs root, and Docker is not there")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    node_can_be_made()
    cluster = Cluster.ensure(name=NAME, progress=Progress())
    yield cluster
    if not os.environ.get("BOTFLEET_KEEP_CLUSTER"):
        cluster.down()


@pytest.fixture(scope="session")
def fleet(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    progress = Progress()
    logs = LogKeeper(Path(cluster.kubeconfig), tmp_path_factory.mktemp("logs"))
    logs.start()
    try:
        images = load_images(cluster, progress)
        simulation = simulated.ensure(cluster, images.reference("simulator"), progress)
        release = Release(cluster)
        install(release, images, progress, {"bots": {"defaults": simulated.BOT_DEFAULTS}})
        simulated.apply(cluster, *simulated.owner_secrets(simulation))
        with (
            forwarded(cluster, NAMESPACE, "deployment/telegram", MTPROTO_PORT, 8444) as telegram,
            forwarded(cluster, NAMESPACE, "deployment/model", 8081) as model,
        ):
            fleet = Fleet(
                cluster,
                release,
                images,
                simulation,
                TelegramAdmin(f"http://127.0.0.1:{telegram[8444]}"),
                telegram[MTPROTO_PORT],
                ModelAdmin(f"http://127.0.0.1:{model[8081]}"),
                logs,
            )
            for bot in simulation.bots:
                cluster.kubectl("apply", "-f", str(EXAMPLES / f"{bot.name}.yaml"))
            for bot in simulation.bots:
                fleet.wait_condition(bot.namespace, bot.name, "Ready", "True")
            yield fleet
    finally:
        logs.stop()


async def named_once(
    fleet: Fleet, person: int, bot: str, numbers: list[int], seconds: float = ANSWERED_SECONDS
) -> None:
    """By the receiver's count: exactly one delivered reply names each number, and they come in order.

    Counted once the bot has answered one more message: within a chat everything is in order, so what it would say twice
    has come before that.
    """
    last = secrets.randbelow(900_000) + 100_000
    asked = False
    deadline = time.monotonic() + seconds
    while True:
        replies = await fleet.telegram.messages(person, bot, incoming=True)
        named = [int(word) for reply in replies for word in NUMBER.findall(reply.text)]
        if last in named:
            break
        if set(numbers) <= set(named) and not asked:
            await fleet.telegram.send_message(person, bot, f"message {last}")
            asked = True
        missing = sorted({*numbers, last} - set(named))
        assert time.monotonic() < deadline, f"not answered within {seconds:.0f} s: {missing}"
        await asyncio.sleep(0.3)
    ours = [number for number in named if number in set(numbers)]
    assert ours == sorted(numbers), f"each number once and in order; delivered: {ours}"
