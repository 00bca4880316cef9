"""Promises about outages, of a runner as a pod has it: on PostgreSQL and Redis, for a bot's account and for a person's.

In each of them people go on writing. Nothing is lost, nothing is answered twice, each chat stays in order, and the same process goes
on without being started again. An outage here lasts a few seconds and the lease three, instead of fifteen: what a longer one would
cross, this one crosses (the time limit of a statement, the cut-off, the end of the lease, the waits between attempts).
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from bench.kill.count import Verdict
from bench.rig import BenchBot, Rig, rig
from botfleet_operator.provision.bus import Users
from tests.support.traffic import Traffic
from tests.waiting import until

TERM = 3.0
PEOPLE = 3
pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do


@dataclass
class Scene:
    """One bot that answers some people."""

    rig: Rig
    bot: BenchBot
    traffic: Traffic
    pid: int

    @property
    def admin(self):
        return self.rig.telegram.admin

    async def wait_told(self, reason: str) -> None:
        """Until the probe says why it is not ready; the process is well all the same."""
        await self.bot.runner.wait_probe("/readyz", 503, reason)
        await self.bot.runner.wait_probe("/livez", 200)

    async def wait_ready(self) -> None:
        await self.bot.runner.wait_probe("/readyz", 200)

    async def end_well(self) -> None:
        """Everything was answered once and in order, and by the process that was there in the beginning."""
        verdict = await self.traffic.verdict()
        assert verdict == Verdict(sent=verdict.sent)
        assert verdict.sent > PEOPLE * 4
        await self.wait_ready()
        process = self.bot.runner.process
        assert process is not None
        assert (process.pid, process.returncode) == (self.pid, None)
        assert await self.bot.runner.stop() == 0


@pytest.fixture(params=["bot", "person"])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with rig() as made:
        bot = await (made.bot_account() if request.param == "bot" else made.user_account())
        bot.runner.environment["BOTFLEET_LEASE_TERM_SECONDS"] = str(TERM)
        await bot.start()
        people = [await made.person(number) for number in range(PEOPLE)]
        scene = Scene(made, bot, Traffic(made.telegram.admin, bot.username, people), bot.runner.pid)
        scene.traffic.start()
        try:
            await scene.traffic.written(1)
            await scene.traffic.answered()
            yield scene
        finally:
            await scene.traffic.stop()


class Events:
    """A bot's events in PostgreSQL, and in its stream."""

    def __init__(self, rig: Rig, bot: BenchBot) -> None:
        self._rig, self._environment = rig, bot.runner.environment
        self._prefix = self._environment["BOTFLEET_BUS_PREFIX"]
        self._bot_id = self._prefix.split(":")[2]

    async def make_user(self) -> None:
        """As the operator does, when Redis has come back without it."""
        redis, installation = self._rig.redis, self._rig.installation.id
        users = Users(f"redis://{redis.user}@{redis.host}:{redis.port}/0", redis.password, installation)
        user = urlsplit(self._environment["BOTFLEET_REDIS_URL"]).username
        password = (Path(self._environment["BOTFLEET_OWN_DIR"]) / "redis-password").read_text()
        await users.ensure(str(user), self._bot_id, password)
        await users.close()

    def relayed(self) -> dict[str, tuple[str, str]]:
        """Ids of those that were handed to the bus, in order, with what they tell of which chat."""
        rows = self._rows("id, type, data->>'peer_id'", "relayed_at is not null order by id")
        return {event_id: (kind, chat) for event_id, kind, chat in rows}

    def at_rest(self) -> bool:
        """Whether none waits, and none is to come: that a reply was sent is an event, and is noted after it has arrived."""
        return not self._rows("id", "relayed_at is null") and not self._rows(
            "1", "state in ('pending', 'attempted')", "outbox"
        )

    async def streamed(self) -> list[str]:
        """Ids in the stream, each where it came first."""
        async with Redis.from_url(self._rig.redis.url) as client:
            entries: Any = await client.xrange(f"{self._prefix}events")
        return list(dict.fromkeys(fields[b"id"].decode() for _, fields in entries))

    def _rows(self, what: str, condition: str, table: str = "events") -> list[tuple[Any, ...]]:
        with self._rig.installation.superuser() as connection:
            return connection.execute(
                f"select {what} from botfleet.{table} where bot_id = %s and {condition}",  # noqa: S608 - constants
                (self._bot_id,),
            ).fetchall()


