"""Knows a process for certain: its number alone may have been given to another one meanwhile.

Nothing of these tools signals a process by its name, or by a number whose start time was not checked.
"""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process by number, start time (clock ticks since boot) and boot: unique on this machine for ever."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The process that has this number now, None when there is none or only a zombie."""
        started = _start_time(pid)
        return None if started is None else cls(pid, started, boot_id())

    def alive(self) -> bool:
        """Whether exactly this process still runs (a zombie does not)."""
        return self.boot == boot_id() and _start_time(self.pid) == self.started

    def send(self, number: signal.Signals) -> bool:
        """Signal exactly this process; False when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # The descriptor stands for one process: a check after opening it cannot be overtaken.
            if not self.alive():
                return False
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            return True
        finally:
            os.close(descriptor)

    def wait(self, deadline_seconds: float) -> bool:
        """Whether it ended within the deadline."""
        end = time.monotonic() + deadline_seconds
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive():
                return True
            ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            return bool(ready)
        finally:
            os.close(descriptor)

    def end(self, *, graceful_seconds: float, first: signal.Signals = signal.SIGTERM) -> None:
        """Ask the process to end, then make it."""
        if self.send(first) and not self.wait(graceful_seconds):
            self.send(signal.SIGKILL)
            self.wait(graceful_seconds + 5)


def boot_id() -> str:
    """What tells this boot of the machine from all others."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def children(pid: int) -> list[int]:
    """The numbers of a process's direct children."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in (_PROC / str(pid) / "task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _start_time(pid: int) -> int | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
