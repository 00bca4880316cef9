"""Why: a bot's private chats show the commands that it knows. Telegram is told once for each change of them, and never waited for.

An admin's commands are in no menu: nothing tells that there are such commands.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Iterable
from typing import Protocol

import structlog

from botfleet.store.errors import StoreUnavailable
from botrunner.backoff import backoff
from botrunner.conversation.commands import EVERYBODYS, digest_of
from botrunner.conversation.patience import set_within

log = structlog.get_logger()

MENU = tuple((command.value, text) for command, text in EVERYBODYS.items())
AGAIN_SECONDS = 30.0
"""A connection may last for days: what hindered is tried again meanwhile, after this at first and twice as long each time."""
LONGEST_AGAIN_SECONDS = 3600.0


class Shows(Protocol):
    """What is needed of `telegram.sender.Sender`."""

    async def show_commands(self, commands: Iterable[tuple[str, str]]) -> bool:
        """Best effort. False: not now."""


class Remembers(Protocol):
    """What is needed of `botfleet.store.messages.MessagePath`."""

    async def commands_digest(self) -> str | None:
        """Of what Telegram was told last."""

    async def set_commands_digest(self, digest: str) -> None:
        """Telegram was told this."""


async def keep_shown(path: Remembers, sender: Shows, connected: asyncio.Event) -> None:
    """Tell Telegram if it was told something else; what hinders is tried again after a pause, and with each new connection."""
    digest = digest_of(MENU)
    await connected.wait()
    told = False
    for attempt in itertools.count(1):
        connected.clear()
        with contextlib.suppress(StoreUnavailable):
            if await path.commands_digest() == digest:
                return
            told = told or await sender.show_commands(MENU)
            if told:
                await path.set_commands_digest(digest)
                log.info("commands_shown")
                return
        await set_within(connected, backoff(attempt, first=AGAIN_SECONDS, longest=LONGEST_AGAIN_SECONDS))
