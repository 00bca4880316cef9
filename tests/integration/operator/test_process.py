"""The operator as a process: elected, killed, restarted, and what it does about what happened while it was away."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from botfleet_tools.servers import ApiServer, Postgres, Redis
from tests.integration.operator.harness import Database, Installation, OperatorProcess, bot_of, credentials, eventually

pytestmark = pytest.mark.timeout(300)  # a quiet machine needs a tenth of it
LEASE_SECONDS = "15"  # production's; a renewal may take a third of it, and a machine with other work takes long


def reconciled(operator: OperatorProcess, times: int) -> bool:
    return operator.metrics().get('botfleet_operator_reconciles_total{result="ok"}', 0) >= times


def test_a_killed_leader_is_replaced_within_twenty_seconds_and_a_follower_only_waits(
    installation: Installation,
) -> None:
    first = installation.operator(BOTFLEET_LEADER_LEASE_SECONDS=LEASE_SECONDS).wait_leading()
    installation.place.make("before")
    second = installation.operator(BOTFLEET_LEADER_LEASE_SECONDS=LEASE_SECONDS)
    eventually(lambda: second.get("/readyz") == 200, deadline=60)
    eventually(lambda: "waiting_for_leadership" in second.log.read_text(), deadline=60)
    assert second.metrics()["botfleet_operator_leader"] == 0
    first.kill()
    began = time.monotonic()
    second.wait_leading()
    assert time.monotonic() - began < 20
    assert second.writes() == 0
    installation.place.make("after")


def test_an_operator_is_not_ready_before_the_database_is_migrated_and_says_so(
    api: ApiServer, postgres: Postgres, redis: Redis, tmp_path: Path
) -> None:
    # On an upgrade the pod of the version before, which leads, goes once this one is ready.
    database = Database(postgres, tmp_path)
    database.prepare()
    made = Installation(api, database, redis, tmp_path)
    made.prepare()
    try:
        operator = made.operator()
        waits = (503, "waits for the migrated database")
        eventually(lambda: operator.answer("/readyz") == waits, deadline=60, what="it says what it waits for")
        assert operator.answer("/livez") == (200, "ok"), "to be started again would not help"
        database.migrate()
        eventually(lambda: operator.answer("/readyz") == (200, "ok"), deadline=60, what="it is ready")
        operator.wait_leading()
    finally:
        made.close()


def test_a_frozen_leader_is_replaced_and_changes_nothing_when_it_wakes(installation: Installation) -> None:
    place = installation.place
    first = installation.operator(BOTFLEET_LEADER_LEASE_SECONDS=LEASE_SECONDS).wait_leading()
    place.make()
    second = installation.operator(BOTFLEET_LEADER_LEASE_SECONDS=LEASE_SECONDS)
    eventually(lambda: "waiting_for_leadership" in second.log.read_text(), deadline=60)
    first.process.send_signal(signal.SIGSTOP)
    try:
        said = len(first.lines())
        place.kubectl("delete", "configmap", "concierge")  # the frozen one will find the news of it when it wakes
        second.wait_leading()
        eventually(lambda: place.exists("configmap", "concierge"), what="the second one acts")
        place.kubectl("delete", "serviceaccount", "concierge")
        eventually(lambda: place.exists("serviceaccount", "concierge"))
        versions = [
            place.get(kind, "concierge")["metadata"]["resourceVersion"] for kind in ("configmap", "serviceaccount")
        ]
    finally:
        first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(timeout=60) == 1, "it has lost the Lease, and ends"
    after = [line["event"] for line in first.lines()[said:]]
    assert "leadership_lost" in after
    assert not {"applied", "patched", "leader_elected"} & set(after)
    assert versions == [
        place.get(kind, "concierge")["metadata"]["resourceVersion"] for kind in ("configmap", "serviceaccount")
    ]
    assert second.leads()


def test_a_leader_that_is_asked_to_stop_hands_over_at_once(installation: Installation) -> None:
    first = installation.operator(BOTFLEET_LEADER_LEASE_SECONDS=LEASE_SECONDS).wait_leading()
    second = installation.operator(BOTFLEET_LEADER_LEASE_SECONDS=LEASE_SECONDS)
    eventually(lambda: "waiting_for_leadership" in second.log.read_text(), deadline=60)
    began = time.monotonic()
    assert first.stop() == 0
    second.wait_leading()
    assert time.monotonic() - began < 8


def test_a_restart_writes_nothing_when_nothing_has_changed(installation: Installation) -> None:
    first = installation.operator().wait_leading()
    for number in range(3):
        installation.place.make(f"bot-{number}")
    first.stop()
    second = installation.operator().wait_leading()
    eventually(lambda: reconciled(second, 3))
    eventually(lambda: second.metrics()["botfleet_operator_queue_depth"] == 0)
    assert second.writes() == 0


def test_ten_looks_at_everything_change_no_object(installation: Installation) -> None:
    place = installation.place
    operator = installation.operator(BOTFLEET_RESYNC_SECONDS="1").wait_leading()
    for name in ("one", "two"):
        place.make(name)

    def versions() -> dict[str, str]:
        kinds = "telegrambots,serviceaccounts,networkpolicies,configmaps,secrets,deployments"
        items = json.loads(place.kubectl("get", kinds, "-o", "json"))["items"]
        return {f"{item['kind']} {item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}

    def looks() -> float:
        return operator.metrics()['botfleet_operator_reconciles_total{result="ok"}']

    eventually(lambda: operator.metrics()["botfleet_operator_queue_depth"] == 0)
    before, seen = versions(), looks()
    assert len(before) > 10
    eventually(lambda: looks() >= seen + 2 * 10, deadline=60)
    assert versions() == before


def test_what_was_done_while_it_was_away_is_undone(installation: Installation) -> None:
    place = installation.place
    first = installation.operator().wait_leading()
    place.make("edited")
    place.make("deleted", account=515)
    role = place.runner("deleted").environment["BOTFLEET_DATABASE_URL"].split("//")[1].split("@")[0]
    first.stop()
    place.kubectl("patch", "configmap", "edited", "--type=merge", '-p={"data":{"bot.yaml":"foreign"}}')
    closed = place.get("networkpolicy", "edited")["spec"]
    place.kubectl("patch", "networkpolicy", "edited", "--type=merge", '-p={"spec":{"egress":[{}],"ingress":[{}]}}')
    place.kubectl("delete", "serviceaccount", "edited")
    place.kubectl("scale", "deployment", "--selector", "botfleet.dev/bot", "--replicas=0")  # as for a restore
    assert place.get("deployment", "edited")["spec"]["replicas"] == 0
    place.kubectl("delete", "telegrambot", "deleted")
    installation.operator().wait_leading()
    eventually(lambda: place.get("deployment", "edited")["spec"]["replicas"] == 1)
    eventually(lambda: "foreign" not in place.get("configmap", "edited")["data"]["bot.yaml"])
    eventually(lambda: place.exists("serviceaccount", "edited"))
    eventually(lambda: place.get("networkpolicy", "edited")["spec"] == closed)
    eventually(lambda: role not in installation.database.roles())
    eventually(lambda: role not in installation.redis_users())
    gone = "select deleted_at is not null from botfleet.bots where name = 'deleted'"
    eventually(lambda: installation.database.query(gone) == [(True,)])
    kept = "select deleted_at is null from botfleet.bots where name = 'edited'"
    assert installation.database.query(kept) == [(True,)]


def test_network_policies_go_where_they_are_switched_off(installation: Installation) -> None:
    place = installation.place
    first = installation.operator().wait_leading()
    place.make()
    assert place.exists("networkpolicy", "concierge")
    first.stop()
    second = installation.operator(BOTFLEET_NETWORK_POLICIES="false").wait_leading()
    eventually(lambda: not place.exists("networkpolicy", "concierge"))
    eventually(lambda: reconciled(second, 1))
    assert second.writes() == 1, "nothing else was touched"


def test_with_another_installation_key_it_does_nothing_and_says_why(installation: Installation) -> None:
    first = installation.operator().wait_leading()
    installation.place.make()
    first.stop()
    installation.folder.joinpath("key").write_text("A" * 43)
    second = installation.operator()
    assert second.process.wait(timeout=60) == 1
    said = next(line for line in second.lines() if line["event"] == "cannot_start")
    assert "Restore the right Secret from the backup" in said["error"]
    assert second.log.read_text().count("Traceback") == 0


@pytest.fixture
def own_servers(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """An installation with servers of its own, which may be restarted."""
    with Postgres(version="15") as postgres, Redis() as redis:
        database = Database(postgres, tmp_path)
        database.prepare()
        database.migrate()
        made = Installation(api, database, redis, tmp_path)
        made.prepare()
        try:
            yield made
        finally:
            made.close()


def test_outages_of_database_and_redis_pass_and_lost_users_and_roles_are_made_again(own_servers: Installation) -> None:
    place = own_servers.place
    operator = own_servers.operator(BOTFLEET_STORE_TIMEOUT_SECONDS="2").wait_leading()
    place.make("early")
    place.make("doomed", deletionPolicy="Erase")
    place.make("retained")
    users = own_servers.redis_users()
    assert len(users) == 3
    own_servers.redis.restart()
    eventually(lambda: own_servers.redis_users() == users, what="the user is asserted again")
    own_servers.redis.stop()
    roles = own_servers.database.roles()
    with psycopg.connect(own_servers.database.superuser_dsn, autocommit=True) as superuser:
        for role in roles:  # as it is in a database that is restored from its backup elsewhere
            superuser.execute(f"drop owned by {role}")
            superuser.execute(f"drop role {role}")
    own_servers.database.postgres.stop()
    place.kubectl("delete", "telegrambot", "doomed", "--wait=false")
    place.kubectl("delete", "telegrambot", "retained", "--timeout=10s")  # waits for nobody
    place.apply(*credentials("late", 99), bot_of("late"))
    place.wait("Provisioned", "False", "DatabaseUnavailable", name="late")
    assert not place.exists("deployment", "late")
    eventually(lambda: "patch telegrambot doomed" in place.condition("Erased", "doomed")["message"])
    assert place.condition("Erased", "doomed")["reason"] == "WaitingForDatabase"
    own_servers.database.postgres.start()
    place.wait("Provisioned", "False", "RedisUnavailable", name="late", deadline=60)
    assert place.exists("deployment", "late")  # a bot answers without Redis
    eventually(lambda: place.condition("Erased", "doomed")["reason"] == "WaitingForRedis", deadline=60)
    own_servers.redis.start()
    place.wait("Provisioned", "True", name="late", deadline=60)
    eventually(lambda: len(own_servers.redis_users()) == 2, what="the early one too")
    eventually(lambda: len(own_servers.database.roles() & roles) == 1, what="the early one's role is back")
    eventually(lambda: not place.exists("telegrambot", "doomed"))
    eventually(lambda: len(own_servers.database.roles()) == 2, what="of the retained one its data alone")
    living = "select name from botfleet.bots where deleted_at is null order by name"
    eventually(lambda: own_servers.database.query(living) == [("early",), ("late",)], deadline=60)
    eventually(lambda: own_servers.database.query("select count(*) from botfleet.bindings") == [(2,)])
    assert operator.get("/livez") == 200
