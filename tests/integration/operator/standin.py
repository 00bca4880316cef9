"""
Why: a stand-in for everything that a node would do: Deployment controller, scheduler, kubelet and the runners in the pods. A
Deployment gets a running pod and is marked available, its bot's lease gets that pod as its holder, with the runner's health.
Never: run anything, or write what a runner could not: who has lost its role renews and takes no lease.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.integration.operator.cluster import CHILDREN, MERGE_PATCH, PODS, Cluster, path

AT_ONCE = 4
_RETRY_SECONDS = 0.3
_SPEC_DIGEST = "botfleet.dev/spec-digest"
_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
_LOGS_IN = """exists (select 1 from botfleet.bots join pg_roles on rolname = role_name and rolcanlogin
      where id = leases.bot_id)"""
_ACQUIRE = f"""
    update botfleet.leases set holder = %s, token = %s, health = %s, renewed_at = clock_timestamp(),
      expires_at = clock_timestamp() + make_interval(secs => %s), health_changed_at = clock_timestamp()
    where bot_id = %s and (holder is null or expires_at <= clock_timestamp()) and {_LOGS_IN}"""  # noqa: S608 -- a constant
_RENEW = f"""
    update botfleet.leases set renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => %s)
    where holder = any(%s) and {_LOGS_IN}"""  # noqa: S608
_RELEASE = f"""
    update botfleet.leases set holder = null, token = null, expires_at = null
    where holder = %s and {_LOGS_IN}"""  # noqa: S608
_REPORT = f"""
    update botfleet.leases set health = %s, health_changed_at = clock_timestamp()
    where holder = %s and {_LOGS_IN}"""  # noqa: S608
Says = Callable[[str, str], dict[str, Any] | None]


def health_of(spec_digest: str, account: int, **changes: Any) -> dict[str, Any]:
    """Of a runner that is connected, authorized and receiving."""
    good = {"connected": True, "authorized": True, "receiving": True, "account_id": account, "username": "stand_in_bot"}
    return {"spec_digest": spec_digest, **good, **changes}


def all_well(_: str, spec_digest: str) -> dict[str, Any]:
    """Every bot has a runner, and each is well."""
    return health_of(spec_digest, account=1)


def pod_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """The pod that its controller would make."""
    template, name = deployment["spec"]["template"], deployment["metadata"]["name"]
    metadata = {**template["metadata"], "name": f"{name}-{secrets.token_hex(4)}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def bot_id_of(pod: dict[str, Any]) -> str:
    """Whose data the runner in it may reach."""
    (runner,) = (c for c in pod["spec"]["containers"] if c["name"] == "runner")
    environment = {entry["name"]: entry.get("value", "") for entry in runner["env"]}
    return str(environment["BOTFLEET_BUS_PREFIX"].split(":")[2])


@dataclass
class _Runner:
    """A pod, and what runs in it."""

    name: str
    uid: str
    bot_id: str
    made_from: tuple[str, str]  # the Deployment's UID and its pod template
    spec_digest: str
    waits: bool = True  # for the lease; who has had it and lost it takes it no more


class StandIn:
    """One namespace."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        database: psycopg.AsyncConnection[Any],
        *,
        says: Says = all_well,
        term_seconds: float = 15,
        renew_seconds: float = 5,
    ) -> None:
        """`says(bot, spec digest)`: the health that its runner reports; None: its pod is never made."""
        self._cluster, self._namespace, self._database, self._says = cluster, namespace, database, says
        self._term_seconds, self._renew_seconds = term_seconds, renew_seconds
        self._shown: dict[str, dict[str, Any]] = {}  # Deployments as they are, and as they were when they were served
        self._served: dict[str, dict[str, Any]] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._runners: dict[str, _Runner] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, served: Callable[[int], None] = lambda _: None) -> None:
        """Every Deployment that is there, then every change; tells how many are served once all that were listed are."""
        where = CHILDREN["Deployment"]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew())
            while True:
                listed = await self._cluster.send("GET", path(where, self._namespace))
                there = {deployment["metadata"]["name"]: deployment for deployment in listed["items"]}
                for name in self._shown.keys() | there.keys():
                    self._show(tasks, name, there.get(name))
                tasks.create_task(self._tell(served, len(there)))
                since = listed["metadata"]["resourceVersion"]
                async for event in self._cluster.watch(where, self._namespace, since):
                    if event["type"] == "ERROR":
                        break
                    gone, seen = event["type"] == "DELETED", event["object"]
                    self._show(tasks, seen["metadata"]["name"], None if gone else seen)

    async def report(self, bot: str) -> None:
        """Its runner, if it has one, says what is new."""
        runner = self._runners.get(bot)
        health = self._says(bot, runner.spec_digest) if runner else None
        if runner is not None and health is not None:
            await self._database.execute(_REPORT, (json.dumps(health), runner.uid))

    async def hold(self, term_seconds: float) -> None:
        """From now on leases last so long, from the next renewal, which is now."""
        self._term_seconds = term_seconds
        await self._renew_all()

    async def _tell(self, served: Callable[[int], None], deployments: int) -> None:
        await asyncio.gather(*self._following.values())
        served(deployments)

    # One Deployment after the other, each change of one in its order

    def _show(self, tasks: asyncio.TaskGroup, name: str, deployment: dict[str, Any] | None) -> None:
        if deployment is None:
            self._shown.pop(name, None)
        else:
            self._shown[name] = deployment
        if name not in self._following:
            self._following[name] = tasks.create_task(self._follow(name))

    async def _follow(self, name: str) -> None:
        while (deployment := self._shown.get(name)) is not self._served.get(name):
            async with self._room:
                done = await self._serve(name, deployment)
            if not done:
                await asyncio.sleep(_RETRY_SECONDS)
            elif deployment is None:
                self._served.pop(name, None)
            else:
                self._served[name] = deployment
        del self._following[name]

    async def _serve(self, name: str, deployment: dict[str, Any] | None) -> bool:
        """False: the API server does not take the pod as it is now; as a controller it tries again."""
        old, wanted = self._runners.get(name), None
        if deployment is not None and deployment["spec"]["replicas"] > 0 and self._says(name, "") is not None:
            template = json.dumps(deployment["spec"]["template"], sort_keys=True)
            wanted = (deployment["metadata"]["uid"], template)
        if (old.made_from if old else None) == wanted:
            return True
        if old is not None:
            await self._end(name, old)
        if deployment is None or wanted is None:
            if deployment is not None:
                await self._count(deployment, 0)
            return True
        made = await self._cluster.send(
            "POST", path(PODS, self._namespace), pod_of(deployment), also=(400, 403, 404, 422)
        )
        if made["kind"] != "Pod":
            return False
        runner = _Runner(
            made["metadata"]["name"],
            made["metadata"]["uid"],
            bot_id_of(made),
            wanted,
            made["metadata"]["annotations"][_SPEC_DIGEST],
        )
        await self._mark_running(runner)
        await self._count(deployment, 1)
        self._runners[name] = runner
        await self._take_lease(name, runner)
        return True

    async def _end(self, name: str, runner: _Runner) -> None:
        """As a runner ends on SIGTERM, and kubelet after it."""
        del self._runners[name]
        await self._database.execute(_RELEASE, (runner.uid,))
        where = path(PODS, self._namespace, runner.name)
        await self._cluster.send("DELETE", f"{where}?gracePeriodSeconds=0", also=(404,))

    async def _mark_running(self, runner: _Runner) -> None:
        ready = [{"type": "Ready", "status": "True"}]
        container = {"name": "runner", "image": "stand-in", "imageID": "", "restartCount": 0, "ready": True,
                     "started": True, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}  # fmt: skip
        status = {"phase": "Running", "conditions": ready, "containerStatuses": [container]}
        where = path(PODS, self._namespace, runner.name)
        await self._cluster.send("PATCH", f"{where}/status", {"status": status}, kind=MERGE_PATCH)

    async def _count(self, deployment: dict[str, Any], pods: int) -> None:
        observed = {"observedGeneration": deployment["metadata"]["generation"], **dict.fromkeys(_COUNTS, pods)}
        where = path(CHILDREN["Deployment"], self._namespace, deployment["metadata"]["name"])
        await self._cluster.send("PATCH", f"{where}/status", {"status": observed}, kind=MERGE_PATCH, also=(404,))

    # Leases

    async def _take_lease(self, name: str, runner: _Runner) -> None:
        health = self._says(name, runner.spec_digest)
        values = (runner.uid, secrets.randbits(62) + 1, json.dumps(health), self._term_seconds, runner.bot_id)
        taken = await self._database.execute(_ACQUIRE, values)
        if taken.rowcount:
            runner.waits = False

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            await self._renew_all()
            for name, runner in list(self._runners.items()):
                if runner.waits:
                    await self._take_lease(name, runner)

    async def _renew_all(self) -> None:
        await self._database.execute(_RENEW, (self._term_seconds, [one.uid for one in self._runners.values()]))
