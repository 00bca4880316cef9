"""
Why: what a bot had whose deletion is to erase it, noted while it was there, and whether anything of it is left in the end.
Never: ask the operator: it looks at every table of PostgreSQL that has a bot's rows, at the roles, and at Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from botfleet.store.engine import Store
from botfleet.store.tables import bindings
from tests.contracts.store.erasure_contract import fill
from tests.integration.operator.harness import Installation

FINALIZER = "botfleet.dev/erase"
_ROW = "select id, role_name, redis_user from botfleet.bots where uid = %s"
_TABLES = "select table_name from information_schema.columns where table_schema = 'botfleet' and column_name = 'bot_id'"


@dataclass(frozen=True)
class Had:
    """A bot's row, and what was made for it."""

    name: str
    bot_id: str
    role: str
    user: str


class Erasures:
    """Of one storm. `writer`: a store of the tables' owner, who may write what runners write."""

    def __init__(self, installation: Installation, writer: Store) -> None:
        self._installation, self._writer = installation, writer
        self._filled: set[str] = set()
        self.begun: dict[str, Had] = {}
        self.broken: list[str] = []

    async def before(self, seen: dict[str, Any]) -> Had | None:
        """Somebody is about to delete the object: its runner has written rows until now, and said things in Redis."""
        if seen["spec"].get("deletionPolicy") != "Erase":
            return None
        metadata, status = seen["metadata"], seen.get("status", {})
        if status.get("observedGeneration") == metadata["generation"] and not _stands(metadata):
            self.broken.append(f"{metadata['name']}: the policy is in force, and no finalizer stands")
        had = await asyncio.to_thread(self._row, metadata)
        if had is not None and had.bot_id not in self._filled:
            self._filled.add(had.bot_id)
            # No accounts: the operator alone binds those.
            await fill(self._writer, had.bot_id, 1, 2, but=(bindings,))
            await asyncio.to_thread(self._say, had)
        return had

    async def after(self, answer: dict[str, Any], had: Had | None) -> None:
        """It was deleted. `answer`: the object, if something keeps it from being gone at once."""
        if answer.get("kind") != "TelegramBot" or not _stands(answer["metadata"]):
            return
        if answer["spec"].get("deletionPolicy") != "Erase":
            return
        had = had or await asyncio.to_thread(self._row, answer["metadata"])
        if had is not None:
            self.begun[had.bot_id] = had

    def left(self) -> Iterator[str]:
        """What there still is of the bots whose deletion has begun; blocking."""
        yield from self.broken
        database, ids = self._installation.database, list(self.begun)
        for (table,) in database.query(_TABLES):
            found = database.query(f"select distinct bot_id from botfleet.{table} where bot_id = any(%s)", ids)  # noqa: S608
            yield from (f"{self.begun[bot_id].name}: erased, but for rows of {table}" for (bot_id,) in found)
        for (bot_id,) in database.query("select id from botfleet.bots where id = any(%s)", ids):
            yield f"{self.begun[bot_id].name}: erased, but for its row of bots"
        roles, users = database.roles(), self._installation.redis_users()
        with redis.Redis.from_url(self._installation.redis.url, decode_responses=True) as client:
            kept = {str(key).split(":")[2] for key in client.scan_iter(match="bf:*", count=1000)}
        for had in self.begun.values():
            for what, there in (("role", had.role in roles), ("user", had.user in users), ("keys", had.bot_id in kept)):
                if there:
                    yield f"{had.name}: erased, but for its {what}"
        if self._filled & self.begun.keys() and database.query("select count(*) from botfleet.tombstones") == [(0,)]:
            yield "nobody was erased, as far as the tombstones say"

    def _row(self, metadata: dict[str, Any]) -> Had | None:
        found = self._installation.database.query(_ROW, metadata["uid"])
        return Had(metadata["name"], *found[0]) if found else None

    def _say(self, had: Had) -> None:
        with redis.Redis.from_url(self._installation.redis.url) as client:
            client.xadd(f"bf:{self._installation.database.installation_id}:{had.bot_id}:events", {"id": "1"})


def _stands(metadata: dict[str, Any]) -> bool:
    return FINALIZER in (metadata.get("finalizers") or ())
