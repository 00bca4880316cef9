"""Why: what stands beside a fleet or in its way and must cost the operator nothing: pods that no node takes, other people's Secrets."""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from bench.operator import fleet
from tests.integration.operator.cluster import BOTS, CHILDREN, MERGE_PATCH, PODS, Cluster, path

SECRETS, SECRET_BYTES = 60, 500_000
SCHEDULER_SECONDS = 5.0  # how often the scheduler says again, in other words, that there is no room
_NOT_HELD = """
    update botfleet.leases set holder = null, expires_at = clock_timestamp()
    where bot_id = (select id from botfleet.bots where namespace = %s and name = %s and deleted_at is null)"""


async def unschedule(
    cluster: Cluster, database: psycopg.AsyncConnection[Any], namespace: str, some: Sequence[str]
) -> list[str]:
    """The bots' runners end and no node takes their pods; returns these once each bot's status says so."""
    pods = {pod["metadata"]["labels"]["botfleet.dev/bot"]: pod["metadata"]["name"]
            for pod in await cluster.listed(PODS, namespace)}  # fmt: skip
    for name in some:
        await database.execute(_NOT_HELD, (namespace, name))
        await _tell(cluster, namespace, pods[name], 0)
        counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 0, "availableReplicas": 0}
        where = path(CHILDREN["Deployment"], namespace, name)
        await cluster.send("PATCH", f"{where}/status", {"status": counts}, kind=MERGE_PATCH)

    async def told() -> bool:
        bots = {bot["metadata"]["name"]: bot for bot in await cluster.listed(BOTS, namespace)}
        return all("Unschedulable" in json.dumps(bots[name]["status"]["conditions"]) for name in some)

    await fleet.until(told, "the status of each such bot says Unschedulable")
    return [pods[name] for name in some]


async def keep_unscheduled(cluster: Cluster, namespace: str, pods: Sequence[str], seconds: float) -> None:
    """As a scheduler tries again and again, each time with another count of nodes."""
    end, tries = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        tries += 1
        for pod in pods:
            await _tell(cluster, namespace, pod, tries)
        await asyncio.sleep(min(SCHEDULER_SECONDS, max(0.0, end - time.monotonic())))


async def _tell(cluster: Cluster, namespace: str, pod: str, nodes: int) -> None:
    no_room = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
               "message": f"0/{nodes} nodes are available: {nodes} Insufficient memory."}  # fmt: skip
    status = {"phase": "Pending", "conditions": [no_room], "containerStatuses": []}
    await cluster.send("PATCH", f"{path(PODS, namespace, pod)}/status", {"status": status}, kind=MERGE_PATCH)


async def foreign_secrets(cluster: Cluster, namespace: str) -> None:
    """Large, and nobody's of ours."""
    for number in range(SECRETS):
        value = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"foreign-{number:02}"},
                    "data": {"blob": value}}  # fmt: skip
        await cluster.send("POST", path(CHILDREN["Secret"], namespace), manifest)
