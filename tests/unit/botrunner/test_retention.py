"""Finished work is removed batch after batch, again and again; nothing depends on it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from botfleet.store.errors import LeaseLost, StoreError, StoreUnavailable
from botfleet.store.retention import BATCH, Removed
from botrunner import retention
from botrunner.retention import KEEP_EVENTS, KEEP_MESSAGES, keep_small

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Finished:
    """Gives what a test says, in turn; after that there is nothing more."""

    def __init__(self, *results: Removed | Exception) -> None:
        self.results = list(results)
        self.asked: list[tuple[datetime, datetime]] = []
        self.enough = asyncio.Event()

    async def remove_finished(self, closed_before: datetime, relayed_before: datetime) -> Removed:
        self.asked.append((closed_before, relayed_before))
        if not self.results:
            self.enough.set()
            return Removed(0, 0, 0)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it slept; no time passes."""
    seconds: list[float] = []
    real = asyncio.sleep

    async def sleep(delay: float) -> None:
        seconds.append(delay)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return seconds


async def run(finished: Finished) -> None:
    running = asyncio.create_task(keep_small(finished, 100, now=lambda: NOW))
    waiting = asyncio.create_task(finished.enough.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    ended: Any = (await asyncio.gather(running, waiting, return_exceptions=True))[0]
    if not isinstance(ended, asyncio.CancelledError):
        raise ended


async def test_batches_follow_each_other_until_nothing_old_is_left(slept: list[float]) -> None:
    finished = Finished(Removed(BATCH, 0, 0), Removed(3, BATCH, 1), Removed(0, 2, 0))
    await run(finished)
    assert finished.asked[0] == (NOW - KEEP_MESSAGES, NOW - KEEP_EVENTS)
    assert slept[1:3] == [retention.PAUSE_SECONDS, retention.PAUSE_SECONDS]
    assert 5 <= slept[0] <= 20, "not at once after a start"
    assert 90 <= slept[3] <= 110


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreError("not granted yet")])
async def test_a_store_that_does_not_do_it_is_asked_again_the_next_time(slept: list[float], error: StoreError) -> None:
    finished = Finished(error)
    await run(finished)
    assert len(finished.asked) >= 2
    assert 90 <= slept[1] <= 110, "as after one that did it"


async def test_a_lost_lease_ends_it(slept: list[float]) -> None:
    with pytest.raises(LeaseLost):
        await run(Finished(LeaseLost("taken over")))


def test_what_is_kept_is_kept_for_longer_than_a_message_can_wait_for_its_answer() -> None:
    from botrunner.conversation.policy import MAXIMUM_AGE

    assert min(KEEP_MESSAGES, KEEP_EVENTS) >= 7 * MAXIMUM_AGE
    assert timedelta(days=7) <= KEEP_EVENTS <= KEEP_MESSAGES
