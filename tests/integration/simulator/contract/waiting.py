"""Waiting for updates with a deadline, as every test here does."""

import asyncio
from collections.abc import Callable
from typing import Any

from telethon import TelegramClient, events

DEADLINE = 30.0


class Inbox:
    """What a client was told, in order."""

    def __init__(self, client: TelegramClient, *kinds: Any) -> None:
        self.events: list[Any] = []
        self._new = asyncio.Event()
        for kind in kinds or (events.NewMessage(incoming=True),):
            client.add_event_handler(self._on_event, kind)

    async def _on_event(self, event: Any) -> None:
        self.events.append(event)
        self._new.set()

    def texts(self) -> list[str]:
        """The texts so far."""
        return [event.raw_text for event in self.events]

    async def until(self, wanted: Callable[[Any], bool], timeout: float = DEADLINE) -> Any:
        """The first event that is wanted."""
        async with asyncio.timeout(timeout):
            while True:
                for event in self.events:
                    if wanted(event):
                        return event
                self._new.clear()
                await self._new.wait()

    async def until_text(self, text: str, timeout: float = DEADLINE) -> Any:
        """The first message with that text."""
        return await self.until(lambda event: event.raw_text == text, timeout)
