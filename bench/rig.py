"""Why: what every benchmark stands on: a real PostgreSQL with fsync, Redis, the two simulators, and bots' runners as in a cluster.

All of it is on loopback and in one temporary folder. What was started here is ended here, however the benchmark ends.
"""

import base64
import contextlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bench.image import as_in_image
from botfleet.store.binding import BindingRepository
from botfleet.store.bots import Bot
from botfleet.store.engine import Store
from botfleet_operator.provision.bus import Users
from botfleet_simulator.launch import ModelServer, TelegramServer, model_server, telegram_server
from botfleet_tools.servers import Redis
from botrunner.telegram.types import BotToken, Credential, UserSession
from tests.support.installation import DATABASE, OPERATOR, Installation, installed
from tests.support.runner import ROOT, Runner, adapted, put_secrets, simulated

READY_SECONDS = 60.0
AT_ONCE = {
    "conversation": {"debounceSeconds": 0, "typing": False, "memory": {"summarizeEveryMessages": 0}},
    "limits": {"messagesPerMinutePerChat": 10_000},
}


@dataclass
class BenchBot:
    """A bot's account and its runner. `role`: its user in PostgreSQL."""

    username: str
    id: int
    role: str
    model_key: str
    runner: Runner

    async def start(self) -> None:
        """Start the runner and wait until it serves."""
        await self.runner.start()
        await self.runner.wait_probe("/readyz", 200, seconds=READY_SECONDS)


@dataclass
class Rig:
    """Servers and simulators that run, and the bots that were made."""

    folder: Path
    installation: Installation
    operator: Store
    redis: Redis
    telegram: TelegramServer
    model: ModelServer
    bots: list[BenchBot] = field(default_factory=list)

    async def bot_account(self) -> BenchBot:
        """A bot that has nothing but its token."""
        username = f"bench{len(self.bots)}_bot"
        account = await self.telegram.admin.create_bot(username)
        token = str(account.token)
        secret = {"concierge/token": token}
        return await self._bot(username, account.id, BotToken(token), ROOT / "examples/concierge.yaml", secret)

    async def user_account(self) -> BenchBot:
        """A person's account with its stored session."""
        username = f"bench{len(self.bots)}_user"
        phone = f"+99978{len(self.bots):05d}"
        account = await self.telegram.admin.create_person(phone, name="Aigul", username=username)
        session = await self.telegram.admin.create_session(phone)
        secret = {"assistant-session/session": session}
        return await self._bot(username, account.id, UserSession(session), ROOT / "examples/person.yaml", secret)

    async def person(self, number: int) -> str:
        """The phone of somebody new."""
        phone = f"+99977{number:05d}"
        await self.telegram.admin.create_person(phone, name=f"Person {number}")
        return phone

    def durability(self) -> str:
        """What PostgreSQL says of itself, for the settings that are printed."""
        with psycopg.connect(self.installation.server.dsn, autocommit=True) as connection:
            shown = [
                f"{name} {connection.execute(f'show {name}').fetchall()[0][0]}"
                for name in ("server_version", "fsync", "synchronous_commit")
            ]
        return ", ".join(shown)

    async def _bot(
        self, username: str, account_id: int, credential: Credential, manifest: Path, secret: dict[str, str]
    ) -> BenchBot:
        bot = await self.installation.new_bot(self.operator)
        bindings = BindingRepository(self.operator)
        keys = {credential.account_key, f"user:{account_id}"} if isinstance(credential, UserSession) else set[str]()
        for key in keys or {credential.account_key}:
            await bindings.bind(bot.id, key, credential.digest, datetime.now(UTC))
        folder = self.folder / username
        model_key = f"sk-{secrets.token_hex(16)}"
        app = {"telegram-app/api-id": "12345", "telegram-app/api-hash": secrets.token_hex(16)}
        put_secrets(
            folder,
            {**app, **secret, "openai/api-key": model_key, "telegram-server/public.pem": self.telegram.public_key},
        )
        model = {"model": {"baseUrl": self.model.base_url}}
        changed = adapted(manifest, folder / "bot.yaml", **AT_ONCE, **model)
        runner = Runner(folder, changed, await self._environment(bot, folder))
        self.bots.append(BenchBot(username, account_id, str(bot.role_name), model_key, runner))
        return self.bots[-1]

    async def _environment(self, bot: Bot, folder: Path) -> dict[str, str]:
        """As the operator gives it to a pod: a database role and a Redis user of its own, passwords in files."""
        role, user, prefix = str(bot.role_name), str(bot.redis_user), f"bf:{self.installation.id}:{bot.id}:"
        redis_password = secrets.token_urlsafe(12)
        users = Users(
            f"redis://{self.redis.user}@{self.redis.host}:{self.redis.port}/0",
            self.redis.password,
            self.installation.id,
        )
        await users.ensure(user, bot.id, redis_password)
        await users.close()
        own = folder / "own"
        own.mkdir()
        (own / "database-password").write_text(self.installation.passwords[role])
        (own / "redis-password").write_text(redis_password)
        (own / "session-key").write_text(base64.urlsafe_b64encode(os.urandom(32)).decode())
        server = self.installation.server
        return {
            **as_in_image(self.folder),
            "BOTFLEET_DATABASE_URL": f"postgresql://{role}@{server.host}:{server.port}/{DATABASE}",
            "BOTFLEET_REDIS_URL": f"redis://{user}@{self.redis.host}:{self.redis.port}/0",
            "BOTFLEET_OWN_DIR": str(own),
            "BOTFLEET_BUS_PREFIX": prefix,
            # As in a pod whose container is started again: the next process takes over at once.
            "BOTFLEET_HOLDER": f"pod-of-{bot.id}",
            "BOTFLEET_BOT_DEFAULTS": simulated(self.telegram, self.model),
        }


@contextlib.asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    """Everything started; all of it ended and removed at the end of the block."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="botfleet-bench-")))
        installation = stack.enter_context(installed("15", folder, fsync=True))
        redis = stack.enter_context(Redis())
        telegram = await stack.enter_async_context(telegram_server(folder / "telegram", log=folder / "telegram.log"))
        model = await stack.enter_async_context(model_server())
        operator = installation.store(OPERATOR)
        stack.push_async_callback(operator.close)
        made = Rig(folder, installation, operator, redis, telegram, model)
        stack.push_async_callback(_end_runners, made)
        yield made


async def _end_runners(made: Rig) -> None:
    for bot in made.bots:
        await bot.runner.end()


def settings_line(**settings: Any) -> str:
    """The settings as one line under a benchmark's title."""
    return "settings: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())
