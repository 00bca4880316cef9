"""
Why: what must be so once a storm is over: everything that is wanted is there, as wanted, and nothing else.
Never: ask the operator, or use its own judgement: this looks at the cluster, PostgreSQL and Redis alone.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import redis
import yaml

from tests.integration.operator.cluster import BOTS
from tests.integration.operator.harness import Installation
from tests.integration.operator.storms.expected import Standing, otherwise
from tests.integration.operator.storms.holders import Holders
from tests.integration.operator.storms.owner import Owner, child_name
from tests.integration.operator.storms.plan import KINDS, Plan, Wanted

IMAGE = "registry.example/botfleet/runner:test"


async def differences(owner: Owner, installation: Installation, plan: Plan) -> list[str]:
    """Everything that is not as it should be, in words; empty: desired is observed."""
    holders = await asyncio.to_thread(Holders.of, installation.database)
    seen = [
        Seen(namespace, await owner.listed(BOTS, namespace), await owner.children(namespace))
        for namespace in plan.namespaces
    ]
    # The loop is left free: what stands between the operator and its API server has it too.
    return await asyncio.to_thread(lambda: list(_different(installation, plan, holders, seen)))


@dataclass(frozen=True)
class Seen:
    """What there is in a namespace."""

    namespace: str
    bots: list[dict[str, Any]]
    children: list[dict[str, Any]]


def _different(installation: Installation, plan: Plan, holders: Holders, seen: list[Seen]) -> Iterator[str]:
    existing: dict[str, Wanted] = {}
    served: set[str] = set()
    for there in seen:
        bots = {bot["metadata"]["name"]: bot for bot in there.bots}
        children = {(c["kind"], c["metadata"]["name"]): c for c in there.children}
        wanted = {n: bot for n, bot in plan.wanted.items() if bot.exists and bot.namespace == there.namespace}
        if set(bots) != set(wanted):
            yield f"{there.namespace}: {sorted(bots)} instead of {sorted(wanted)}"
        for name, bot in wanted.items():
            if name not in bots:
                continue
            uid = bots[name]["metadata"]["uid"]
            existing[uid] = bot
            standing = holders.standing(bot, uid)
            own = {kind: children.pop((kind, child_name(kind, name)), None) for kind in KINDS}
            yield from (f"{name}: {line}" for line in otherwise(bots[name], bot, standing))
            if standing is Standing.SERVED:
                served.add(name)
                yield from (f"{name}: {line}" for line in _children(bots[name], bot, own))
            elif standing is Standing.IN_USE:
                yield from (f"{name}: a {kind}, and another bot has its account" for kind in KINDS if own[kind])
            # Without its Secret: what was made before is left as it was.
        yield from (f"orphaned: {kind} {there.namespace}/{name}" for kind, name in children)
    yield from holders.wrong(existing)
    yield from _outside(installation, {uid: bot.name for uid, bot in existing.items()}, served)


def _children(seen: dict[str, Any], wanted: Wanted, own: dict[str, dict[str, Any] | None]) -> Iterator[str]:
    uid = seen["metadata"]["uid"]
    for kind, child in own.items():
        if child is None:
            yield f"no {kind}"
        elif [o["uid"] for o in child["metadata"].get("ownerReferences", ())] != [uid]:
            yield f"the {kind} has another owner"
    if own["ServiceAccount"] and own["ServiceAccount"].get("automountServiceAccountToken") is not False:
        yield "the ServiceAccount mounts a token"
    if own["NetworkPolicy"]:
        spec = own["NetworkPolicy"]["spec"]
        if spec["policyTypes"] != ["Ingress", "Egress"] or {} in spec.get("egress", []):
            yield f"the NetworkPolicy is open: {str(spec)[:200]}"
    if own["ConfigMap"]:
        data = own["ConfigMap"].get("data") or {}
        if list(data) != ["bot.yaml"] or wanted.text not in str(yaml.safe_load(data["bot.yaml"])):
            yield f"the ConfigMap is not as built: {str(data)[:200]}"
    if own["Deployment"]:
        yield from _deployment(own["Deployment"], wanted)


def _deployment(deployment: dict[str, Any], wanted: Wanted) -> Iterator[str]:
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    if spec["replicas"] != (0 if wanted.suspended else 1):
        yield f"{spec['replicas']} replicas"
    if [(c["name"], c["image"]) for c in pod["containers"]] != [("runner", IMAGE)]:
        yield f"containers {[(c['name'], c['image']) for c in pod['containers']]}"
    if any(entry["name"] == "EVIL" for entry in pod["containers"][0]["env"]):
        yield "a foreign variable"


def _outside(installation: Installation, uids: dict[str, str], served: set[str]) -> Iterator[str]:
    """Rows, roles and Redis users: exactly those of living bots; and the credentials in the children open them."""
    rows = installation.database.query("select uid, role_name, redis_user from botfleet.bots where deleted_at is null")
    for uid, _, _ in rows:
        if uid not in uids:
            yield f"a living row of an object that is gone: {uid}"
    missing = served - {uids[uid] for uid, _, _ in rows if uid in uids}
    if missing:
        yield f"no row: {sorted(missing)}"
    for what, found, column in (("role", installation.database.roles(), 1), ("user", installation.redis_users(), 2)):
        living = {row[column]: uids.get(row[0], "") for row in rows}
        if found - living.keys():
            yield f"orphaned {what}s: {sorted(found - living.keys())}"
        without = {name for user, name in living.items() if user not in found} & served
        if without:
            yield f"no {what}: {sorted(without)}"


async def locked_out(owner: Owner, installation: Installation, plan: Plan) -> list[str]:
    """Bots whose own Secret does not open PostgreSQL and Redis."""
    known = "select name, role_name, redis_user from botfleet.bots where deleted_at is null"
    rows = await asyncio.to_thread(installation.database.query, known)
    users = {name: (role, user) for name, role, user in rows}
    said: list[str] = []
    for namespace in plan.namespaces:
        for child in await owner.children(namespace):
            name = child["metadata"]["name"].removesuffix("-botfleet")
            if child["kind"] == "Secret" and plan.wanted[name].secret:
                data = {key: base64.b64decode(value).decode() for key, value in child["data"].items()}
                said += await asyncio.to_thread(_try, installation, name, *users[name], data)
    return said


def _try(installation: Installation, name: str, role: str, user: str, data: dict[str, str]) -> list[str]:
    database, server = installation.database, installation.redis
    said = []
    try:
        with psycopg.connect(database.url(role), password=data["database-password"]):
            pass
    except psycopg.OperationalError as error:
        said.append(f"{name}: PostgreSQL refuses its role: {error}")
    try:
        with redis.Redis(host=server.host, port=server.port, username=user, password=data["redis-password"]) as client:
            # A bot's user may hardly do anything; logging in is what counts.
            client.connection_pool.get_connection().disconnect()
    except redis.RedisError as error:
        said.append(f"{name}: Redis refuses its user: {error}")
    return said
