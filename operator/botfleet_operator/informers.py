"""
Why: what exists in the cluster, kept up to date by list and watch, projected to small records; own writes are in it at once.
Never: keep whole objects, poll, or take an error or a partial list for absence.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import structlog

from botfleet_operator.kubeapi import ForbiddenError, GoneError, KubeApi, KubeError, Resource

log = structlog.get_logger("botfleet.operator.informers")

ObjectName = tuple[str, str]  # namespace, name


class Record(Protocol):
    """What every projection of an object has."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def version(self) -> int:
        """resourceVersion as a number: comparable within a kind (KEP-5504; etcd's revision on every release)."""
        ...


R = TypeVar("R", bound=Record)

_BACKOFF_FIRST, _BACKOFF_MOST = 0.2, 20.0
_PAGE_OF_METADATA, _PAGE_OF_OBJECTS = 500, 50  # a Secret may have a megabyte, and a page is in memory at once


class Informer(Generic[R]):
    """All objects of a kind (with a label) in the watched namespaces.

    `changed(old, new)` is called after each change: (None, new) appeared, (old, new) changed, (old, None) gone.
    """

    def __init__(
        self,
        api: KubeApi,
        resource: Resource,
        project: Callable[[dict[str, Any]], R],
        changed: Callable[[R | None, R | None], None],
        *,
        namespaces: tuple[str, ...] = (),
        selector: str = "",
        metadata_only: bool = True,
    ) -> None:
        self.resource = resource
        self._api, self._project, self._changed = api, project, changed
        self._scopes: tuple[str | None, ...] = namespaces or (None,)
        self._selector, self._metadata_only = selector, metadata_only
        self._records: dict[ObjectName, R] = {}
        self._buried: dict[ObjectName, int] = {}  # versions of DELETED events: a late answer to an own write is older
        self._unsynced: set[str | None] = set(self._scopes)
        self.synced = asyncio.Event()
        self._heard_at = dict.fromkeys(self._scopes, time.monotonic())

    @property
    def silent_seconds(self) -> float:
        """How long the watch that has been silent longest has brought nothing."""
        return time.monotonic() - min(self._heard_at.values())

    def get(self, namespace: str, name: str) -> R | None:
        return self._records.get((namespace, name))

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: R) -> None:
        """What an own write was answered with (the writer knows: no change is told).

        Older news from the watch does not undo it; the watch's own word on this version, which may know more (a
        Deployment's pod template), still replaces it.
        """
        self._store(record, watched=False)

    def amend(self, record: R) -> None:
        """What is known of this very version beyond what the watch showed (an own deletion is under way)."""
        old = self.get(record.namespace, record.name)
        if old is not None and (old.uid, old.version) == (record.uid, record.version):
            self._records[(record.namespace, record.name)] = record

    async def run(self) -> None:
        """Lists and watches until cancelled."""
        async with asyncio.TaskGroup() as group:
            for scope in self._scopes:
                group.create_task(self._run_scope(scope), name=f"informer {self.resource.plural} {scope or '*'}")

    async def _run_scope(self, scope: str | None) -> None:
        failures, since = 0, ""
        while True:
            try:
                if not since:
                    since = await self._list(scope)
                since = await self._watch(scope, since)
                failures = 0
            except GoneError:
                since = ""
            except KubeError as error:
                failures += 1
                self._say(error, failures)
                delay = min(_BACKOFF_MOST, _BACKOFF_FIRST * 2.0 ** min(failures - 1, 10))
                await asyncio.sleep(max(error.retry_after or 0, delay * (0.5 + random.random() / 2)))  # noqa: S311

    def _say(self, error: KubeError, failures: int) -> None:
        if isinstance(error, ForbiddenError):
            log.error(
                "watch_forbidden",
                resource=self.resource.plural,
                error=str(error),
                action="give the operator's role list and watch on this resource",
            )
        elif failures > 1:  # one cut connection is everyday
            log.warning("watch_failed", resource=self.resource.plural, failures=failures, error=str(error))

    async def _list(self, scope: str | None) -> str:
        """Takes over a full list; returns its version. What is not in it, and is no newer than it, is gone."""
        seen: set[ObjectName] = set()
        version = ""
        async for page in self._api.list_pages(
            self.resource,
            scope,
            selector=self._selector,
            metadata_only=self._metadata_only,
            page_size=_PAGE_OF_METADATA if self._metadata_only else _PAGE_OF_OBJECTS,
        ):
            version = page.resource_version
            for item in page.items:
                record = self._project(item)
                seen.add((record.namespace, record.name))
                self._store(record)
        for key in [k for k in self._records if k not in seen and scope in (None, k[0])]:
            self._drop(key, int(version))
        self._heard_at[scope] = time.monotonic()
        self._unsynced.discard(scope)
        if not self._unsynced:
            self.synced.set()
        return version

    async def _watch(self, scope: str | None, since: str) -> str:
        """Follows the changes until the stream ends; returns the version from which to go on."""
        try:
            async for event in self._api.watch(
                self.resource, scope, since=since, selector=self._selector, metadata_only=self._metadata_only
            ):
                self._heard_at[scope] = time.monotonic()
                since = str(event.object["metadata"]["resourceVersion"])
                if event.type in ("ADDED", "MODIFIED"):
                    self._store(self._project(event.object))
                elif event.type == "DELETED":
                    metadata = event.object["metadata"]
                    self._drop((metadata["namespace"], metadata["name"]), int(since))
        except KubeError as error:
            if isinstance(error, GoneError):
                raise
            if error.status:
                raise
            # Silence or a cut connection: the versions seen so far are still good.
            log.debug("watch_reopened", resource=self.resource.plural, error=str(error))
            await asyncio.sleep(_BACKOFF_FIRST * random.random())  # noqa: S311 -- jitter
        return since

    def _store(self, record: R, *, watched: bool = True) -> None:
        key = (record.namespace, record.name)
        old = self._records.get(key)
        if old is not None and (old.version > record.version or (old.version == record.version and not watched)):
            return
        if self._buried.get(key, -1) >= record.version:
            return
        self._buried.pop(key, None)
        self._records[key] = record
        if watched and old != record:
            self._changed(old, record)

    def _drop(self, key: ObjectName, version: int) -> None:
        old = self._records.get(key)
        if old is not None and old.version <= version:
            del self._records[key]
            self._changed(old, None)
        self._bury(key, version)

    def _bury(self, key: ObjectName, version: int) -> None:
        self._buried[key] = max(version, self._buried.get(key, -1))
        while len(self._buried) > 4096:
            del self._buried[next(iter(self._buried))]
