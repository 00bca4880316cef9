"""Why: one bot in this terminal, without root or cluster: the simulators and `botrunner run -f` as three processes."""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import yaml
from rich.console import Console

from botfleet_simulator.launch import TelegramServer, model_server, telegram_server
from botfleet_tools.demo.conversation import chat
from botfleet_tools.errors import ToolError
from botfleet_tools.run import tail

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/concierge.yaml"
BOT = "concierge_bot"
PHONE = "+9990000099"
READY_SECONDS = 30.0


def run(console: Console) -> None:
    """`make try`."""
    asyncio.run(_run(console))


async def _run(console: Console) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="botfleet-try-") as name:
        folder = Path(name)
        token, key = f"5000001:AA{secrets.token_hex(16)}", f"sk-{secrets.token_hex(16)}"
        async with (
            telegram_server(folder / "telegram", log=folder / "telegram.log") as telegram,
            model_server(keys=[key]) as model,
        ):
            await telegram.admin.create_bot(BOT, name="Concierge", id=5_000_001, token=token)
            await telegram.admin.create_person(PHONE, name="You")
            _write_secrets(folder / "secrets", token, key, telegram.public_key)
            defaults = {"account": {"dataCenter": _data_center(telegram)}, "model": {"baseUrl": model.base_url}}
            async with _bot(folder, defaults, console) as log:
                await telegram.admin.wait_connections(BOT, timeout=READY_SECONDS)
                console.print(
                    f"The bot of {EXAMPLE.relative_to(ROOT)} runs alone, on SQLite ({time.monotonic() - started:.1f} s)."
                )
                console.print(f"Telegram and model are simulated; the bot's log is {log}.\n")
                async with telegram.person(phone=PHONE) as you:
                    await chat(you, BOT, console)


def _data_center(telegram: TelegramServer) -> dict[str, object]:
    key = {"name": "telegram-server", "key": "public.pem"}
    return {"id": 2, "address": telegram.host, "port": telegram.port, "publicKeySecretRef": key}


def _write_secrets(folder: Path, token: str, key: str, public_key: str) -> None:
    """As the owner of a bot that runs alone would: a folder of files that only she can read."""
    values = {
        "telegram-app/api-id": "12345",
        "telegram-app/api-hash": secrets.token_hex(16),
        "concierge/token": token,
        "openai/api-key": key,
        "telegram-server/public.pem": public_key,
    }
    for path, value in values.items():
        (folder / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / path).touch(mode=0o600)
        (folder / path).write_text(value)


@contextlib.asynccontextmanager
async def _bot(folder: Path, defaults: dict[str, object], console: Console) -> AsyncIterator[Path]:
    log = folder / "botrunner.log"
    command = [
        "-m",
        "botrunner.start",
        "run",
        "-f",
        str(EXAMPLE),
        "--secrets",
        str(folder / "secrets"),
        "--data",
        str(folder / "data"),
    ]
    console.print(f"$ botrunner run -f {EXAMPLE.relative_to(ROOT)} --secrets … --data …")
    # Whatever the user's shell says of servers: the store and the bus of a bot alone are in its process.
    shared = ("BOTFLEET_DATABASE_URL", "BOTFLEET_REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in shared}
    environment["BOTFLEET_BOT_DEFAULTS"] = yaml.safe_dump(defaults)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=output, stderr=output, env=environment, start_new_session=True
        )
        try:
            yield log
        finally:
            if process.returncode is not None:
                raise ToolError(f"the bot ended with {process.returncode}:\n{tail(log)}")
            process.terminate()
            await asyncio.wait_for(process.wait(), timeout=30)
