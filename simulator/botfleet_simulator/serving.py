"""Running a server as a process: the event loop, the line that says "ready", and a clean end on SIGTERM.

It must never know what is served.
"""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import web

SHUTDOWN_SECONDS = 1.0


@contextlib.asynccontextmanager
async def http_site(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve an application; yields the port."""
    # With cancellation a handler learns that its client has gone: long polls and held answers end.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        address = runner.addresses[0]
        yield int(address[1])
    finally:
        await runner.cleanup()


def run(serve: Callable[[], AbstractAsyncContextManager[dict[str, Any]]]) -> None:
    """Enter what `serve` makes, say on stdout what it yields, and leave it on SIGTERM or SIGINT."""
    try:
        import uvloop

        uvloop.run(_until_signal(serve))
    except ImportError:  # not made for this platform
        asyncio.run(_until_signal(serve))


async def _until_signal(serve: Callable[[], AbstractAsyncContextManager[dict[str, Any]]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve() as ready:
        sys.stdout.write(json.dumps({"event": "listening", **ready}) + "\n")
        sys.stdout.flush()
        await stop.wait()
