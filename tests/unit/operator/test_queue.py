"""One object at a time, many at once, and a broken one in nobody's way."""

from __future__ import annotations

import asyncio

import pytest

from botfleet_operator.queue import Backoff, KeyedQueue, work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def test_a_key_is_worked_on_once_however_often_it_is_added() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for _ in range(5):
        queue.add("a")
    queue.add("b")
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_that_is_added_while_it_is_worked_on_comes_again_but_never_twice_at_once() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 1)
    queue.done(key)
    assert await queue.get() == "a"
    queue.done("a")
    await queue.wait_idle()


async def test_a_delayed_key_comes_at_its_time_and_the_earliest_time_counts() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    loop = asyncio.get_running_loop()
    began = loop.time()
    queue.add_after("a", 30)
    queue.add_after("a", 10)
    queue.add_after("a", 20)
    assert await queue.get() == "a"
    assert loop.time() - began == pytest.approx(10, abs=0.1)
    queue.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 60)


async def test_an_event_overtakes_a_back_off() -> None:
    queue: KeyedQueue[str] = KeyedQueue(Backoff(first=100, most=100))
    queue.failed("a")
    queue.add("a")
    assert await asyncio.wait_for(queue.get(), 0.1) == "a"
    queue.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 200)


async def test_failures_wait_longer_and_longer_and_success_forgets_them() -> None:
    queue: KeyedQueue[str] = KeyedQueue(Backoff(first=1, most=60))
    delays = [queue.failed("a") for _ in range(12)]
    assert 0.5 <= delays[0] <= 1
    assert 30 <= delays[-1] <= 60
    assert queue.failed("a", at_least=500) == 500
    queue.succeeded("a")
    assert queue.failed("a") <= 1
    queue.forget("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 1000)


async def test_a_slow_object_delays_no_other() -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    done: list[int] = []
    running: set[int] = set()

    async def handle(key: int) -> None:
        assert key not in running
        running.add(key)
        await asyncio.sleep(1000 if key == 0 else 1)
        running.discard(key)
        done.append(key)

    workers = [asyncio.create_task(work(queue, handle)) for _ in range(4)]
    for key in range(10):
        queue.add(key)
    await asyncio.sleep(5)
    assert sorted(done) == list(range(1, 10))
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_the_age_of_the_queue_is_that_of_its_first_key() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    assert queue.oldest_seconds == 0
    queue.add("a")
    assert queue.oldest_seconds >= 0


async def test_what_fails_is_counted_until_it_succeeds_or_is_gone() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for key in ("a", "b", "b", "c"):
        queue.failed(key)
    assert queue.retrying == 3
    queue.succeeded("a")
    queue.forget("b")
    assert queue.retrying == 1


async def test_a_key_that_fails_again_and_again_delays_no_other() -> None:
    queue: KeyedQueue[str] = KeyedQueue(Backoff(first=100, most=100))
    handled: list[str] = []

    async def handle(key: str) -> None:
        handled.append(key)
        if key == "broken":
            queue.failed(key)

    worker = asyncio.create_task(work(queue, handle))
    for key in ("broken", "a", "b"):
        queue.add(key)
    await queue.wait_idle()
    assert handled == ["broken", "a", "b"]
    await asyncio.sleep(100)
    assert handled == ["broken", "a", "b", "broken"]
    worker.cancel()
