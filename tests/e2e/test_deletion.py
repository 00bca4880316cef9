"""Promises of `kubectl delete`: no object, role or Redis user is left; the data stays as its policy says, and comes back."""

import asyncio
import json

import psycopg

from botfleet_tools.platform import simulated
from botfleet_tools.platform.forward import forwarded
from tests.e2e.conftest import Fleet, named_once, wait_for
from tests.e2e.test_isolation import read_out
from tests.e2e.test_killed import lab, lab_bot

CHILDREN = "serviceaccounts,configmaps,secrets,deployments,replicasets,pods,networkpolicies"


def operator_secret(fleet: Fleet, name: str, key: str) -> str:
    import base64

    found = fleet.get(fleet.release.namespace, "secret", f"{fleet.release.name}-{name}")
    return base64.b64decode(found["data"][key]).decode()


def query(fleet: Fleet, statement: str, *values: object) -> list[tuple[object, ...]]:
    """As the database's superuser."""
    with (
        forwarded(fleet.cluster, fleet.release.namespace, f"statefulset/{fleet.release.name}-postgres", 5432) as ports,
        psycopg.connect(
            host="127.0.0.1",
            port=ports[5432],
            dbname="botfleet",
            user="postgres",
            password=operator_secret(fleet, "postgres", "superuser-password"),
        ) as connection,
    ):
        return connection.execute(statement, values).fetchall()


def redis_users(fleet: Fleet) -> list[str]:
    import redis

    with (
        forwarded(fleet.cluster, fleet.release.namespace, f"statefulset/{fleet.release.name}-redis", 6379) as ports,
        redis.Redis(
            host="127.0.0.1",
            port=ports[6379],
            username="botfleet-operator",
            password=operator_secret(fleet, "redis", "operator-password"),
            protocol=2,
        ) as client,
    ):
        return [line.split()[1] for line in client.acl_list()]


async def test_a_deleted_bot_leaves_nothing_but_its_data_which_a_bot_with_the_same_credential_gets_back(
    fleet: Fleet,
) -> None:
    username = await lab(fleet, "leaving")
    simulated.apply(fleet.cluster, lab_bot("leaving"))
    await asyncio.to_thread(fleet.wait_condition, "lab", "leaving", "Ready", "True")
    environment = read_out(fleet, "lab", "leaving")["environment"]
    role = environment["BOTFLEET_DATABASE_URL"].split("://")[1].split("@")[0]
    user = environment["BOTFLEET_REDIS_URL"].split("://")[1].split("@")[0]
    bot_id = environment["BOTFLEET_BUS_PREFIX"].split(":")[2]
    assert query(fleet, "select 1 from pg_roles where rolname = %s", role)
    assert user in redis_users(fleet)
    who = await fleet.new_person(41)
    async with fleet.person(who) as person:
        await person.say(username, "message 9101")
        await named_once(fleet, who.id, username, [9101])
        fleet.keep_logs()
        fleet.kubectl("-n", "lab", "delete", "telegrambot", "leaving", "--timeout=30s")

        def left() -> bool | None:
            objects = json.loads(
                fleet.kubectl("-n", "lab", "get", CHILDREN, "-l", "botfleet.dev/bot=leaving", "-o", "json")
            )["items"]
            return True if not objects else None

        await asyncio.to_thread(wait_for, left, 60, lambda: "children are left")
        await asyncio.to_thread(
            wait_for,
            lambda: True if not query(fleet, "select 1 from pg_roles where rolname = %s", role) else None,
            20,
            lambda: "the database role is left",
        )
        assert user not in redis_users(fleet)
        kept = query(fleet, "select text from botfleet.messages where bot_id = %s", bot_id)
        assert any("9101" in str(text) for (text,) in kept), "deletionPolicy Retain keeps the data"

        await person.say(username, "message 9102")
        simulated.apply(fleet.cluster, lab_bot("leaving"))
        await asyncio.to_thread(fleet.wait_condition, "lab", "leaving", "Ready", "True")
        await named_once(fleet, who.id, username, [9101, 9102])
    assert read_out(fleet, "lab", "leaving")["environment"]["BOTFLEET_BUS_PREFIX"].split(":")[2] == bot_id
