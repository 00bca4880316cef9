"""Why: what is done to a fleet, and how long it takes until the operator has answered: made, harmed, changed in health.

Everything is seen from outside: at the API server's watches, never in the operator.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import psycopg

from tests.integration.operator.cluster import BOTS, CHILDREN, MERGE_PATCH, Cluster, path
from tests.integration.operator.harness import bot_of, credentials, secret_of

DEADLINE_SECONDS = 900.0  # a fleet of 1,000 on a machine with much else to do
POLL_SECONDS = 0.1
Harm = Callable[[Cluster, str, str], Awaitable[None]]
_SET_CONNECTED = """
    update botfleet.leases set health = jsonb_set(health, '{connected}', %s), health_changed_at = clock_timestamp()
    where bot_id = (select id from botfleet.bots where namespace = %s and name = %s and deleted_at is null)"""


def names(size: int) -> list[str]:
    """Of the bots."""
    return [f"bot-{number:04}" for number in range(size)]


async def until(look: Callable[[], Awaitable[bool]], what: str) -> float:
    """Seconds until `look` is true."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await look():  # noqa: ASYNC110 -- looks at other processes
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_SECONDS:g} s: {what}") from None
    return time.perf_counter() - began


async def all_of(calls: Sequence[Awaitable[Any]]) -> None:
    """All at once; the client has 32 connections."""
    async with asyncio.TaskGroup() as tasks:
        for call in calls:
            tasks.create_task(_wait(call))


async def _wait(call: Awaitable[Any]) -> None:
    await call


async def put_secrets(cluster: Cluster, namespace: str, size: int) -> None:
    """A token for each bot, and what all share."""
    where = path(CHILDREN["Secret"], namespace)
    tokens = [secret_of(name, token=f"{10_000 + n}:AAplanted-{name}") for n, name in enumerate(names(size))]
    await all_of([cluster.send("POST", where, one) for one in [*credentials()[:2], *tokens]])


async def make(cluster: Cluster, namespace: str, size: int) -> float:
    """All TelegramBots are applied; seconds until all their children exist."""
    expected = {kind: 2 * size + 2 if kind == "Secret" else size for kind in CHILDREN}

    async def made() -> bool:
        for kind in reversed(CHILDREN):
            if await cluster.count(CHILDREN[kind], namespace) < expected[kind]:
                return False
        return True

    began = time.perf_counter()
    await all_of([cluster.send("POST", path(BOTS, namespace), bot_of(name)) for name in names(size)])
    await until(made, "all children exist")
    return time.perf_counter() - began


async def ready(cluster: Cluster, namespace: str) -> int:
    """How many bots are Ready."""
    return sum(_condition(bot, "Ready") == "True" for bot in await cluster.listed(BOTS, namespace))


def _condition(bot: dict[str, Any], kind: str) -> str:
    conditions = bot.get("status", {}).get("conditions", ())
    return next((str(c["status"]) for c in conditions if c["type"] == kind), "")


# Harm


async def delete_configmap(cluster: Cluster, namespace: str, name: str) -> None:
    await cluster.send("DELETE", path(CHILDREN["ConfigMap"], namespace, name))


async def edit_configmap(cluster: Cluster, namespace: str, name: str) -> None:
    edit = {"data": {"bot.yaml": "edited: true"}}
    await cluster.send("PATCH", path(CHILDREN["ConfigMap"], namespace, name), edit, kind=MERGE_PATCH)


async def delete_account(cluster: Cluster, namespace: str, name: str) -> None:
    await cluster.send("DELETE", path(CHILDREN["ServiceAccount"], namespace, name))


async def open_policy(cluster: Cluster, namespace: str, name: str) -> None:
    edit: dict[str, Any] = {"spec": {"egress": [{}]}}
    await cluster.send("PATCH", path(CHILDREN["NetworkPolicy"], namespace, name), edit, kind=MERGE_PATCH)


async def scale(cluster: Cluster, namespace: str, name: str) -> None:
    edit = {"spec": {"replicas": 3}}
    await cluster.send("PATCH", path(CHILDREN["Deployment"], namespace, name), edit, kind=MERGE_PATCH)


HARMS: tuple[tuple[str, Harm], ...] = (
    ("ConfigMap", delete_configmap), ("ConfigMap", edit_configmap), ("ServiceAccount", delete_account),
    ("Deployment", scale), ("NetworkPolicy", open_policy),
)  # fmt: skip


def _matters(child: dict[str, Any]) -> Any:
    spec = child.get("spec", {})
    return child.get("data"), spec.get("replicas"), spec.get("egress"), child.get("automountServiceAccountToken")


async def restored(cluster: Cluster, namespace: str, kind: str, name: str, harm: Harm) -> float:
    """Does the harm; seconds from its request until a watch shows the child as it was."""
    only = f"fieldSelector=metadata.name%3D{name}"
    # The list's version and not the object's, which in a large fleet may be too old for a watch by now.
    listed = await cluster.send("GET", f"{path(CHILDREN[kind], namespace)}?{only}")
    (before,) = listed["items"]
    events = cluster.watch(CHILDREN[kind], namespace, listed["metadata"]["resourceVersion"], f"&{only}")
    async with asyncio.timeout(DEADLINE_SECONDS), contextlib.aclosing(events):
        began = time.perf_counter()
        harming = asyncio.create_task(_wait(harm(cluster, namespace, name)))
        harmed = False
        async for event in events:
            seen = event["object"]
            if event["type"] == "DELETED" or _matters(seen) != _matters(before):
                harmed = True
            elif harmed:
                await harming
                return time.perf_counter() - began
    raise AssertionError(f"the watch ended before {kind} {name} was restored")


# Health


@contextlib.asynccontextmanager
async def statuses(cluster: Cluster, namespace: str) -> AsyncIterator[dict[str, tuple[str, float]]]:
    """By bot, while the block lasts: what Ready says, and when a watch showed it first."""
    listed = await cluster.send("GET", path(BOTS, namespace))
    seen = {bot["metadata"]["name"]: (_condition(bot, "Ready"), 0.0) for bot in listed["items"]}

    async def follow() -> None:
        async for event in cluster.watch(BOTS, namespace, listed["metadata"]["resourceVersion"]):
            name, word = event["object"]["metadata"]["name"], _condition(event["object"], "Ready")
            if name in seen and seen[name][0] != word:
                seen[name] = (word, time.perf_counter())

    following = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def health_to_status(
    cluster: Cluster, database: psycopg.AsyncConnection[Any], namespace: str, some: Sequence[str], samples: int
) -> list[float]:
    """Runners lose their connection and get it back, one after the other; the seconds of each until Ready says so."""
    taken: list[float] = []
    async with statuses(cluster, namespace) as seen:
        connected = True
        while len(taken) < samples:
            connected = not connected
            changed: dict[str, float] = {}
            for name in some:
                changed[name] = time.perf_counter()
                await database.execute(_SET_CONNECTED, (json.dumps(connected), namespace, name))
                await asyncio.sleep(0.07)  # not in step with the operator's look
            word = str(connected)

            async def told(word: str = word) -> bool:
                return all(seen[name][0] == word for name in some)

            await until(told, f"Ready says {word}")
            taken += [seen[name][1] - at for name, at in changed.items()]
        if not connected:
            for name in some:
                await database.execute(_SET_CONNECTED, ("true", namespace, name))
    return taken
