"""Why: what the owner, or Telegram, has set for the account and sends no update about: BotFather's privacy mode, a restriction.

Asked once a connection and then every ten minutes. It decides nothing, and no connection ends because of it.
Source: https://core.telegram.org/constructor/user (bot_chat_history, restricted), https://core.telegram.org/bots/features#privacy-mode
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from telethon.tl import functions, types

from botrunner.telegram.errors import wait_seconds, wire_name

_log = structlog.get_logger(__name__)

EVERY_SECONDS = 600.0
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Standing:
    """`privacy_mode`: in groups the bot gets only what is addressed to it; None: a person's account has no such thing."""

    privacy_mode: bool | None
    restricted: bool


class Asks(Protocol):
    """What is needed of `InboxClient`."""

    async def ask(self, request: Any, deadline: float) -> Any: ...


def standing(user: Any) -> Standing:
    """From the account's own entry."""
    return Standing(not user.bot_chat_history if user.bot else None, bool(user.restricted))


async def watch(client: Asks, told: Callable[[Standing], None], every: float = EVERY_SECONDS) -> None:
    """Tells each answer; until cancelled. What goes wrong here is the connection's to find out."""
    while True:
        pause = every
        try:
            (user,) = await client.ask(functions.users.GetUsersRequest([types.InputUserSelf()]), ANSWER_SECONDS)
            told(standing(user))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the bot goes on
            pause = max(every, wait_seconds(error))
            _log.info("telegram.standing_not_told", error=wire_name(error))
        await asyncio.sleep(pause)
