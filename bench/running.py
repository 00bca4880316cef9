"""Why: a benchmark that is interrupted (Ctrl-C, SIGTERM) or takes too long still ends all that it has started.

It knows nothing of what is measured.
"""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

INTERRUPTED = 130
TOO_LONG = 124  # as timeout(1) has it


def run(benchmark: Coroutine[Any, Any, int], *, minutes: float) -> int:
    """The exit code; the benchmark's own clean-up runs in every case."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # who reads a pipe sees how far it is
    # Images have bytecode. Without, each process compiles for itself: seconds at its start, and 50 MiB that stay.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        return asyncio.run(_bounded(benchmark, minutes))
    except KeyboardInterrupt:
        return INTERRUPTED


async def _bounded(benchmark: Coroutine[Any, Any, int], minutes: float) -> int:
    task = asyncio.ensure_future(benchmark)
    interrupted = False

    def end() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    # Both by name: a job in the background begins with SIGINT ignored, and asyncio leaves that as it is.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        async with asyncio.timeout(minutes * 60) as bound:
            return await task
    except TimeoutError:
        if not bound.expired():
            raise  # of something within, which the traceback tells
        print(f"not done within {minutes:g} minutes", file=sys.stderr)
        return TOO_LONG
    except asyncio.CancelledError:
        if interrupted:
            return INTERRUPTED
        raise


def tell(line: str) -> None:
    """How far it is; apart from the figures."""
    print(line, file=sys.stderr, flush=True)
