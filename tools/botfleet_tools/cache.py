"""Where the tools keep what is slow to make again, and the locks that keep two processes from making it twice.

Everything below the cache folder may be deleted at any time while no tool runs; nothing else may be kept there.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botfleet_tools.errors import ToolError

LOCK_POLL_SECONDS = 0.1


class LockTimeoutError(ToolError):
    """Another process held a lock for longer than the deadline."""


def cache_dir() -> Path:
    """The tools' cache folder, ``${XDG_CACHE_HOME:-~/.cache}/botfleet``, made if it is not there."""
    base = os.environ.get("XDG_CACHE_HOME")
    path = (Path(base) if base else Path.home() / ".cache") / "botfleet"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def exclusive(name: str, *, deadline_seconds: float) -> Iterator[None]:
    """Hold the lock ``name``: a flock under the cache folder, which the kernel releases when the process dies.

    Raises LockTimeoutError when another process holds it for longer than ``deadline_seconds``.
    """
    folder = cache_dir() / "locks"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        end = time.monotonic() + deadline_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise LockTimeoutError(
                        f"another process has held {path} for {deadline_seconds:.0f} s; `fuser {path}` names it"
                    ) from None
                time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
