"""
Why: every bot has a Redis user of its own that can append to its own streams and do nothing else.
Never: send a password (only its SHA-256), or allow a command that shows or touches other bots' keys.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import redis.asyncio
import redis.exceptions

# No SCAN, KEYS, RANDOMKEY or DBSIZE: Redis does not filter them by key pattern. No CLIENT SETINFO: an access list that
# names it is refused by Redis 7.0, and client libraries do without.
COMMANDS = ("xadd", "xlen", "ping", "hello", "auth", "client|setname", "quit")


class BusUnavailableError(Exception):
    """Redis does not answer, or refuses what was asked."""


class Users:
    """The Redis users of one installation's bots."""

    def __init__(self, url: str, password: str, installation_id: str, *, timeout_seconds: float = 10.0) -> None:
        self._timeout = timeout_seconds
        self._installation = installation_id
        self._client = redis.asyncio.Redis.from_url(
            url,
            password=password,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            max_connections=8,
        )

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

    async def remove(self, user: str) -> None:
        """Removes the user and ends its connections. Gone already: nothing happens."""
        self._check(user)
        await self._call("ACL", "DELUSER", user)

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


def password_hash(password: str) -> str:
    """As ACL rules hold it."""
    return hashlib.sha256(password.encode()).hexdigest()


def is_asserted(rules: str, password: str) -> bool:
    """Whether the printed rules are a user that is on and has this password."""
    words = rules.split(" ")
    return "on" in words and f"#{password_hash(password)}" in words
