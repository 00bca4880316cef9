"""
Why: a child whose reference to its owner somebody took away is not collected by Kubernetes when the bot goes: it goes by comparison.
Never: remove what was not applied by us, what has an owner, or what has the name of a bot that exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog

from botfleet_operator.kubeapi import KubeApi, Resource
from botfleet_operator.model import BotKey, ChildRecord
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

    async def once(self) -> None:
        """One look. Raises KubeError; what was not reached is found by the next one."""
        strays = list(self._strays())
        before, self._seen = self._seen, {child.uid for _, child in strays}
        for key, child in strays:
            if child.uid in before and await uid_of(self._api, self._bots, key) is None:
                self._guard()
                await self._api.delete(CHILD_RESOURCES[child.kind], child.namespace, child.name, uid=child.uid)
                log.info("stray_deleted", namespace=key.namespace, bot=key.name, kind=child.kind, name=child.name)

    def _strays(self) -> Iterator[tuple[BotKey, ChildRecord]]:
        for children in self._world.children.values():
            for child in children:
                if child.bot is None or child.owned or child.deleting or child.fields is None:
                    continue
                key = BotKey(child.namespace, child.bot)
                if key not in self._world.bots:
                    yield key, child
