"""Why: what a bare loop takes for the same, without an operator's care: the least that there can be on this machine, now.

Its objects carry none of our labels and lie in a namespace of their own, so that the operator never sees them.
"""

import asyncio
import contextlib
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import psycopg

from bench.image import as_in_image
from bench.operator import fleet
from bench.process import memory
from tests.integration.operator.cluster import APPLY_PATCH, BOTS, CHILDREN, MERGE_PATCH, Cluster, path
from tests.integration.operator.harness import bot_of


def bare(child: dict[str, Any], namespace: str, name: str) -> dict[str, Any]:
    """The same object as somebody would apply it, under another name, without owner and labels."""
    made = {key: deepcopy(value) for key, value in child.items() if key not in ("metadata", "status")}
    metadata = child["metadata"]
    made["metadata"] = {"name": name, "namespace": namespace, "annotations": metadata.get("annotations", {})}
    return made


async def applies(cluster: Cluster, source: str, namespace: str, size: int) -> float:
    """Every child of the first bot so many times, applied by the server; seconds."""
    first = fleet.names(1)[0]
    children = [
        (kind, await cluster.send("GET", path(where, source, f"{first}-botfleet" if kind == "Secret" else first)))
        for kind, where in CHILDREN.items()
    ]
    began = time.perf_counter()
    await fleet.all_of([
        _apply(cluster, kind, namespace, bare(child, namespace, name))
        for name in fleet.names(size) for kind, child in children
    ])  # fmt: skip
    return time.perf_counter() - began


async def _apply(cluster: Cluster, kind: str, namespace: str, manifest: dict[str, Any]) -> None:
    where = path(CHILDREN[kind], namespace, manifest["metadata"]["name"])
    await cluster.send("PATCH", f"{where}?fieldManager=floor&force=true", manifest, kind=APPLY_PATCH)


async def healed(cluster: Cluster, namespace: str, samples: int) -> list[float]:
    """A loop that applies each ConfigMap that its watch shows deleted; the seconds of each."""
    listed = await cluster.send("GET", path(CHILDREN["ConfigMap"], namespace))
    manifests = {
        item["metadata"]["name"]: bare({**item, "apiVersion": "v1", "kind": "ConfigMap"}, namespace, item["metadata"]["name"])
        for item in listed["items"]
    }  # fmt: skip

    async def repair() -> None:
        async for event in cluster.watch(CHILDREN["ConfigMap"], namespace, listed["metadata"]["resourceVersion"]):
            if event["type"] == "DELETED":
                await _apply(cluster, "ConfigMap", namespace, manifests[event["object"]["metadata"]["name"]])

    repairing = asyncio.create_task(repair())
    try:
        every = list(manifests)
        return [
            await fleet.restored(cluster, namespace, "ConfigMap", every[n % len(every)], fleet.delete_configmap)
            for n in range(samples)
        ]
    finally:
        repairing.cancel()
        await asyncio.gather(repairing, return_exceptions=True)


async def told(cluster: Cluster, database: psycopg.AsyncConnection[Any], namespace: str, samples: int) -> list[float]:
    """A row is updated, a status patched; the seconds of each."""
    name = "floor"
    await cluster.send("POST", path(BOTS, namespace), bot_of(name))  # its Secrets are missing: nothing is made
    taken = []
    for number in range(samples):
        began = time.perf_counter()
        await database.execute("update botfleet.leases set renewed_at = renewed_at where bot_id = 'none'")
        status = {"status": {"account": {"id": number + 1}}}
        await cluster.send("PATCH", f"{path(BOTS, namespace, name)}/status", status, kind=MERGE_PATCH)
        taken.append(time.perf_counter() - began)
    await cluster.send("DELETE", path(BOTS, namespace, name))
    return taken


async def lists(cluster: Cluster, namespace: str) -> float:
    """Everything of a namespace, read once; seconds."""
    began = time.perf_counter()
    for where in (BOTS, *CHILDREN.values()):
        await cluster.listed(where, namespace)
    return time.perf_counter() - began


async def process(folder: Path) -> tuple[float, float]:
    """Seconds until the operator's libraries are imported, and the MiB that they take."""
    began = time.perf_counter()
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.operator.imports",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=as_in_image(folder, "operator"),
    )
    try:
        assert started.stdout is not None
        async with asyncio.timeout(60):
            assert await started.stdout.readline(), "the libraries could not be imported"
        return time.perf_counter() - began, memory(started.pid).rss
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()
