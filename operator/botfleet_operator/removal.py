"""
Why: what a bot had outside the cluster goes with it: at once when the watch shows the deletion, else by comparison. The
comparison makes known, too, what is there and no watch has shown.
Never: remove anything on the strength of a failed or partial list, of another cluster, or of a fleet that vanished at once;
and never data.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from botfleet.store.errors import StoreError, StoreUnavailable
from botfleet_operator.kubeapi import KubeApi, KubeError, Resource
from botfleet_operator.ledger import Ledger
from botfleet_operator.lockout import Lockout
from botfleet_operator.metrics import Metrics
from botfleet_operator.model import BotKey, BotRecord, bot_record
from botfleet_operator.provision.bus import BusUnavailableError
from botfleet_operator.strays import Strays, uid_of
from botfleet_operator.world import World

log = structlog.get_logger("botfleet.operator.removal")


class Remover:
    """Takes away what one deleted bot had. Each part can be repeated."""

    def __init__(self, world: World, ledger: Ledger, guard: Callable[[], None]) -> None:
        self._world, self._ledger, self._guard = world, ledger, guard
        self._lockout = Lockout(ledger)

    async def clean_up(self, key: BotKey, successor: str | None = None) -> float | None:
        """Removes what a deleted bot of this name had, unless the object `successor` has taken it over.

        Returns seconds after which to come back: its runner may be connected that much longer, and its account stays
        bound so long. None: all done. Raises StoreError.
        """
        identity = self._ledger.identity_at(key)
        # Two objects cannot have one name: where there is a successor, the object of the row is gone.
        gone = identity is not None and (successor is not None or identity.uid in self._world.gone)
        if identity is None or identity.uid == successor or not gone:
            self._forget(key, successor)
            return None
        self._guard()
        await self._lockout.begin(identity)
        try:
            await self._ledger.remove_user(identity)
        except BusUnavailableError as error:
            # The next comparison takes it away; nothing else has to wait for Redis.
            log.warning("redis_user_left", namespace=key.namespace, bot=key.name, error=str(error))
        seconds = await self._lockout.seconds_left(identity)
        if seconds > 0:
            return seconds
        self._guard()
        retired = await self._ledger.retire(identity)
        self._lockout.end(identity)
        self._forget(key, successor)
        if retired:
            log.info("bot_removed", namespace=key.namespace, bot=key.name)
        else:  # its successor retires it, or the comparison finds that object gone
            log.warning("row_is_another_objects", namespace=key.namespace, bot=key.name)
        return None

    def _forget(self, key: BotKey, successor: str | None) -> None:
        for uid in [uid for uid, name in self._world.gone.items() if name == key and uid != successor]:
            del self._world.gone[uid]


def too_many(missing: int, fleet: int) -> bool:
    """More than ten, and more than a fifth of the fleet, gone at once: that is a mistake more often than a wish."""
    return missing > 10 and missing * 5 > fleet


class _Listed(NamedTuple):
    """What a list of the metadata alone tells of a bot."""

    key: BotKey
    version: int


def _is_unseen(uid: str, version: int, shown: BotRecord | None) -> bool:
    """Whether what a list has is not what a watch had shown before it."""
    return shown is None or shown.uid != uid or shown.version > version


class Sweeper:
    """The comparison: bots with a row, and those that a watch has shown, against objects in the cluster. Two looks, a pass
    apart, and a GET each."""

    def __init__(
        self,
        api: KubeApi,
        bots: Resource,
        world: World,
        ledger: Ledger,
        metrics: Metrics,
        *,
        namespaces: tuple[str, ...],
        seconds: float,
        same_cluster: bool,
        is_still_there: Callable[[], Awaitable[bool]],
        guard: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._bots, self._world, self._ledger, self._metrics = api, bots, world, ledger, metrics
        self._namespaces, self._seconds = namespaces, seconds
        self._same_cluster, self._is_still_there = same_cluster, is_still_there
        self._guard, self._clock = guard, clock
        self._strays = Strays(api, bots, world, guard)
        self._missing: dict[str, float] = {}  # UIDs, and when they were first found missing
        self._unseen: dict[str, float] = {}  # UIDs, and when they were first found although no watch shows them
        self._refused: set[str] = set()  # roles that could not be removed, told once

    async def run(self) -> None:
        """A pass now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._seconds * (0.9 + 0.2 * random.random()))  # noqa: S311 -- jitter
            try:
                await self.once()
            except (KubeError, StoreError, BusUnavailableError) as error:
                log.warning("comparison_failed", error=str(error))

    async def once(self) -> None:
        """One pass. Any error leaves everything as it is."""
        # Before the list: what is new since then is not missing from it, and what a watch has shown by then is no news in it.
        fleet, shown = self._known(), dict(self._world.bots)
        present = await self._present()
        await self._make_known(shown, present)
        missing = {uid: key for uid, key in fleet.items() if uid not in present and uid not in self._world.gone}
        halted = too_many(len(missing), len(fleet))
        self._metrics.removal_halted.set(1 if halted else 0)
        if halted:
            self._missing.clear()
            log.error(
                "removal_halted",
                missing=len(missing),
                fleet=len(fleet),
                action="see docs/failure-modes.md: The whole fleet, by mistake",
            )
            return
        await self._confirm(missing)
        await self._strays.once()  # before what needs the database and Redis
        await self._leftovers()

    def _known(self) -> dict[str, BotKey]:
        """By UID: what has a row, and what a watch has shown, whose DELETED event may be lost in a reconnect."""
        rows = {identity.uid: key for key, identity in self._ledger.living().items()}
        shown = {bot.uid: key for key, bot in self._world.bots.items()}
        return {uid: key for uid, key in (rows | shown).items()
                if not self._namespaces or key.namespace in self._namespaces}  # fmt: skip

    async def _present(self) -> dict[str, _Listed]:
        """By UID: all TelegramBots in scope; raises a KubeError rather than returning a part of them."""
        found: dict[str, _Listed] = {}
        for namespace in self._namespaces or (None,):
            async for page in self._api.list_pages(self._bots, namespace, metadata_only=True):
                for metadata in (item["metadata"] for item in page.items):
                    key = BotKey(metadata["namespace"], metadata["name"])
                    found[metadata["uid"]] = _Listed(key, int(metadata["resourceVersion"]))
        return found

    async def _make_known(self, shown: dict[BotKey, BotRecord], present: dict[str, _Listed]) -> None:
        """What is there at two looks although no watch has shown it: its event was lost, or came with a lower version than what
        is known of the name. Where etcd was restored all do: its versions count on from an earlier one."""
        now = self._clock()
        unseen = {uid: key for uid, (key, version) in present.items() if _is_unseen(uid, version, shown.get(key))}
        self._unseen = {uid: self._unseen.get(uid, now) for uid in unseen}
        if not unseen or not await self._is_still_there():
            return  # another cluster's bots are not ours to serve
        for uid, key in unseen.items():
            if now - self._unseen[uid] < self._seconds * 0.8:
                continue
            gone = uid in self._world.gone
            body = await self._api.get(self._bots, key.namespace, key.name)
            told = self._world.bots.get(key) is not shown.get(key) or (uid in self._world.gone) != gone
            if body is not None and not told:  # by the watch, after all
                log.warning("bot_found_unseen", namespace=key.namespace, bot=key.name)
                self._world.bot_found(bot_record(body))

    async def _confirm(self, missing: dict[str, BotKey]) -> None:
        now = self._clock()
        self._missing = {uid: since for uid, since in self._missing.items() if uid in missing}
        if not self._same_cluster:  # or not known to be: only what was shown here can have gone from here
            shown = {bot.uid for bot in self._world.bots.values()}
            missing = {uid: key for uid, key in missing.items() if uid in shown}
        if not missing or not await self._is_still_there():
            return  # of another cluster everything is missing
        for uid, key in missing.items():
            if await uid_of(self._api, self._bots, key) == uid:
                self._missing.pop(uid, None)
                continue
            since = self._missing.setdefault(uid, now)
            if now - since >= self._seconds * 0.8:
                log.info("bot_found_gone", namespace=key.namespace, bot=key.name)
                self._world.bot_deleted(key, uid)
                del self._missing[uid]

    async def _leftovers(self) -> None:
        refused: set[str] = set()
        for role in await self._ledger.leftover_roles():
            self._guard()
            try:
                if await self._ledger.remove_leftover_role(role):
                    log.info("leftover_role_removed", role=role)
            except StoreUnavailable:
                raise
            except StoreError as error:
                # Names are free: whoever else may make roles on the server may have made one that is called like ours.
                refused.add(role)
                if role not in self._refused:
                    log.warning("leftover_role_stays", role=role, error=str(error))
        self._refused = refused
        for user in await self._ledger.leftover_users():
            self._guard()
            if await self._ledger.remove_leftover_user(user):
                log.info("leftover_user_removed", user=user)
