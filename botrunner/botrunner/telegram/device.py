"""Why: how we present ourselves to Telegram. Stable: a device that changes with each restart looks like a stolen session."""

import asyncio
import contextlib
from typing import Any

from botrunner.telegram.logs import TelethonLogger

_TIMEOUT_SECONDS = 10
_CLOSE_SECONDS = 5.0


def client_options(connection: type[Any], address: str | None) -> dict[str, Any]:
    """What every client of ours gives to Telethon's constructor. `address`: an IPv6 one has to be announced."""
    return {
        "connection": connection,
        "use_ipv6": ":" in (address or ""),
        "timeout": _TIMEOUT_SECONDS,
        # A client that lost its connection is replaced by a new one, built from the store.
        "auto_reconnect": False,
        # Flood waits are ours to schedule; Telethon would sleep inside the call, and refuse the request type afterwards.
        "flood_sleep_threshold": 0,
        "raise_last_call_error": True,
        "device_model": "Botfleet",
        "system_version": "1",
        "app_version": "1",
        "base_logger": TelethonLogger(),
    }


async def close_client(client: Any) -> None:
    """Disconnect a Telethon client that will not be used again, whatever state it is in. Takes at most five seconds.

    The gates of its connection class have shut the sockets by then, so nothing can be on its way any more.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.disconnect()
    # Telethon keeps the error of a lost connection in a future; one that nobody reads would be reported as forgotten.
    ended = client._sender._disconnected
    if ended.done() and not ended.cancelled():
        ended.exception()
