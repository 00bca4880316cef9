"""Why: a bot's private chats show the commands that it knows. Telegram is told once for each change of them, and never waited for.

An admin's commands are in no menu: nothing tells that there are such commands.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog

from botfleet.store.errors import StoreUnavailable
from botrunner.conversation.commands import EVERYBODYS, digest_of

log = structlog.get_logger()

MENU = tuple((command.value, text) for command, text in EVERYBODYS.items())


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
    """Tell Telegram if it was told something else; what hinders is tried again with the next connection."""
    digest = digest_of(MENU)
    while True:
        await connected.wait()
        connected.clear()
        try:
            if await path.commands_digest() == digest:
                return
            if await sender.show_commands(MENU):
                await path.set_commands_digest(digest)
                log.info("commands_shown")
                return
        except StoreUnavailable:
            continue
