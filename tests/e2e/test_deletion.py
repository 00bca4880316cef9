"""Promises of `kubectl delete`: no object, role or Redis user is left; the data stays or goes as its policy says."""

import asyncio
import json

from botfleet.store.tables import metadata
from botfleet_tools.platform import simulated
from tests.e2e.conftest import Fleet, named_once, wait_for
from tests.e2e.servers import query, redis_users, stream
from tests.e2e.test_isolation import read_out
from tests.e2e.test_killed import lab, lab_bot

GONE_SECONDS = 120  # a pod ends first
KINDS = "serviceaccounts,configmaps,secrets,deployments,replicasets,pods,networkpolicies"


def children(fleet: Fleet, namespace: str, bot: str) -> set[str]:
    """What Botfleet or the Deployment made for a bot: kind/name."""
    found = json.loads(fleet.kubectl("-n", namespace, "get", KINDS, "-o", "json"))["items"]
    uid = fleet.get(namespace, "telegrambot", bot)["metadata"]["uid"]
    owners = {uid}
    out: set[str] = set()
    for _ in ("the bot's children", "the Deployment's ReplicaSets", "their pods"):
        for item in found:
            if {owner["uid"] for owner in item["metadata"].get("ownerReferences", [])} & owners:
                out.add(f"{item['kind'].lower()}/{item['metadata']['name']}")
                owners = owners | {item["metadata"]["uid"]}
    return out


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
        made = children(fleet, "lab", "leaving")
        assert {child.partition("/")[0] for child in made} == {
            "serviceaccount", "networkpolicy", "configmap", "secret", "deployment", "replicaset", "pod",
        }  # fmt: skip
        labelled = fleet.kubectl("-n", "lab", "get", KINDS, "-l", "botfleet.dev/bot=leaving", "-o", "name").split()
        assert len(labelled) == len(made), "all children carry the label, so nothing is overlooked below"
        fleet.kubectl("-n", "lab", "delete", "telegrambot", "leaving", "--timeout=30s")

        def left() -> str:
            """Asked by name and by label: a child that lost its owner or its label would be found too."""
            by_label = fleet.kubectl("-n", "lab", "get", KINDS, "-l", "botfleet.dev/bot=leaving", "-o", "name")
            return by_label + fleet.kubectl("-n", "lab", "get", *sorted(made), "--ignore-not-found", "-o", "name")

        await asyncio.to_thread(
            wait_for, lambda: True if left() == "" else None, GONE_SECONDS, lambda: f"left: {left()}"
        )
        await asyncio.to_thread(
            wait_for,
            lambda: True if not query(fleet, "select 1 from pg_roles where rolname = %s", role) else None,
            GONE_SECONDS,
            lambda: "the database role is left",
        )
        await asyncio.to_thread(
            wait_for, lambda: user not in redis_users(fleet) or None, GONE_SECONDS, lambda: "the Redis user is left"
        )
        kept = query(fleet, "select text from botfleet.messages where bot_id = %s", bot_id)
        assert any("9101" in str(text) for (text,) in kept), "deletionPolicy Retain keeps the data"

        await person.say(username, "message 9102")
        simulated.apply(fleet.cluster, lab_bot("leaving"))
        await asyncio.to_thread(fleet.wait_condition, "lab", "leaving", "Ready", "True")
        await named_once(fleet, who.id, username, [9101, 9102])
    assert read_out(fleet, "lab", "leaving")["environment"]["BOTFLEET_BUS_PREFIX"].split(":")[2] == bot_id


async def test_new_credentials_amid_messages_lose_none_and_a_bot_with_erase_leaves_nothing(fleet: Fleet) -> None:
    username = await lab(fleet, "erased")
    bot = lab_bot("erased")
    bot["spec"]["deletionPolicy"] = "Erase"
    simulated.apply(fleet.cluster, bot)
    await asyncio.to_thread(fleet.wait_condition, "lab", "erased", "Ready", "True")
    environment = read_out(fleet, "lab", "erased")["environment"]
    user = environment["BOTFLEET_REDIS_URL"].split("://")[1].split("@")[0]
    prefix = environment["BOTFLEET_BUS_PREFIX"]
    bot_id = prefix.split(":")[2]
    given = "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = %s"
    who = await fleet.new_person(42)
    async with fleet.person(who) as person:
        await person.say(username, "message 9201")
        fleet.kubectl("-n", "lab", "annotate", "telegrambot", "erased", "botfleet.dev/rotate-credentials=today")
        for number in (9202, 9203):
            await person.say(username, f"message {number}")
        await asyncio.to_thread(
            wait_for,
            lambda: str(query(fleet, given, user)[0][0]).endswith(" generation 2") or None,
            GONE_SECONDS,
            lambda: f"the role has no new password: {query(fleet, given, user)}",
        )
        await named_once(fleet, who.id, username, [9201, 9202, 9203])
    assert stream(fleet, f"{prefix}events")
    erase = ("delete", "telegrambot", "erased", f"--timeout={GONE_SECONDS}s")
    fleet.kubectl("-n", "lab", *erase, deadline_seconds=GONE_SECONDS + 10)
    tables = [table.name for table in metadata.sorted_tables if "bot_id" in table.c]
    count = "select '{0}', count(*) from botfleet.{0} where bot_id = %s"
    counted = " union all ".join(count.format(name) for name in tables)
    assert dict(query(fleet, counted, *[bot_id] * len(tables))) == dict.fromkeys(tables, 0)
    assert query(fleet, "select 1 from botfleet.bots where id = %s", bot_id) == []
    assert query(fleet, given, user) == []
    assert user not in redis_users(fleet)
    assert stream(fleet, f"{prefix}events") == []
    assert query(fleet, "select count(*) from botfleet.tombstones")[0][0]
