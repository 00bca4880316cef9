"""What all servers for tests have in common: a free loopback port, data in a temporary folder, an end by process id.

A server whose owner died without stopping it is ended when the next one starts; no other process is ever touched.
"""

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from botfleet_tools.cache import cache_dir
from botfleet_tools.errors import ToolError
from botfleet_tools.pids import Process, children
from botfleet_tools.progress import Progress
from botfleet_tools.run import Argv, tail

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
# Below the range that the kernel gives to outgoing connections: a port found free stays free.
PORTS = (15000, 32000)
PORT_TRIES = 200
LOOPBACK = "127.0.0.1"


class ServerError(ToolError):
    """A server did not start, or ended by itself."""


def free_port() -> int:
    """A loopback port that nothing listens on. It is this process's until its end: no other one's `free_port` returns it.

    Raises ServerError when none was found.
    """
    for _ in range(PORT_TRIES):
        port = random.randint(*PORTS)  # noqa: S311 - no secret
        if not _claims.claim(port):
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise ServerError(f"no free port between {PORTS[0]} and {PORTS[1]}")


class _Claims:
    """A file with a byte for each port, locked by the process that has it: the kernel drops the lock with the process."""

    def __init__(self) -> None:
        self._file: int | None = (
            None  # a descriptor for good: closing it, or another one of this path, would drop all locks
        )
        self._mine: set[int] = set()
        self._one_thread = threading.Lock()

    def claim(self, port: int) -> bool:
        """False: it is another process's, or this one's already."""
        with self._one_thread:
            if port in self._mine:
                return False
            if self._file is None:
                self._file = os.open(cache_dir() / "ports", os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                return False
            self._mine.add(port)
            return True


_claims = _Claims()


class Daemon:
    """One process with its log: started, ready within a deadline, ended by its id."""

    def __init__(self, name: str, log: Path, started: Callable[[], None] = lambda: None) -> None:
        """``started`` is called as soon as there is a process: from then on somebody else could end it."""
        self.name = name
        self.log = log
        self._started = started
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self, argv: Argv, *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        """Start it; see wait_ready."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in argv],
                cwd=cwd,
                env=None if env is None else {**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started()

    def wait_ready(self, ready: Callable[[], bool], deadline_seconds: float = READY_SECONDS) -> None:
        """Return once ``ready()`` is true. Raises ServerError with the end of the log when it ends or lasts too long."""
        end = time.monotonic() + deadline_seconds
        while not ready():
            if self.pid is None:
                raise ServerError(f"{self.name} ended before it was ready; the end of its log:\n{tail(self.log)}")
            if time.monotonic() > end:
                raise ServerError(
                    f"{self.name} was not ready within {deadline_seconds:.0f} s; the end of its log:\n{tail(self.log)}"
                )
            time.sleep(POLL_SECONDS)

    def end(self, first: signal.Signals = signal.SIGTERM) -> None:
        """End it and its children, and collect it."""
        if self._process is None:
            return
        family = [process for pid in children(self._process.pid) if (process := Process.of(pid)) is not None]
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(first)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        for process in family:
            process.end(graceful_seconds=STOP_SECONDS, first=signal.SIGKILL)
        self._process = None


class Server:
    """A server in a folder of its own. ``with`` starts it and removes everything of it in the end."""

    name = "server"

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress or Progress()
        self._folder: Path | None = None
        self._daemons: list[Daemon] = []

    @property
    def folder(self) -> Path:
        """Where its data and its log are. Raises ServerError before it was started first."""
        if self._folder is None:
            raise ServerError(f"{self.name} was not started")
        return self._folder

    def start(self) -> None:
        """Start it, with the data it had, and return once it is ready."""
        if self._folder is None:
            sweep()
            self._folder = Path(tempfile.mkdtemp(prefix=f"botfleet-{self.name}-"))
            self._record()
            self._prepare()
        try:
            self._launch()
        except BaseException:
            self._end_all(signal.SIGKILL)
            raise
        self._record()

    def stop(self) -> None:
        """Stop it gracefully; its data stay until the ``with`` block or ``close`` ends."""
        self._end_all(signal.SIGTERM)
        self._record()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end_all(signal.SIGKILL)
        self._record()

    def pause(self) -> None:
        """Freeze it: its connections stay open and nothing is answered, as on a machine that hangs."""
        self._send_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._send_all(signal.SIGCONT)

    def restart(self) -> None:
        """Stop it gracefully and start it again with the same data, on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove its data."""
        self._end_all(signal.SIGTERM)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            _record_of(self._folder).unlink(missing_ok=True)
            self._folder = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        """Make its data, once."""
        raise NotImplementedError

    def _launch(self) -> None:
        """Start its daemons and return once they are ready."""
        raise NotImplementedError

    def _daemon(self, name: str) -> Daemon:
        daemon = Daemon(name, self.folder / f"{name}.log", self._record)
        self._daemons.append(daemon)
        return daemon

    def _send_all(self, number: signal.Signals) -> None:
        for pid in [daemon.pid for daemon in self._daemons if daemon.pid is not None]:
            # The first process first: frozen, it makes no child that would be missed.
            for one in (pid, *children(pid)):
                if (process := Process.of(one)) is not None:
                    process.send(number)

    def _end_all(self, first: signal.Signals) -> None:
        for daemon in reversed(self._daemons):
            daemon.end(first)
        self._daemons.clear()

    def _record(self) -> None:
        pids = [os.getpid(), *(daemon.pid for daemon in self._daemons if daemon.pid is not None)]
        known = [asdict(process) for pid in pids if (process := Process.of(pid)) is not None]
        path = _record_of(self.folder)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"folder": str(self.folder), "owner": known[0], "daemons": known[1:]}))
        partial.replace(path)


def sweep() -> None:
    """End the servers whose owner died without stopping them, and remove their data."""
    for path in (cache_dir() / "servers").glob("*.json"):
        try:
            record = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            continue  # another sweep was quicker
        if Process(**record["owner"]).alive():
            continue
        for daemon in record["daemons"]:
            process = Process(**daemon)
            family = [child for pid in children(process.pid) if (child := Process.of(pid)) is not None]
            if process.alive():
                process.end(graceful_seconds=STOP_SECONDS, first=signal.SIGKILL)
                for child in family:
                    child.end(graceful_seconds=STOP_SECONDS, first=signal.SIGKILL)
        shutil.rmtree(record["folder"], ignore_errors=True)
        path.unlink(missing_ok=True)


def _record_of(folder: Path) -> Path:
    return cache_dir() / "servers" / f"{folder.name}.json"
