"""Promises of a login that is given up: what Telegram has let in meanwhile is ended, though it takes its time."""

import asyncio
from typing import Any, cast

import pytest

from botrunner.telegram import entering
from botrunner.telegram.entering import Asks
from botrunner.telegram.types import ApiCredentials
from tests.waiting import DEADLINE


class SlowClient:
    """Its log-out takes a while, by the clock of the event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.ended = seconds, False

    async def log_out(self) -> None:
        loop: Any = asyncio.get_running_loop()
        time = loop.time
        loop.time = lambda: time() + self.seconds
        for _ in range(3):  # whoever waits for no longer than that gives up now
            await asyncio.sleep(0)
        self.ended = True


class Nobody:
    """Does not scan."""

    def scan(self, link: str, seconds: float) -> None: ...

    def scanned(self) -> None: ...


@pytest.mark.parametrize(("seconds", "ended"), [(15, True), (25, False)])
async def test_who_gives_up_leaves_no_session_behind_though_the_log_out_is_slow_and_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, seconds: float, ended: bool
) -> None:
    scanning = asyncio.Event()

    async def scanned(*_: Any) -> None:
        scanning.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(entering, "scanned", scanned)
    client = SlowClient(seconds)
    login = asyncio.create_task(
        entering._let_in(cast("Any", client), ApiCredentials(1, "hash"), cast("Asks", Nobody()))
    )
    await asyncio.wait_for(scanning.wait(), DEADLINE)
    login.cancel()
    with pytest.raises(asyncio.CancelledError):
        await login
    assert client.ended == ended
