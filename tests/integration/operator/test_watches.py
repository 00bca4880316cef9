"""A watch whose connection has died without a word makes the operator neither blind for long (kopf's own, of bots, and ours) nor untrue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from botfleet_tools.servers import ApiServer
from tests.integration.operator.cluster import BOTS, CHILDREN, Cluster, path
from tests.integration.operator.harness import Installation, bot_of, credentials, eventually
from tests.integration.operator.storms.faults import FaultProxy

IDLE_SECONDS = 3.0  # 75 in production, where the API server says something once a minute


@asynccontextmanager
async def through_a_proxy(installation: Installation, **changes: str) -> AsyncIterator[FaultProxy]:
    """An operator that leads, and whose watches can be muted; it has stopped after the block."""
    proxy = FaultProxy(installation.api, random.Random(0), share=0)  # noqa: S311 -- chooses nothing
    proxy.storming = False
    async with proxy.serving():
        operator = installation.operator(KUBECONFIG=str(proxy.kubeconfig(installation.folder)), **changes)
        try:
            await asyncio.to_thread(operator.wait_leading)
            yield proxy
        finally:
            await asyncio.to_thread(operator.stop)


async def missed_by_now(api: ApiServer, namespace: str) -> None:
    """A child is taken, and another bot is made, before any watch has been silent for so long; a kubectl may take as long."""
    cluster = Cluster.of(api)
    await cluster.send("DELETE", path(CHILDREN["ConfigMap"], namespace, "before"))
    for secret in credentials("after", 77):
        await cluster.send("POST", path(CHILDREN["Secret"], namespace), secret, also=(409,))
    await cluster.send("POST", path(BOTS, namespace), bot_of("after"))
    await cluster.close()


async def test_watches_that_fall_silent_are_opened_anew_and_what_they_missed_is_seen(
    installation: Installation,
) -> None:
    place = installation.place
    async with through_a_proxy(installation, BOTFLEET_WATCH_IDLE_SECONDS=str(IDLE_SECONDS)) as proxy:
        await asyncio.to_thread(place.make, "before")
        proxy.mute()
        await missed_by_now(installation.api, place.namespace)
        await asyncio.to_thread(place.wait, "Provisioned", "True", name="after")
        await asyncio.to_thread(eventually, lambda: place.exists("configmap", "before"))
    missed = {"telegrambots", "configmaps", "secrets"}
    assert missed <= set(proxy.muted), "the dead watches would have told"


async def test_what_is_said_of_a_bot_is_not_written_to_its_successor_that_no_watch_has_shown(
    installation: Installation,
) -> None:
    place, cluster = installation.place, Cluster.of(installation.api)
    where = path(BOTS, place.namespace, "anew")
    # Neither a comparison nor a watch that is opened anew shall find out by itself.
    unaware = {"BOTFLEET_SWEEP_SECONDS": "600", "BOTFLEET_WATCH_IDLE_SECONDS": "600"}
    async with through_a_proxy(installation, **unaware) as proxy:
        await asyncio.to_thread(place.make, "anew")
        # The operator's API server is on this loop, which kubectl must not hold up.
        runner = await asyncio.to_thread(place.runner, "anew")
        await runner.acquire(term=60)
        await runner.report()
        await asyncio.to_thread(place.wait, "Ready", "True", name="anew")
        proxy.mute()
        await cluster.send("DELETE", where)
        made = await cluster.send("POST", path(BOTS, place.namespace), bot_of("anew"))
        proxy.written.clear()
        await runner.report(receiving=True)
        wrote = f"PATCH /{where}/status"
        await asyncio.to_thread(eventually, lambda: wrote in proxy.written, what=wrote)
    found = await cluster.send("GET", where)
    assert (found["metadata"]["uid"], found.get("status")) == (made["metadata"]["uid"], None)
    await runner.close()
    await cluster.close()
