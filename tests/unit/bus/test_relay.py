"""The relay: in order, at least once, whatever the bus and the store do."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from botfleet.bus.inprocess import InProcessBus
from botfleet.bus.port import BusUnavailable
from botfleet.bus.relay import Pace, Relay
from botfleet.bus.streams import StreamBus
from botfleet.store.errors import LeaseLost, StoreUnavailable
from botfleet.store.events import Event


def event(number: int) -> Event:
    return Event(f"{number:032x}", "message.received", datetime(2026, 11, 1, tzinfo=UTC), {"message_id": number})


class Source:
    """Events that wait, in memory. `troubles` are raised first, one a call of `mark_relayed`."""

    def __init__(self, *events: Event) -> None:
        self.events = list(events)
        self.troubles: list[Exception] = []
        self.asked = 0
        self.empty = asyncio.Event()

    async def unrelayed(self, limit: int = 500) -> list[Event]:
        self.asked += 1
        if not self.events:
            self.empty.set()
        return self.events[:limit]

    async def mark_relayed(self, ids: Sequence[str]) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.events = [event for event in self.events if event.id not in set(ids)]


class Bus:
    """A bus that fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[Event] = []
        self.tried: list[float] = []

    async def publish(self, events: Sequence[Event]) -> None:
        self.tried.append(asyncio.get_running_loop().time())
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("away")
        self.taken += events

    async def close(self) -> None: ...


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(relay.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, LeaseLost):
            await task


@pytest.mark.looptime
async def test_events_are_carried_in_order_batch_after_batch() -> None:
    source, bus = Source(*(event(number) for number in range(1, 8))), Bus()
    async with running(Relay(source, bus, Pace(batch=3))):
        await source.empty.wait()
    assert [event.data["message_id"] for event in bus.taken] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.looptime
async def test_a_new_event_is_carried_at_once_when_the_relay_is_told() -> None:
    source, bus = Source(), Bus()
    relay = Relay(source, bus, Pace(idle=1000))
    async with running(relay):
        await source.empty.wait()
        await asyncio.sleep(7)
        source.empty.clear()
        source.events.append(event(1))
        relay.tell()
        relay.tell()
        await source.empty.wait()
    assert bus.tried == [7.0]
    assert relay.relayed == 1


@pytest.mark.looptime
async def test_a_rush_of_events_is_carried_several_at_a_time() -> None:
    source, bus = Source(), Bus()
    relay = Relay(source, bus, Pace(idle=1000, rest=0.025))
    async with running(relay):
        await source.empty.wait()
        for number in range(100):
            source.events.append(event(number))
            relay.tell()
            await asyncio.sleep(0.001)
        source.empty.clear()
        relay.tell()
        await source.empty.wait()
    assert bus.taken == [event(number) for number in range(100)]
    assert len(bus.tried) <= 6
    assert all(after - before >= 0.024 for before, after in zip(bus.tried, bus.tried[1:], strict=False))


@pytest.mark.looptime
async def test_an_event_that_nobody_told_of_is_found_within_the_idle_time() -> None:
    source, bus = Source(), Bus()
    async with running(Relay(source, bus, Pace(idle=5))):
        await source.empty.wait()
        source.empty.clear()
        source.events.append(event(1))
        await source.empty.wait()
    assert bus.tried == [5.0]


@pytest.mark.looptime
async def test_a_bus_that_is_away_loses_nothing_and_is_tried_less_and_less() -> None:
    source, bus = Source(event(1), event(2)), Bus(failures=12)
    relay = Relay(source, bus, Pace(first=0.5, longest=30))
    async with running(relay):
        await asyncio.sleep(0.1)
        assert relay.waiting
        relay.tell()
        await source.empty.wait()
    assert bus.taken == [event(1), event(2)]
    waits = [after - before for before, after in zip(bus.tried, bus.tried[1:], strict=False)]
    assert 0.25 <= waits[0] <= 0.5
    assert all(15 <= wait <= 30 for wait in waits[7:])
    assert not relay.waiting


@pytest.mark.looptime
async def test_events_are_handed_over_again_when_the_store_could_not_mark_them() -> None:
    source, bus = Source(event(1)), Bus()
    source.troubles = [StoreUnavailable("away")]
    async with running(Relay(source, bus)):
        await source.empty.wait()
    assert bus.taken == [event(1), event(1)]


async def test_a_relay_whose_lease_is_lost_ends() -> None:
    source = Source(event(1))
    source.troubles = [LeaseLost("stale")]
    with pytest.raises(LeaseLost):
        await Relay(source, Bus()).run()


@pytest.mark.looptime
async def test_a_cancelled_relay_leaves_what_was_not_marked_to_the_next() -> None:
    source, bus = Source(event(1)), Bus(failures=1)
    async with running(Relay(source, bus)) as task:
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert source.events == [event(1)]
    async with running(Relay(source, bus)):
        await source.empty.wait()
    assert bus.taken == [event(1)]


async def test_every_subscriber_in_the_process_gets_every_event() -> None:
    bus = InProcessBus()
    async with bus.subscribe() as first, bus.subscribe() as second:
        await bus.publish([event(1), event(2)])
        assert [await anext(first), await anext(first)] == [event(1), event(2)]
        assert await anext(second) == event(1)
    await bus.publish([event(3)])
    await bus.close()


@pytest.mark.looptime
async def test_a_subscriber_that_takes_nothing_holds_the_relay_back_within_a_bound() -> None:
    bus = InProcessBus(timeout=5)
    async with bus.subscribe(bound=2):
        with pytest.raises(BusUnavailable):
            await bus.publish([event(1), event(2), event(3)])
    await bus.publish([event(3)])


@pytest.mark.parametrize(
    "url", ["redis://user:secret@host:6379/0", "redis://user@host:6379/1", "redis://user@host:6379?db=1"]
)
def test_a_redis_url_with_a_password_or_a_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"password|database 0") as refused:
        StreamBus(url, None, "bf:x:y:")
    assert "secret" not in str(refused.value)
