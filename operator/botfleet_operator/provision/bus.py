"""
Why: every bot has a Redis user of its own that can append to its own streams and do nothing else.
Never: send a bot's password (only its SHA-256), or allow a command that shows or touches other bots' keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# No SCAN, KEYS, RANDOMKEY or DBSIZE: Redis does not filter them by key pattern. No CLIENT SETINFO: an access list that
# names it is refused by Redis 7.0, and client libraries do without.
COMMANDS = ("xadd", "xlen", "ping", "hello", "auth", "client|setname", "quit")

_ERASERS = ("scan", "unlink", "ping", "hello", "auth", "client|setname", "quit")
_ERASE_SECONDS = 60.0
_SCAN_COUNT = 1000


class BusUnavailableError(Exception):
    """Redis does not answer, or refuses what was asked."""


class Users:
    """The Redis users of one installation's bots."""

    def __init__(self, url: str, password: str, installation_id: str, *, timeout_seconds: float = 10.0) -> None:
        self._timeout = timeout_seconds
        self._installation = installation_id
        self._url = url
        self._client = self._connect(None, password, connections=8)

    async def close(self) -> None:
        await self._client.aclose()

    async def run_id(self) -> str:
        """Changes with every start of the server: then users may be gone."""
        info = await self._call("INFO", "server")
        return str(info["run_id"])

    async def present(self) -> dict[str, str]:
        """All users of bots, with their rules as Redis prints them."""
        lines = await self._call("ACL", "LIST")
        users: dict[str, str] = {}
        for line in lines:
            text = line.decode() if isinstance(line, bytes) else str(line)
            words = text.split(" ", 2)
            if len(words) == 3 and words[1].startswith(f"bf_{self._installation}_"):
                users[words[1]] = words[2]
        return users

    async def ensure(self, user: str, bot_id: str, password: str) -> None:
        """Makes or repairs the user. Repeating it changes nothing."""
        self._check(user)
        await self._call(
            "ACL",
            "SETUSER",
            user,
            "reset",
            "on",
            f"#{password_hash(password)}",
            "resetchannels",
            f"~bf:{self._installation}:{bot_id}:*",
            "-@all",
            *(f"+{command}" for command in COMMANDS),
        )

    async def erase_keys(self, user: str, bot_id: str) -> None:
        """Erases every key below the bot's prefix. Done again, it finds none.

        The operator's own user has no keys, so the bot's user does it, under a password for this once: from now on it may do
        nothing else. It is to be removed afterwards.
        """
        self._check(user)
        password, below = secrets.token_urlsafe(32), f"bf:{self._installation}:{bot_id}:*"
        rules = ("reset", "on", f"#{password_hash(password)}", "resetchannels", f"~{below}", "-@all")
        await self._call("ACL", "SETUSER", user, *rules, *(f"+{command}" for command in _ERASERS))
        client = self._connect(user, password)
        try:
            async with asyncio.timeout(_ERASE_SECONDS):
                async for keys in _pages(client, below):
                    await client.unlink(*keys)
        except (redis.exceptions.RedisError, TimeoutError, OSError) as error:
            raise BusUnavailableError(f"Redis, erasing a bot's keys: {type(error).__name__}") from None
        finally:
            await client.aclose()

    async def remove(self, user: str) -> None:
        """Removes the user and ends its connections. Gone already: nothing happens."""
        self._check(user)
        await self._call("ACL", "DELUSER", user)

    def _connect(self, user: str | None, password: str, connections: int = 1) -> redis.asyncio.Redis:
        """With the user of the address, or as another one."""
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        url = self._url if user is None else urlunsplit(parts._replace(netloc=f"{user}@{host}"))
        return redis.asyncio.Redis.from_url(
            url,
            password=password,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            max_connections=connections,
            # One that died in the pool while Redis was away is made anew; each command can be repeated.
            retry=Retry(NoBackoff(), 1),
        )

    def _check(self, user: str) -> None:
        if not user.startswith(f"bf_{self._installation}_"):
            raise BusUnavailableError("the user is none of this installation's bots'")

    async def _call(self, *words: str) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._client.execute_command(*words)  # type: ignore[no-untyped-call]
        except (redis.exceptions.RedisError, TimeoutError, OSError) as error:
            # The message of a refused command may quote its arguments: only the kind of error is told.
            raise BusUnavailableError(f"Redis, {words[0]} {words[1]}: {type(error).__name__}") from None


async def _pages(client: redis.asyncio.Redis, below: str) -> AsyncIterator[list[bytes | str]]:
    cursor = 0
    while True:
        cursor, keys = await client.scan(cursor, match=below, count=_SCAN_COUNT)
        if keys:
            yield keys
        if not cursor:
            return


def password_hash(password: str) -> str:
    """As ACL rules hold it."""
    return hashlib.sha256(password.encode()).hexdigest()


def is_asserted(rules: str, password: str) -> bool:
    """Whether the printed rules are a user that is on and has this password."""
    words = rules.split(" ")
    return "on" in words and f"#{password_hash(password)}" in words
