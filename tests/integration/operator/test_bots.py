"""From `kubectl apply` to a bot that may answer, and back, against a real API server, PostgreSQL and Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
import redis

from botfleet.conditions import Reason
from botfleet.health import Spent
from botfleet_operator.world import TELEGRAM_BOTS
from tests.integration.operator.harness import Place, bot_of, credentials, eventually, secret_of

CHILDREN = (
    ("serviceaccount", "concierge"),
    ("networkpolicy", "concierge"),
    ("configmap", "concierge"),
    ("secret", "concierge-botfleet"),
    ("deployment", "concierge"),
)


def test_a_bot_gets_all_that_it_needs_and_every_child_is_owned_by_it(place: Place) -> None:
    place.make()
    bot = place.bot()
    for kind, name in CHILDREN:
        owner = place.get(kind, name)["metadata"]["ownerReferences"]
        assert [(o["uid"], o["controller"]) for o in owner] == [(bot["metadata"]["uid"], True)]
    assert bot["metadata"].get("finalizers") is None
    assert "kopf" not in str(bot["metadata"])
    assert place.phase() == "Starting"
    assert TELEGRAM_BOTS.kind == bot["kind"]


async def test_a_bot_is_ready_when_its_runner_says_so_with_its_own_role(place: Place) -> None:
    place.make()
    runner = place.runner()
    await runner.acquire(term=60)
    await runner.report(connected=False, authorized=None)
    await runner.report()
    assert place.wait("Ready", "True")["reason"] == "Ready"
    status = place.bot()["status"]
    assert (status["phase"], status["account"]) == ("Running", {"id": 1, "username": "a_bot"})
    assert place.condition("Authorized")["status"] == "True"
    await runner.close()


async def test_what_a_runner_has_proved_of_receiving_is_a_condition_and_a_column(place: Place) -> None:
    def shown() -> list[str]:
        """Phase, ready and receiving."""
        return place.kubectl("get", "telegrambot", "concierge", "--no-headers").split()[1:4]

    place.make()
    assert shown() == ["Starting", "False", "False"]
    runner = place.runner()
    await runner.acquire(term=60)
    await runner.report()
    assert "by itself" in place.wait("Receiving", "Unknown", "NotProved")["message"]
    assert shown() == ["Running", "True", "Unknown"]
    await runner.report(receiving=True)
    place.wait("Receiving", "True", "Receiving")
    assert shown() == ["Running", "True", "True"]
    await runner.report(receiving=False, reason=Reason.DEAF)
    said = place.wait("Receiving", "False", "Deaf")
    assert "rollout restart deployment/concierge" in said["message"]
    assert shown() == ["Degraded", "True", "False"]
    await runner.report(connected=False, reason=Reason.DISCONNECTED)
    place.wait("Receiving", "False", "NotReady")
    await runner.close()


async def test_what_a_runner_tells_of_model_limits_and_cost_is_in_the_status_and_in_the_wide_columns(
    place: Place,
) -> None:
    def wide() -> list[str]:
        """Model, unrestricted, within budget and pending messages."""
        return place.kubectl("get", "telegrambot", "concierge", "-o", "wide", "--no-headers").split()[-4:]

    place.make(limits={"budget": {"tokensPerDay": 1000}}, access={"groups": "All"})
    runner = place.runner()
    await runner.acquire(term=60)
    await runner.report(receiving=True)
    assert "Write to the bot" in place.wait("ModelAvailable", "Unknown", "NotAsked")["message"]
    place.wait("Unrestricted", "True", "Unrestricted")
    until = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    ill = {
        "model": Reason.UNAUTHORIZED,
        "restriction": Reason.FLOOD_WAIT,
        "restricted_until": until,
        "privacy_mode": True,
    }
    spent = Spent(day=date(2030, 1, 2), tokens=1200, micros=1_500_000, rung=Reason.BUDGET_EXHAUSTED)
    await runner.report(receiving=True, spent=spent, pending=7, last_message_at=until, **ill)
    place.wait("ModelAvailable", "False", "Unauthorized")
    assert "2030-01-02T03:04:05Z" in place.wait("Unrestricted", "False", "FloodWait")["message"]
    assert "/setprivacy" in place.wait("Receiving", "False", "PrivacyMode")["message"]
    place.wait("WithinBudget", "False", "BudgetExhausted")
    status = place.bot()["status"]
    assert status["budget"] == {"day": "2030-01-02", "tokens": 1200, "money": 1.5, "tokensPerDay": 1000}
    assert (status["pendingMessages"], status["lastMessageTime"]) == (7, "2030-01-02T03:04:05Z")
    assert (status["phase"], wide()) == ("Degraded", ["False", "False", "False", "7"])
    well = {
        "model": Reason.MODEL_ANSWERS,
        "privacy_mode": False,
        "spent": spent.model_copy(update={"rung": Reason.WITHIN_BUDGET}),
    }
    await runner.report(receiving=True, **well)
    place.wait("ModelAvailable", "True", "ModelAnswers")
    place.wait("WithinBudget", "True", "WithinBudget")
    assert (place.phase(), wide()) == ("Running", ["True", "True", "True", "7"])
    await runner.close()


async def test_a_refused_token_is_said_and_the_deployment_stays(place: Place) -> None:
    place.make()
    runner = place.runner()
    await runner.acquire(term=60)
    await runner.report(connected=True, authorized=False, reason=Reason.TOKEN_INVALID)
    said = place.wait("Authorized", "False", "TokenInvalid")
    assert "BotFather" in said["message"]
    assert place.condition("Ready")["reason"] == "NotAuthorized"
    assert place.phase() == "Failed"
    assert place.get("deployment", "concierge")["spec"]["replicas"] == 1
    await runner.close()


def test_a_missing_secret_is_named_and_the_bot_goes_on_within_three_seconds_of_its_appearance(place: Place) -> None:
    app, openai, token = credentials()
    place.apply(app, openai, bot_of())
    said = place.wait("Accepted", "False", "SecretMissing")
    assert "Secret concierge " in said["message"]
    assert "key token" in said["message"]
    for kind, name in CHILDREN:
        assert not place.exists(kind, name)
    assert place.seconds_after(lambda: place.apply(token), "Accepted") < 3
    place.wait("Provisioned", "True")


def test_a_secret_without_the_label_is_not_read_and_the_message_says_how_to_allow_it(place: Place) -> None:
    app, openai, _ = credentials()
    place.apply(app, openai, secret_of("concierge", label=False, token="77:AAplanted"), bot_of())
    said = place.wait("Accepted", "False", "SecretNotLabelled")
    assert f"kubectl -n {place.namespace} label secret concierge botfleet.dev/credentials=true" in said["message"]
    label = ("label", "secret", "concierge", "botfleet.dev/credentials=true")
    assert place.seconds_after(lambda: place.kubectl(*label), "Accepted") < 3


def test_a_secret_without_the_key_or_with_nonsense_is_refused_by_name(place: Place) -> None:
    app, openai, _ = credentials()
    place.apply(app, openai, secret_of("concierge", other="x"), bot_of())
    assert "no key token" in place.wait("Accepted", "False", "SecretKeyMissing")["message"]
    place.apply(secret_of("concierge", token="planted-nonsense"))
    said = place.wait("Accepted", "False", "SecretUnusable")
    assert "BotFather" in said["message"]
    assert "planted" not in said["message"]


def test_what_no_default_can_say_is_asked_for(place: Place) -> None:
    bot = bot_of()
    del bot["spec"]["model"]
    place.apply(*credentials(), bot)
    assert "spec.model.name" in place.wait("Accepted", "False", "Incomplete")["message"]


def test_an_operators_own_secret_is_no_reference(place: Place) -> None:
    place.make("first")
    place.kubectl("label", "secret", "first-botfleet", "botfleet.dev/credentials=true")
    thief = bot_of("thief")
    thief["spec"]["model"]["apiKeySecretRef"] = {"name": "first-botfleet", "key": "database-password"}
    place.apply(*credentials("thief", 991), thief)
    place.wait("Accepted", "False", "SecretUnusable", name="thief")
    assert not place.exists("deployment", "thief")


def test_deleting_a_bot_removes_its_role_and_its_redis_user_and_keeps_its_data(place: Place) -> None:
    place.make(account=5150)
    runner = place.runner()
    role = runner.environment["BOTFLEET_DATABASE_URL"].split("//")[1].split("@")[0]
    database = place.installation.database
    assert role in database.roles()
    assert role in place.installation.redis_users()
    place.kubectl("delete", "telegrambot", "concierge")
    eventually(lambda: role not in database.roles())
    eventually(lambda: role not in place.installation.redis_users())
    row = "select deleted_at is not null from botfleet.bots where id = %s"
    eventually(lambda: database.query(row, runner.bot_id) == [(True,)])
    assert database.query("select * from botfleet.bindings where bot_id = %s", runner.bot_id) == []


def test_the_same_name_with_the_same_credential_gets_its_data_back(place: Place) -> None:
    place.make(account=616)
    before = place.runner().bot_id
    place.kubectl("delete", "telegrambot", "concierge")
    row = "select deleted_at is not null from botfleet.bots where id = %s"
    eventually(lambda: place.installation.database.query(row, before) == [(True,)])
    # No garbage collector here: what the old object owned is still there, and is made anew for the new one.
    place.make(account=616)
    uid = place.bot()["metadata"]["uid"]

    def owned_anew(kind: str, name: str) -> bool:
        return bool(place.get(kind, name)["metadata"]["ownerReferences"][0]["uid"] == uid)

    for kind, name in CHILDREN:  # in whatever order the news of their end came
        eventually(partial(owned_anew, kind, name))
    assert place.runner().bot_id == before


def test_another_credential_under_the_same_name_gets_a_bot_of_its_own(place: Place) -> None:
    place.make(account=717)
    before = place.runner().bot_id
    place.kubectl("delete", "telegrambot", "concierge")
    place.make(account=718)
    assert eventually(lambda: place.runner().bot_id != before)


def test_one_account_is_one_bot(place: Place) -> None:
    place.make("first", account=8080)
    place.apply(*credentials("second", 8080), bot_of("second"))
    said = place.wait("Accepted", "False", "AccountInUse", name="second")
    assert "TelegramBot first" in said["message"]
    assert not place.exists("deployment", "second")
    place.kubectl("delete", "telegrambot", "first")
    place.wait("Accepted", "True", name="second")
    eventually(lambda: place.exists("deployment", "second"))


async def test_an_account_stays_bound_until_the_old_runner_can_no_longer_be_connected(place: Place) -> None:
    place.make("first", account=8181)
    runner = place.runner("first")
    await runner.acquire(term=4)
    ends = "select expires_at from botfleet.leases where bot_id = %s"
    ((connected_until,),) = place.installation.database.query(ends, runner.bot_id)
    place.kubectl("delete", "telegrambot", "first")
    place.apply(*credentials("second", 8181), bot_of("second"))
    accepted = datetime.fromisoformat(place.wait("Accepted", "True", name="second")["lastTransitionTime"])
    assert accepted + timedelta(seconds=1) > connected_until, "it is told in whole seconds"
    await runner.close()


async def test_a_persons_account_is_bound_by_the_id_that_its_runner_reports(place: Place) -> None:
    app, openai, _ = credentials()
    person = bot_of()
    person["spec"]["account"] = {
        "type": "User",
        "apiCredentialsSecretRef": {"name": "telegram-app"},
        "sessionSecretRef": {"name": "person", "key": "session"},
    }
    place.apply(app, openai, secret_of("person", session="1planted-session"), person)
    place.wait("Provisioned", "True")
    runner = place.runner()
    await runner.acquire(term=60)
    await runner.report(connected=True, authorized=None, reason=Reason.BINDING_PENDING, account_id=31337)
    keys = "select account_key from botfleet.bindings where bot_id = %s order by 1"
    rows: Any = eventually(lambda: len(found := place.installation.database.query(keys, runner.bot_id)) == 2 and found)
    assert [key for (key,) in rows][1] == "user:31337"
    await runner.report(account_id=31337)
    place.wait("Ready", "True")
    proved = "select bool_and(proved) from botfleet.bindings where bot_id = %s"
    eventually(lambda: place.installation.database.query(proved, runner.bot_id) == [(True,)])
    await runner.close()


def test_a_foreign_object_with_a_name_that_is_needed_is_left_alone(place: Place) -> None:
    place.kubectl("create", "configmap", "concierge", "--from-literal=mine=yes")
    place.apply(*credentials(account=31338), bot_of())
    said = place.wait("Accepted", "False", "NameConflict")
    assert "ConfigMap concierge" in said["message"]
    assert place.get("configmap", "concierge")["data"] == {"mine": "yes"}
    assert not place.exists("deployment", "concierge")


def test_suspending_stops_the_pods_and_resuming_starts_them(place: Place) -> None:
    place.make()
    place.kubectl("patch", "telegrambot", "concierge", "--type=merge", '-p={"spec":{"suspend":true}}')
    place.wait("Ready", "False", "Suspended")
    assert place.get("deployment", "concierge")["spec"]["replicas"] == 0
    eventually(lambda: place.phase() == "Suspended")
    place.kubectl("patch", "telegrambot", "concierge", "--type=merge", '-p={"spec":{"suspend":false}}')
    eventually(lambda: place.phase() == "Resuming")
    assert place.get("deployment", "concierge")["spec"]["replicas"] == 1


def test_suspending_works_although_the_spec_cannot_be_accepted(place: Place) -> None:
    place.make()
    place.kubectl("delete", "secret", "openai")
    place.wait("Accepted", "False", "SecretMissing")
    assert place.get("deployment", "concierge")["spec"]["replicas"] == 1
    place.kubectl("patch", "telegrambot", "concierge", "--type=merge", '-p={"spec":{"suspend":true}}')
    place.wait("Ready", "False", "Suspended")
    eventually(lambda: place.get("deployment", "concierge")["spec"]["replicas"] == 0)


async def test_a_bots_credentials_reach_nothing_of_another_bot(place: Place) -> None:
    place.make("first")
    place.make("second")
    mine, other = place.runner("first"), place.runner("second")
    url = mine.environment["BOTFLEET_DATABASE_URL"].replace("@", f":{mine.password}@")
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("select id from bots").fetchall()
        assert [str(bot_id) for (bot_id,) in rows] == [mine.bot_id]
        assert len(connection.execute("select * from bindings").fetchall()) == 1
        for forbidden in ("update bindings set proved = true", "create table x (y int)", "truncate inbox"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
    bus = mine.environment["BOTFLEET_REDIS_URL"].replace("@", f":{mine.redis_password}@")
    with redis.Redis.from_url(bus) as client:
        own, foreign = mine.environment["BOTFLEET_BUS_PREFIX"], other.environment["BOTFLEET_BUS_PREFIX"]
        client.xadd(f"{own}events", {"a": "b"})
        for words in (
            ("XADD", f"{foreign}events", "*", "a", "b"),
            ("XADD", f"{foreign}events", "MAXLEN", "0", "*", "a", "b"),
            ("SCAN", "0"),
            ("KEYS", "*"),
            ("XRANGE", f"{own}events", "-", "+"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words)
    await mine.close()
    await other.close()


def test_no_secret_is_in_the_operators_log(place: Place) -> None:
    place.make()
    log = place.installation.operators[0].log.read_text()
    assert "applied" in log
    assert "planted" not in log
    for secret in (place.runner().password, place.runner().redis_password, place.installation.key):
        assert secret not in log


def not_ours(fields: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    """Leaves of an object that are not in our field manager's entry."""
    if not fields:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if f"f:{key}" not in fields:
                yield f"{path}.{key}"
            else:
                yield from not_ours(fields[f"f:{key}"], inner, f"{path}.{key}")
    elif isinstance(value, list):
        keys = [(json.loads(name[2:]), owned) for name, owned in fields.items() if name.startswith("k:")]
        for element in value:
            owned = next((o for key, o in keys if all(element.get(k) == v for k, v in key.items())), None)
            if owned is None:
                yield f"{path}[]"
            else:
                yield from not_ours(owned, element, f"{path}[]")


def test_builders_leave_no_default_to_the_api_server(place: Place) -> None:
    place.make()
    for kind, name in CHILDREN:
        body = json.loads(place.kubectl("get", kind, name, "-o", "json", "--show-managed-fields"))
        (entry,) = [m for m in body["metadata"]["managedFields"] if m["manager"] == "botfleet-operator"]
        content = {k: v for k, v in body.items() if k not in ("apiVersion", "kind", "metadata", "status")}
        assert list(not_ours(entry["fieldsV1"], content, kind)) == []
