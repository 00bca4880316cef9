"""A bot's events in its own Redis Stream, with the rights of a bot's user."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError

from botfleet.bus.port import BusUnavailable
from botfleet.bus.relay import Pace, Relay
from botfleet.bus.streams import StreamBus
from botfleet.store.engine import Store, create_store
from botfleet.store.events import Event, EventRepository
from botfleet.store.identity import ensure_standalone_bot
from botfleet.store.lease import LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Intake
from botfleet.store.schema import create_all_sqlite
from botfleet_tools.servers import Redis
from tests.contracts.store.samples import incoming
from tests.waiting import DEADLINE

PREFIX = "bf:1nsta11d:b0t:"
USER, PASSWORD = "bf_1nsta11d_b0t", "a-password"
RULES = f"resetchannels ~{PREFIX}* -@all +xadd +xlen +ping +hello +auth +client|setname +quit"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
async def admin(server: Redis) -> AsyncIterator[Any]:
    client = redis.asyncio.Redis.from_url(server.url, decode_responses=True)
    await client.flushall()
    await make_user(client)
    yield client
    await client.aclose()


async def make_user(client: Any) -> None:
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    await client.execute_command("ACL", "SETUSER", USER, "reset", "on", f"#{digest}", *RULES.split())


def bus_at(server: Redis, **settings: Any) -> StreamBus:
    return StreamBus(
        f"redis://{USER}@{server.host}:{server.port}/0", PASSWORD, PREFIX, **{"timeout": DEADLINE} | settings
    )


@pytest.fixture
async def bus(server: Redis, admin: Any) -> AsyncIterator[StreamBus]:
    bus = bus_at(server)
    yield bus
    await bus.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = create_store(f"sqlite:///{tmp_path / 'bot.db'}")
    await create_all_sqlite(store)
    yield store
    await store.close()


def event(number: int) -> Event:
    return Event(f"{number:032x}", "message.received", datetime(2026, 11, 1, tzinfo=UTC), {"message_id": number})


async def test_an_event_arrives_with_its_id_type_time_and_data(bus: StreamBus, admin: Any) -> None:
    await bus.publish([event(1)])
    ((_, fields),) = await admin.xrange(f"{PREFIX}events")
    assert json.loads(fields.pop("data")) == {"message_id": 1}
    assert fields == {"id": f"{1:032x}", "type": "message.received", "time": "2026-11-01T00:00:00+00:00"}


async def test_the_stream_keeps_about_its_length(server: Redis, admin: Any) -> None:
    bus = bus_at(server, length=100)
    for start in range(0, 1000, 500):
        await bus.publish([event(number) for number in range(start, start + 500)])
    assert await admin.xlen(f"{PREFIX}events") < 300
    await bus.close()


async def test_the_bots_user_writes_under_its_own_prefix_only(server: Redis, admin: Any) -> None:
    client = redis.asyncio.Redis.from_url(
        f"redis://{server.host}:{server.port}", username=USER, password=PASSWORD, protocol=2
    )
    foreign = "bf:1nsta11d:other:events"
    for command in (
        ["XADD", foreign, "*", "a", "b"],
        ["XADD", foreign, "MAXLEN", "~", "1", "*", "a", "b"],
        ["XLEN", foreign],
        ["SCAN", "0"],
        ["KEYS", "*"],
        ["RANDOMKEY"],
        ["DBSIZE"],
        ["XRANGE", f"{PREFIX}events", "-", "+"],
        ["CONFIG", "GET", "*"],
        ["ACL", "LIST"],
        ["FLUSHALL"],
        ["SUBSCRIBE", "x"],
        ["PUBLISH", "x", "y"],
        ["EVAL", "return 1", "0"],
    ):
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)
    await client.aclose()


async def test_a_redis_that_is_away_loses_no_event_and_order_is_kept(
    server: Redis, admin: Any, bus: StreamBus, store: Store
) -> None:
    bot = await ensure_standalone_bot(store, "hotel", "concierge")
    lease = await LeaseRepository(store, bot.id).acquire("holder", 60)
    assert lease is not None
    path, events = MessagePath(store, lease, 777), EventRepository(store, lease)
    relay = Relay(events, bus, Pace(first=0.1, longest=0.2))
    task = asyncio.create_task(relay.run())
    try:
        await asyncio.to_thread(server.stop)
        await path.take_in(Intake(messages=tuple(incoming(number) for number in range(1, 20))))
        relay.tell()
        async with asyncio.timeout(DEADLINE):
            while not relay.waiting:  # noqa: ASYNC110 - a property, told by nobody
                await asyncio.sleep(0.02)
        await asyncio.to_thread(server.start)
        await admin.connection_pool.disconnect()
        # It came back empty: its users too. Until the operator has made them again, the relay waits.
        await make_user(admin)
        await path.take_in(Intake(messages=(incoming(20),)))
        async with asyncio.timeout(DEADLINE):
            while relay.relayed < 20:  # noqa: ASYNC110 - a count, told by nobody
                await asyncio.sleep(0.02)
        entries = await admin.xrange(f"{PREFIX}events")
        seen = list(dict.fromkeys(json.loads(fields["data"])["message_id"] for _, fields in entries))
        assert seen == list(range(1, 21))
        assert await events.unrelayed() == []
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_user_that_redis_does_not_know_is_waited_for(server: Redis, admin: Any, bus: StreamBus) -> None:
    await admin.execute_command("ACL", "DELUSER", USER)
    with pytest.raises(BusUnavailable) as refused:
        await bus.publish([event(1)])
    assert PASSWORD not in str(refused.value)
    await make_user(admin)
    await bus.publish([event(1)])
    assert await admin.xlen(f"{PREFIX}events") == 1
