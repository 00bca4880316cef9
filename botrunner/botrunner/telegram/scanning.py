"""Why: who logs in by QR code types nothing: a phone that is logged in already lets this client in.

A code is good for half a minute, so new ones are shown until one is scanned. Telethon's own `QRLogin` listens only while it waits,
and a scan between two codes would be lost; here the next request finds it. Private parts of Telethon that are used: _switch_dc
(contract tests). Source: https://core.telegram.org/api/qr-login
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from telethon import events
from telethon.tl import functions, types

from botrunner.telegram.types import ApiCredentials

CODES = 20  # ten minutes: nobody is there
SHORTEST, LONGEST = 5.0, 60.0  # seconds that one code is shown, whatever this machine's clock makes of its end

Step = Callable[[Awaitable[Any]], Awaitable[Any]]


class NotScannedError(Exception):
    """Nobody has scanned any of the codes."""


async def scanned(client: Any, api: ApiCredentials, show: Callable[[str, float], None], step: Step) -> Any:
    """Who has scanned the code, as Telegram's user: the client is logged in.

    Args:
        client: connected; it must want updates, or it is never told of a scan.
        show: gets what a code says, and for how many seconds it is good.
        step: puts a deadline on a request.

    Raises:
        NotScannedError: nobody.
        SessionPasswordNeededError: somebody, and the account has two-step verification.
    """
    told = asyncio.Event()

    async def tell(_: Any) -> None:
        told.set()

    client.add_event_handler(tell, events.Raw(types.UpdateLoginToken))
    try:
        for _ in range(CODES):
            told.clear()
            answer = await step(client(functions.auth.ExportLoginTokenRequest(api.api_id, api.api_hash, [])))
            if not isinstance(answer, types.auth.LoginToken):
                return await _let_in(client, answer, step)
            seconds = good_for(answer.expires, datetime.now(UTC))
            show(link(answer.token), seconds)
            try:
                async with asyncio.timeout(seconds):
                    await told.wait()
            except TimeoutError:
                continue
    finally:
        client.remove_event_handler(tell)
    raise NotScannedError


def link(token: bytes) -> str:
    """What the code says."""
    return f"tg://login?token={base64.urlsafe_b64encode(token).decode().rstrip('=')}"


def good_for(expires: datetime, now: datetime) -> float:
    """Seconds. A wrong clock on this machine neither draws codes without a pause nor leaves a dead one standing."""
    return min(LONGEST, max(SHORTEST, (expires - now).total_seconds()))


async def _let_in(client: Any, answer: Any, step: Step) -> Any:
    if isinstance(answer, types.auth.LoginTokenMigrateTo):  # the account lives in another data center
        await step(client._switch_dc(answer.dc_id))
        answer = await step(client(functions.auth.ImportLoginTokenRequest(answer.token)))
    if not isinstance(answer, types.auth.LoginTokenSuccess):
        raise NotScannedError
    return answer.authorization.user