both = pytest.mark.parametrize("scene", ["bot", "person"], indirect=True)
bots = pytest.mark.parametrize("scene", ["bot"], indirect=True)


@both
@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_while_postgresql_is_away_the_bot_leaves_telegram_and_goes_on_by_itself_afterwards(
    scene: Scene, how: str
) -> None:
    server = scene.rig.installation.server
    server.pause() if how == "frozen" else server.kill()
    await scene.wait_told("Disconnected")
    await scene.admin.wait_connections(scene.bot.username, count=0, exactly=True)
    await scene.traffic.written(int(TERM / 0.25))  # until the lease has expired, too
    assert await scene.admin.connections(scene.bot.username) == []
    await asyncio.to_thread(server.resume if how == "frozen" else server.start)
    await scene.wait_ready()
    await scene.traffic.written(1)
    await scene.end_well()


@bots
@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_while_redis_is_away_the_bot_answers_and_its_events_come_in_order_afterwards(
    scene: Scene, how: str
) -> None:
    redis, events = scene.rig.redis, Events(scene.rig, scene.bot)
    redis.pause() if how == "frozen" else redis.kill()
    await scene.traffic.written(4)
    await scene.traffic.answered()
    await scene.wait_ready()
    lost = events.relayed() if how == "killed" else {}  # a stream ends with its Redis; PostgreSQL has its events
    if how == "frozen":
        redis.resume()
    else:
        await asyncio.to_thread(redis.start)
        await events.make_user()
    await scene.traffic.verdict()
    await until(events.at_rest)
    told = {event: about for event, about in events.relayed().items() if event not in lost}
    streamed = await events.streamed()
    assert sorted(streamed) == list(told)
    # Chats are answered beside each other, and two transactions of the same moment may become true in either order.
    for about in set(told.values()):
        assert [event for event in streamed if told[event] == about] == [e for e in told if told[e] == about]
    await scene.end_well()


@both
async def test_while_telegram_refuses_every_connection_the_bot_says_so_and_fetches_what_was_missed_afterwards(
    scene: Scene,
) -> None:
    await scene.admin.add_fault("refuse", times=None)
    await scene.admin.cut(scene.bot.username)
    await scene.wait_told("Disconnected")
    await scene.traffic.written(6)
    await scene.admin.clear_faults()
    await scene.wait_ready()
    await scene.end_well()


@bots
async def test_connections_that_are_cut_again_and_again_lose_and_double_nothing(scene: Scene) -> None:
    for _ in range(6):
        await scene.wait_ready()
        await scene.traffic.written(1)
        await scene.admin.add_fault(
            "drop_answer", method="messages.sendMessage", account=scene.bot.username, times=1, cut=True
        )
        await scene.admin.cut(scene.bot.username)
    await scene.admin.clear_faults()
    await scene.end_well()


@bots
async def test_a_model_that_is_slow_wrong_and_gone_in_turn_costs_time_and_no_message(scene: Scene) -> None:
    """The bot is ready meanwhile: that is about Telegram."""
    model = scene.rig.model
    faults: list[tuple[str, dict[str, Any]]] = [
        ("latency", {"delay": 1.5}),
        ("status", {"code": 500}),
        ("status", {"code": 401}),
        ("broken_json", {}),
        ("empty", {}),
        ("cut", {}),
    ]
    for effect, options in faults:
        # A turn to which nothing usable comes three times is given up: that is another promise (test_models.py).
        times = 1 if effect in ("broken_json", "empty") else PEOPLE
        await model.admin.add_fault(effect, times=times, **options)
        await scene.traffic.written(1)
        await scene.traffic.answered()
    await scene.wait_ready()
    await model.stop()
    await scene.traffic.written(4)
    await scene.wait_ready()
    await model.start()
    await scene.end_well()


@bots
async def test_a_process_that_was_frozen_for_longer_than_its_lease_cuts_itself_off_first_and_goes_on(
    scene: Scene,
) -> None:
    process = scene.bot.runner.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    await scene.traffic.written(int(2 * TERM / 0.25))
    before = await scene.admin.last_call()
    await scene.admin.add_fault("refuse", times=None)  # the next connection would come before anybody has looked
    process.send_signal(signal.SIGCONT)
    await scene.admin.wait_connections(scene.bot.username, count=0, exactly=True)
    assert await scene.admin.call_count("messages.sendMessage", scene.bot.username, after=before) == 0
    await scene.admin.clear_faults()
    await scene.wait_ready()
    await scene.end_well()
