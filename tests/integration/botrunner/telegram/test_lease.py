"""A session is never used twice at once: the socket goes before the lease can pass on, whatever this process is doing."""

import asyncio
import contextlib
import json
import threading
import time
import urllib.request

import pytest

from botfleet.store.errors import StoreUnavailable
from botfleet.store.lease import LeaseRepository
from botrunner.ownership.clock import now
from botrunner.ownership.cutoff import Gate
from botrunner.telegram.connection import End
from tests.integration.botrunner.telegram.harness import Life, World
from tests.waiting import DEADLINE, until

TERM = 1.5


class Watcher(threading.Thread):
    """Sees from outside that the account's last connection has ended; it shares nothing with the event loop."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self._url = f"{world.tg.admin_url}/connections?account={world.bot.id}"
        self.gone = False
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.gone and not self.stop.is_set():
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(self._url, timeout=5) as answer,  # noqa: S310 -- loopback
            ):
                self.gone = not json.load(answer)
            time.sleep(0.02)


@pytest.fixture
def shut_at(monkeypatch: pytest.MonkeyPatch) -> dict[Gate, float]:
    """When each connection was shut first, by the word of the thread that shut it."""
    moments: dict[Gate, float] = {}
    shut = Gate.shut

    def stamped(gate: Gate) -> None:
        shut(gate)
        moments.setdefault(gate, now())

    monkeypatch.setattr(Gate, "shut", stamped)
    return moments


async def connected(world: World) -> Life:
    """A life that is connected. A machine that takes longer for the first login than the lease lasts gets another lease for it."""
    life = await world.live()
    await until(lambda: life.telegram.connected or life.task.done())
    if life.task.done():
        assert life.task.result().end is End.LEASE_LOST
        return await connected(world)
    return life


async def test_with_a_blocked_event_loop_the_socket_is_gone_within_two_thirds_of_the_term(
    world: World, shut_at: dict[Gate, float]
):
    world.term = TERM
    life = await connected(world)
    tenure = life.telegram._tenure
    watcher = Watcher(world)
    watcher.start()
    last_renewal = now()  # at the latest: none can be sent while the loop is blocked
    time.sleep(TERM)  # noqa: ASYNC251 -- this is the fault
    watcher.join(DEADLINE)  # and so is this
    watcher.stop.set()
    tenure.guard._thread.join(DEADLINE)
    assert watcher.gone
    assert max(shut_at.values()) - last_renewal <= TERM * 2 / 3 + 0.25
    assert not tenure.guard.may_act()
    assert (await asyncio.wait_for(life.task, 10)).end is End.LEASE_LOST


async def test_a_database_that_is_away_costs_the_connection_and_gives_it_back_afterwards(
    world: World, shut_at: dict[Gate, float], monkeypatch
):
    world.term = TERM
    life = await connected(world)
    began = now()

    async def away(*_: object) -> bool:
        raise StoreUnavailable("away")

    with monkeypatch.context() as outage:
        outage.setattr(LeaseRepository, "renew", away)
        outage.setattr(LeaseRepository, "acquire", away)
        assert (await asyncio.wait_for(life.task, 10)).end is End.LEASE_LOST
        await world.tg.admin.wait_connections(world.bot.id, count=0, exactly=True)
        life.telegram._tenure.guard._thread.join(DEADLINE)
        assert max(shut_at.values()) - began <= TERM
    await connected(world)


async def test_a_lease_that_was_taken_over_ends_the_life_and_nothing_more_is_sent(world: World):
    world.term = TERM
    await world.tg.admin.send_message(world.alice, world.name, "hello")
    life = await connected(world)
    tenure = life.telegram._tenure
    assert await LeaseRepository(world.store, world.bot_id).acquire("me", TERM) is not None  # a second container
    assert (await asyncio.wait_for(life.task, 10)).end is End.LEASE_LOST
    assert not tenure.guard.may_act()
    assert not life.telegram.connected


async def test_a_write_with_a_stale_token_ends_the_life_before_the_next_renewal(world: World):
    world.term = 30  # so that no renewal notices
    life = await world.live()
    await life.connected()
    await LeaseRepository(world.store, world.bot_id).acquire("me", 30)
    await world.tg.admin.send_message(world.alice, world.name, "for the other one")
    tenure = await world.tenure_now()
    await until(lambda: not tenure.guard.may_act(), 5)
    await world.tg.admin.wait_connections(world.bot.id, count=0, exactly=True)


async def test_after_the_cut_off_a_new_lease_takes_in_what_was_missed(world: World):
    life = await world.live()
    await life.connected()
    tenure = await world.tenure()
    tenure.guard.cut()
    await until(lambda: not life.telegram.connected)
    await world.tg.admin.send_message(world.alice, world.name, "meanwhile")
    await life.stop()
    await world.drop_lease()
    await world.live()
    await world.wait_texts(world.alice, ["meanwhile"])


async def test_a_cut_connection_does_not_come_back_by_itself(world: World):
    life = await world.live()
    await life.connected()
    (await world.tenure()).guard.cut()
    await until(lambda: not life.telegram.connected)
    await asyncio.sleep(2)  # several of the pauses between attempts
    assert await world.tg.admin.connections(world.bot.id) == []
