"""A promise of the traffic that tests and benchmarks judge bots by: every number that was sent is known as sent."""

import asyncio
from types import SimpleNamespace
from typing import cast

from botfleet_simulator.client import TelegramAdmin
from tests.support.traffic import Traffic


class SlowAdmin:
    """Takes a message at once and says so later, as a busy machine does."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.taken = asyncio.Event()

    async def send_message(self, phone: str, username: str, text: str) -> None:
        self.got.append(text)
        self.taken.set()
        await asyncio.sleep(0.01)

    async def messages(self, phone: str, username: str, **_: object) -> list[SimpleNamespace]:
        return []


async def test_a_message_under_way_when_the_writing_ends_counts_as_sent():
    admin = SlowAdmin()
    traffic = Traffic(cast("TelegramAdmin", admin), "a_bot", ["+1"])
    traffic.start()
    await admin.taken.wait()
    await traffic.stop()
    assert [f"message {number}" for number in traffic.sent["+1"]] == admin.got
