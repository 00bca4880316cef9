"""
Why: a child whose reference to its owner somebody took away is not collected by Kubernetes when the bot goes: it goes by comparison.
Never: remove what was not applied by us, what has an owner, or what has the name of a bot that exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog

from botfleet_operator.kubeapi import DEPLOYMENTS, KubeApi, KubeError, NotFoundError, NotLeadingError, Resource
from botfleet_operator.model import BotKey, ChildRecord, unowned
from botfleet_operator.world import CHILD_RESOURCES, World

log = structlog.get_logger("botfleet.operator.strays")


async def uid_of(api: KubeApi, resource: Resource, key: BotKey) -> str | None:
    """Of the object that has this name now; None: none has.

    Raises:
        NotFoundError: the whole resource is not served (the CRD is gone), which says nothing about an object.
    """
    found = await api.get(resource, key.namespace, key.name, metadata_only=True)
    if found is not None:
        return str(found["metadata"]["uid"])
    path = resource.path(key.namespace)
    await api.request("GET", path, resource=resource.plural, verb="list", params={"limit": "1"})
    return None


class Strays:
    """Children of no bot that nothing collects. Two looks, a pass apart, and a GET each."""

    def __init__(self, api: KubeApi, bots: Resource, world: World, guard: Callable[[], None]) -> None:
        self._api, self._bots, self._world, self._guard = api, bots, world, guard
        self._seen: set[str] = set()  # UIDs, at the last look
        self._refused: set[str] = set()  # UIDs of what could not be deleted, told once

    async def once(self) -> None:
        """One look. What cannot be deleted keeps no other; only where a Deployment stays, what its pods need stays as well.

        Raises:
            NotLeadingError: nothing more may be done by this replica.
            NotFoundError: the kind of the bots is not served.
        """
        strays = list(self._strays())
        before, self._seen = self._seen, {child.uid for _, child in strays}
        running: set[BotKey] = set()  # with a Deployment that stays
        refused: set[str] = set()
        for key, child in strays:
            if child.uid not in before or key in running:
                continue
            try:
                if await uid_of(self._api, self._bots, key) is None:
                    await self._delete(key, child)
            except (NotLeadingError, NotFoundError):
                raise
            except KubeError as error:
                refused.add(child.uid)
                if child.kind == DEPLOYMENTS.kind:
                    running.add(key)
                if child.uid not in self._refused:
                    log.warning("stray_stays", namespace=key.namespace, bot=key.name, kind=child.kind, name=child.name,
                                error=str(error))  # fmt: skip
        self._refused = refused

    async def _delete(self, key: BotKey, child: ChildRecord) -> None:
        self._guard()
        await self._api.delete(CHILD_RESOURCES[child.kind], child.namespace, child.name, uid=child.uid)
        log.info("stray_deleted", namespace=key.namespace, bot=key.name, kind=child.kind, name=child.name)

    def _strays(self) -> Iterator[tuple[BotKey, ChildRecord]]:
        """Deployments first: the rest is what their pods need."""
        for children in reversed(self._world.children.values()):
            for child in children:
                if child.bot is None or not unowned(child) or child.deleting:
                    continue
                key = BotKey(child.namespace, child.bot)
                if key not in self._world.bots:
                    yield key, child
