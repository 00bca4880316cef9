"""Why: a stand-in for everything that a node would do: Deployment controller, scheduler, kubelet and the runners in the pods.

A process of its own (`python -m bench.operator.standin`, its work as JSON on its input; it ends when its input does): a Deployment gets a
running pod and is marked available, a bot's lease row gets a holder and good health and is renewed every five seconds. It runs nothing.
"""

import asyncio
import json
import secrets
import sys
from typing import Any

import psycopg

from tests.integration.operator.cluster import CHILDREN, PODS, Cluster, context_of, path

RENEW_SECONDS = 5.0
TERM_SECONDS = 15
AT_ONCE = 4
_SPEC_DIGEST = "botfleet.dev/spec-digest"
_MERGE = "application/merge-patch+json"
_ACQUIRE = """
    update botfleet.leases set holder = %s, token = %s, health = %s, renewed_at = clock_timestamp(),
      expires_at = clock_timestamp() + make_interval(secs => %s), health_changed_at = clock_timestamp()
    where bot_id = (select id from botfleet.bots where namespace = %s and name = %s and deleted_at is null)"""
_RENEW = """
    update botfleet.leases set renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => %s)
    where holder is not null"""


def health_of(spec_digest: str, account: int, **changes: Any) -> dict[str, Any]:
    """Of a runner that is connected, authorized and receiving."""
    good = {"connected": True, "authorized": True, "receiving": True, "account_id": account, "username": "stand_in_bot"}
    return {"spec_digest": spec_digest, **good, **changes}


def pod_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """The pod that its controller would make."""
    template, name = deployment["spec"]["template"], deployment["metadata"]["name"]
    metadata = {**template["metadata"], "name": f"{name}-{secrets.token_hex(4)}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


class StandIn:
    """One namespace."""

    def __init__(self, cluster: Cluster, namespace: str, database: psycopg.AsyncConnection[Any]) -> None:
        self._cluster, self._namespace, self._database = cluster, namespace, database
        self._served: dict[str, tuple[str, str]] = {}  # by bot: the template that has a pod, and the pod's name
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Every Deployment that is there, then every change; prints how many are served after the first look."""
        where = CHILDREN["Deployment"]
        listed = await self._cluster.send("GET", path(where, self._namespace))
        async with asyncio.TaskGroup() as tasks:
            for deployment in listed["items"]:
                tasks.create_task(self._serve(deployment))
        sys.stdout.write(f"{len(listed['items'])} served\n")
        sys.stdout.flush()
        since = listed["metadata"]["resourceVersion"]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew())
            async for event in self._cluster.watch(where, self._namespace, since):
                if event["type"] in ("ADDED", "MODIFIED"):
                    tasks.create_task(self._serve(event["object"]))

    async def _serve(self, deployment: dict[str, Any]) -> None:
        name, template = deployment["metadata"]["name"], json.dumps(deployment["spec"]["template"], sort_keys=True)
        old = self._served.get(name)
        if old is not None and old[0] == template:
            return
        pod = pod_of(deployment)
        self._served[name] = (template, pod["metadata"]["name"])
        async with self._room:
            made = await self._cluster.send("POST", path(PODS, self._namespace), pod)
            await self._mark_running(made, deployment)
            if old is not None:
                await self._cluster.send(
                    "DELETE", f"{path(PODS, self._namespace, old[1])}?gracePeriodSeconds=0", also=(404,)
                )
            await self._take_lease(name, made)

    async def _mark_running(self, pod: dict[str, Any], deployment: dict[str, Any]) -> None:
        ready = [{"type": "Ready", "status": "True"}]
        container = {"name": "runner", "image": "stand-in", "imageID": "", "restartCount": 0, "ready": True,
                     "started": True, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}  # fmt: skip
        status = {"phase": "Running", "conditions": ready, "containerStatuses": [container]}
        where = path(PODS, self._namespace, pod["metadata"]["name"])
        await self._cluster.send("PATCH", f"{where}/status", {"status": status}, kind=_MERGE)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        observed = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        where = path(CHILDREN["Deployment"], self._namespace, deployment["metadata"]["name"])
        await self._cluster.send("PATCH", f"{where}/status", {"status": observed}, kind=_MERGE, also=(404,))

    async def _take_lease(self, name: str, pod: dict[str, Any]) -> None:
        health = health_of(pod["metadata"]["annotations"][_SPEC_DIGEST], account=1)
        values = (
            pod["metadata"]["uid"],
            secrets.randbits(62) + 1,
            json.dumps(health),
            TERM_SECONDS,
            self._namespace,
            name,
        )
        await self._database.execute(_ACQUIRE, values)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await self._database.execute(_RENEW, (TERM_SECONDS,))


async def _main(work: dict[str, str]) -> None:
    cluster = Cluster(work["url"], context_of(work["ca"], work["certificate"], work["key"]))
    async with await psycopg.AsyncConnection.connect(work["dsn"], autocommit=True) as database:
        serving = asyncio.create_task(StandIn(cluster, work["namespace"], database).run())
        ending = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await cluster.close()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.stdin.readline())))
