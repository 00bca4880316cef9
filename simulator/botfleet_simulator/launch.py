"""The two servers as subprocesses, for tests: free ports, one `async with`, killed and started again at will.

It must never leave a process behind, nor end one that it did not start.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml

from botfleet_simulator.client.model import ModelAdmin
from botfleet_simulator.client.telegram import TelegramAdmin

if TYPE_CHECKING:
    from botfleet_simulator.person import Person

START_SECONDS = 60.0
STOP_SECONDS = 10.0


class LaunchError(RuntimeError):
    """A server did not come up; the message has the end of its log."""


class Launched:
    """A server process. Its ports stay the same over kill and start."""

    def __init__(self, arguments: Sequence[str], host: str, port: int, admin_port: int, log: Path) -> None:
        self._arguments = list(arguments)
        self.host = host
        self.port = port
        self.admin_port = admin_port
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.ready: dict[str, Any] = {}

    @property
    def admin_url(self) -> str:
        """The admin port's address."""
        return f"http://{self.host}:{self.admin_port}"

    @property
    def pid(self) -> int:
        """The process that runs now."""
        if self._process is None:
            raise LaunchError("the server is not running")
        return self._process.pid

    async def start(self) -> None:
        """Start, or start again on the same ports and state. Raises LaunchError."""
        if self._process is not None:
            raise LaunchError("the server is running already")
        ports = ["--host", self.host, "--port", str(self.port), "--admin-port", str(self.admin_port)]
        self._log = self._log_path.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "botfleet_simulator",
            *self._arguments,
            *ports,
            "--admin-host",
            self.host,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
        )
        line = b""
        if self._process.stdout is not None:
            with contextlib.suppress(TimeoutError):
                line = await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)
        if not line:
            await self.kill()
            raise LaunchError(f"the server did not start: {self.log_tail()}")
        self.ready = json.loads(line)
        self.port, self.admin_port = self.ready["port"], self.ready["admin_port"]

    async def kill(self) -> None:
        """Kill -9 and wait until the process is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM and wait; kills when that takes too long."""
        await self._end(signal.SIGTERM)

    async def restart(self, *, kill: bool = False) -> None:
        """Stop (or kill) and start again."""
        await (self.kill() if kill else self.stop())
        await self.start()

    def pause(self) -> None:
        """SIGSTOP: the machine is frozen, sockets stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def log_tail(self, size: int = 2000) -> str:
        """The end of the log."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")[-size:] if self._log_path.exists() else ""

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(number)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        if process.stdout is not None:
            await process.stdout.read()
        if self._log is not None:
            self._log.close()
            self._log = None


class TelegramServer(Launched):
    """A Telegram simulator process."""

    @property
    def admin(self) -> TelegramAdmin:
        """The client of its admin port."""
        return TelegramAdmin(self.admin_url)

    @property
    def public_key_path(self) -> Path:
        """The file with its public key."""
        return Path(self.ready["public_key"])

    @property
    def public_key(self) -> str:
        """Its public key as PEM."""
        return self.public_key_path.read_text(encoding="ascii")

    def person(self, *, phone: str, password: str | None = None, session: str | None = None) -> "Person":
        """A person with an account here, at a Telethon client; use as an async context manager."""
        from botfleet_simulator.person import Person

        return Person(
            self.host, self.port, self.public_key, phone=phone, admin=self.admin, password=password, session=session
        )


class ModelServer(Launched):
    """A model simulator process."""

    @property
    def base_url(self) -> str:
        """What OpenAI clients take as base URL."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def admin(self) -> ModelAdmin:
        """The client of its admin port."""
        return ModelAdmin(self.admin_url)


@contextlib.asynccontextmanager
async def telegram_server(
    state_dir: Path,
    *,
    accounts: Path | Mapping[str, Any] | None = None,
    private_key: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    admin_port: int = 0,
    log: Path | None = None,
) -> AsyncIterator[TelegramServer]:
    """A running Telegram simulator; its state is in `state_dir`, its log beside it unless said otherwise."""
    arguments = ["telegram", "--state", str(state_dir)]
    accounts = _prepared(state_dir, accounts)
    if accounts is not None:
        arguments += ["--accounts", str(accounts)]
    if private_key is not None:
        arguments += ["--private-key", str(private_key)]
    server = TelegramServer(arguments, host, port, admin_port, log or state_dir / "simulator.log")
    async with _running(server):
        yield server


@contextlib.asynccontextmanager
async def model_server(
    *,
    answers: Path | str | Mapping[str, Any] | None = None,
    keys: Sequence[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    admin_port: int = 0,
    log: Path | None = None,
) -> AsyncIterator[ModelServer]:
    """A running model simulator. `answers`: a file, YAML text or data; `keys`: the only ones accepted."""
    with tempfile.TemporaryDirectory(prefix="model-simulator-") as folder:
        work = Path(folder)
        arguments = ["model"]
        if isinstance(answers, Mapping):
            answers = yaml.safe_dump(dict(answers))
        if isinstance(answers, str):
            (work / "answers.yaml").write_text(answers, encoding="utf-8")
            answers = work / "answers.yaml"
        if answers is not None:
            arguments += ["--answers", str(answers)]
        if keys is not None:
            (work / "keys").write_text("\n".join(keys), encoding="utf-8")
            arguments += ["--keys", str(work / "keys")]
        server = ModelServer(arguments, host, port, admin_port, log or work / "simulator.log")
        async with _running(server):
            yield server


def _prepared(state_dir: Path, accounts: Path | Mapping[str, Any] | None) -> Path | None:
    """Make the state folder and, of data, an accounts file in it."""
    state_dir.mkdir(parents=True, exist_ok=True)
    if not isinstance(accounts, Mapping):
        return accounts
    path = state_dir / "accounts.yaml"
    path.write_text(yaml.safe_dump(dict(accounts)), encoding="utf-8")
    return path


@contextlib.asynccontextmanager
async def _running(server: Launched) -> AsyncIterator[None]:
    await server.start()
    try:
        yield
    finally:
        await server.stop()
