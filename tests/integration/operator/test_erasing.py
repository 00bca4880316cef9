"""Erasing a bot, and new credentials for one that runs: on a real PostgreSQL and Redis, with the rights that the operator has there."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import psycopg
import pytest
import redis

from botfleet.store.engine import Store, create_store
from botfleet.store.lease import Lease
from tests.contracts.store.erasure_contract import counts, fill
from tests.integration.operator.harness import Place, Runner, eventually


@pytest.fixture
async def everything(place: Place) -> AsyncIterator[Store]:
    """Plays runners: the tables' owner may write what they may."""
    database = place.installation.database
    store = create_store(database.url(database.owner), database.passwords[database.owner])
    yield store
    await store.close()


async def seen(place: Place, runner: Runner) -> Lease:
    """A runner in a pod, as the operator knows by now: Ready is said of a pod that it has seen, which holds the lease."""
    lease = await runner.acquire(term=60)
    await runner.report()
    await asyncio.to_thread(place.wait, "Ready", "True")
    return lease


def bus_of(runner: Runner) -> redis.Redis:
    url = runner.environment["BOTFLEET_REDIS_URL"]
    return redis.Redis.from_url(url, password=runner.redis_password, protocol=2)


def reaches_redis(runner: Runner) -> bool:
    try:
        with bus_of(runner) as bus:
            return bool(bus.ping())
    except redis.AuthenticationError:
        return False


def keys_of(place: Place, bot_id: str) -> list[str]:
    with redis.Redis.from_url(place.installation.redis.url) as client:
        return [str(key) for key in client.scan_iter(match=f"bf:*:{bot_id}:*")]


async def test_a_bot_with_erase_leaves_nothing_in_the_database_or_redis_but_tombstones(
    place: Place, everything: Store
) -> None:
    database = place.installation.database
    for name in ("concierge", "neighbour"):
        place.make(name, deletionPolicy="Erase")
    assert place.bot()["metadata"]["finalizers"] == ["botfleet.dev/erase"]
    runner, neighbour = place.runner(), place.runner("neighbour")
    for played in (runner, neighbour):
        await fill(everything, played.bot_id, 1, 2)
        with bus_of(played) as bus:
            for stream in ("events", "another"):
                bus.xadd(played.environment["BOTFLEET_BUS_PREFIX"] + stream, {"id": "1"})
    before = await counts(everything, neighbour.bot_id)
    assert min((await counts(everything, runner.bot_id)).values()) >= 1
    assert runner.lease is None
    lease = await seen(place, runner)
    assert len(keys_of(place, runner.bot_id)) == 2
    place.kubectl("delete", "telegrambot", "concierge", "--wait=false")
    eventually(lambda: place.condition("Erased")["reason"] == "WaitingForRunner")
    assert place.phase() == "Deleting"
    assert not place.exists("deployment", "concierge")
    role = database.query("select role_name from botfleet.bots where id = %s", runner.bot_id)[0][0]
    assert role in database.roles()
    await runner.leases.release(lease)
    eventually(lambda: not place.exists("telegrambot", "concierge"))
    assert set((await counts(everything, runner.bot_id)).values()) == {0}
    assert database.query("select * from botfleet.bots where id = %s", runner.bot_id) == []
    assert database.query("select count(*) from botfleet.tombstones where length(digest) = 64")[0][0] >= 3
    assert role not in database.roles()
    assert role not in place.installation.redis_users()
    assert keys_of(place, runner.bot_id) == []
    assert len(keys_of(place, neighbour.bot_id)) == 2
    assert await counts(everything, neighbour.bot_id) == before
    place.kubectl("patch", "telegrambot", "neighbour", "--type=merge", "-p", '{"spec":{"deletionPolicy":"Retain"}}')
    eventually(lambda: place.bot("neighbour")["metadata"].get("finalizers") is None)
    for played in (runner, neighbour):
        await played.close()


@pytest.mark.parametrize("lost", ["ownerReferences", "labels"])
async def test_the_deployment_of_a_bot_that_is_erased_goes_though_it_has_lost_its_owner_or_its_labels(
    place: Place, everything: Store, lost: str
) -> None:
    place.make(deletionPolicy="Erase")
    runner = place.runner()
    await fill(everything, runner.bot_id, 1)
    lease = await seen(place, runner)
    place.kubectl("annotate", "telegrambot", "concierge", "botfleet.dev/paused=true")  # else it is repaired at once
    place.wait("Provisioned", "Unknown", "Paused")
    place.kubectl("patch", "deployment", "concierge", "--type=merge", f'-p={{"metadata":{{"{lost}":null}}}}')
    place.kubectl("delete", "telegrambot", "concierge", "--wait=false")
    eventually(lambda: not place.exists("deployment", "concierge"), what="its pods are to end")
    eventually(lambda: place.condition("Erased")["reason"] == "WaitingForRunner")
    await runner.leases.release(lease)
    eventually(lambda: not place.exists("telegrambot", "concierge"))
    assert set((await counts(everything, runner.bot_id)).values()) == {0}
    await runner.close()


async def test_new_credentials_are_given_to_a_running_bot_and_the_old_ones_work_until_its_runner_has_ended(
    place: Place,
) -> None:
    place.make()
    runner = place.runner()
    lease = await seen(place, runner)
    user = runner.environment["BOTFLEET_DATABASE_URL"].split("//")[1].split("@")[0]
    server = place.installation.database

    def logs_in(password: str) -> bool:
        try:
            psycopg.connect(server.postgres.dsn_for(user, password, server.name)).close()
        except psycopg.OperationalError:
            return False
        return True

    def password() -> str:
        return base64.b64decode(place.get("secret", "concierge-botfleet")["data"]["database-password"]).decode()

    def session_key() -> str:
        return str(place.get("secret", "concierge-botfleet")["data"]["session-key"])

    def mark() -> str:
        template = place.get("deployment", "concierge")["spec"]["template"]
        return str(template["metadata"]["annotations"]["botfleet.dev/credentials-digest"])

    key, marked = session_key(), mark()
    place.kubectl("annotate", "telegrambot", "concierge", "botfleet.dev/rotate-credentials=1")
    eventually(lambda: password() != runner.password and mark() != marked, what="the pod is replaced")
    assert (logs_in(runner.password), logs_in(password())) == (True, False), "its runner has not ended yet"
    assert session_key() == key
    await runner.leases.release(lease)
    eventually(lambda: logs_in(password()), what="the next one gets in")
    assert not logs_in(runner.password)
    after = place.runner()
    eventually(lambda: reaches_redis(after), what="its Redis user comes right after its role")
    assert not reaches_redis(runner)
    for played in (runner, after):
        await played.close()
