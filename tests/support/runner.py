"""Why: one bot's real `botrunner` process, for tests and benchmarks: started, killed and asked as often as they like.

What it is told besides its manifest is its caller's: alone on SQLite, or with the database of an installation.
"""

import asyncio
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from botfleet_simulator.launch import ModelServer, TelegramServer
from tests.waiting import DEADLINE

ROOT = Path(__file__).parents[2]
READY = re.compile(r"probes_and_metrics.*?address\W+(127\.0\.0\.1:\d+)\D", re.DOTALL)


@dataclass
class Runner:
    """One bot's process, started and ended as often as a test likes; its log is kept over all of that."""

    folder: Path
    manifest: Path
    environment: dict[str, str]
    data: str = "data"
    process: asyncio.subprocess.Process | None = None
    address: str = ""
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"{self.data}.log"

    async def start(self) -> None:
        """Start it; returns once its probes can be asked, or it has ended."""
        offset = self.log.stat().st_size if self.log.exists() else 0
        command = ["-m", "botrunner.start", "run", "-f", str(self.manifest), "--secrets", str(self.folder / "secrets")]
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                "--data",
                str(self.folder / self.data),
                stdout=output,
                stderr=output,
                env=self.environment,
            )
        while not (found := READY.search(self._said_after(offset))):
            if self.process.returncode is not None:
                return
            await asyncio.sleep(0.02)
        self.address = found.group(1)

    def _said_after(self, offset: int) -> str:
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self.process is not None
        return self.process.pid

    async def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def end(self) -> None:
        """Kill it if it runs; for whoever cleans up."""
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """The exit code of a process that ends by itself. Raises TimeoutError."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), DEADLINE)

    async def get(self, path: str) -> tuple[int, str]:
        """One request to the probes. Raises ConnectionError: the process ended before it had answered in whole."""
        host, port = self.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        length = re.search(rb"^content-length: *(\d+)\r?$", head, re.IGNORECASE | re.MULTILINE)
        if length is None or len(body) != int(length[1]):
            raise ConnectionError(f"{path} was not answered in whole")
        return int(head.split(b" ", 2)[1]), body.decode()

    async def wait_probe(self, path: str, status: int, text: str = "", seconds: float = DEADLINE) -> None:
        """Until a probe answers so. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    found = await self.get(path)
                except ConnectionError:
                    if self.process is None or self.process.returncode is not None:
                        raise
                else:
                    if found[0] == status and text in found[1]:
                        return
                await asyncio.sleep(0.05)


def put_secrets(folder: Path, values: dict[str, str]) -> None:
    """The owner's Secrets below a runner's folder, by NAME/KEY."""
    for path, value in values.items():
        target = folder / "secrets" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(value)


def simulated(telegram: TelegramServer, model: ModelServer) -> str:
    """What BOTFLEET_BOT_DEFAULTS says of the simulators."""
    key = {"name": "telegram-server", "key": "public.pem"}
    center = {"id": 2, "address": telegram.host, "port": telegram.port, "publicKeySecretRef": key}
    # Tests write faster than a person, and are not made to wait for the next minute.
    limits = {"messagesPerMinutePerChat": 1000}
    return yaml.safe_dump({"account": {"dataCenter": center}, "model": {"baseUrl": model.base_url}, "limits": limits})


def adapted(manifest: Path, target: Path, **changes: Any) -> Path:
    """A manifest like one of examples/, with `changes` over its spec, written to `target`."""
    document = yaml.safe_load(manifest.read_text())
    for part, values in changes.items():
        document["spec"][part] = {**document["spec"].get(part, {}), **values}
    target.write_text(yaml.safe_dump(document))
    return target
