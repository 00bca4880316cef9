"""`deletionPolicy: Erase`: nothing of the bot is left but its tombstones, wherever the operator is killed; and never by mistake."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.conditions import Reason
from botfleet.store import erasure
from botfleet.store.bots import BotRepository
from botfleet.store.erasure import ERASED_FIRST, ErasureRepository
from botfleet.store.errors import StoreUnavailable
from botfleet.store.lease import LeaseRepository
from botfleet.store.tables import tombstones
from botfleet_operator import eraser
from botfleet_operator.decide import decide
from botfleet_operator.kubeapi import ServerSideError
from botfleet_operator.model import BotKey, PodRecord
from botfleet_operator.names import FINALIZER_ERASE
from botfleet_operator.plan import Delete, EraseData, LookUpChildren, Observed, SetFinalizer
from botfleet_operator.settings import LONGEST_LEASE_SECONDS
from tests.contracts.store.erasure_contract import counts, fill
from tests.contracts.store.samples import ACCOUNT, OTHER, PERSON
from tests.integration.fleet.killing import KilledError, Killing
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig
from tests.unit.operator.samples import KEY, account

DELETED = "2026-01-01T00:00:00Z"


async def made(rig: Rig, name: str = "concierge", uid: str = "uid-1", rows: int = 3, **spec: Any) -> str:
    """A bot with Erase and data in every table; returns the id of its row."""
    rig.show(name, uid, **{"deletionPolicy": "Erase", **spec})
    await rig.reconcile(name)
    identity = rig.ledger.identity_of(BotKey("hotel", name), uid)
    assert identity is not None
    await fill(rig.store, identity.bot_id, *range(1, rows + 1))
    rig.users.keys.add(identity.bot_id)
    rig.change(name)
    return identity.bot_id


async def settle(rig: Rig, name: str = "concierge", turns: int = 20) -> dict[str, Any]:
    """Reconciles until the object has gone or nothing happens any more."""
    status: dict[str, Any] = {}
    for _ in range(turns):
        status = await rig.reconcile(name)
        if not rig.change(name):
            await rig.reconcile(name)
            return {}
    return status


def finalizers(rig: Rig, name: str = "concierge") -> list[str]:
    found = rig.api.objects[("TelegramBot", "hotel", name)]["metadata"]
    return list(found.get("finalizers") or ())


def erased(status: dict[str, Any]) -> dict[str, Any]:
    return next(c for c in status["conditions"] if c["type"] == "Erased")


def pod(bot: str = "concierge", **changes: Any) -> PodRecord:
    return replace(samples.pod(), bot=bot, **changes)


async def nothing_is_left(rig: Rig, bot_id: str, name: str = "concierge") -> None:
    assert ("TelegramBot", "hotel", name) not in rig.api.objects
    assert set((await counts(rig.store, bot_id)).values()) == {0}
    assert await BotRepository(rig.store).get(bot_id) is None
    assert (rig.users.keys, rig.ledger.identity_at(BotKey("hotel", name))) == (set(), None)
    assert await ErasureRepository(rig.store, KEY).erased(ACCOUNT, [PERSON, OTHER, 4711, 1]) == {PERSON, OTHER, 4711}


async def test_an_erased_bot_leaves_nothing_but_its_tombstones(rig: Rig, monkeypatch: Any) -> None:
    monkeypatch.setattr(erasure, "BATCH", 2)
    monkeypatch.setattr(eraser, "BATCHES_MOST", 3)
    bot_id = await made(rig)
    assert min((await counts(rig.store, bot_id)).values()) >= 1
    rig.change(deletionTimestamp=DELETED)
    status = await rig.reconcile()
    assert (erased(status)["reason"], status["phase"]) == ("Erasing", "Deleting")
    await settle(rig)
    await nothing_is_left(rig, bot_id)
    assert (rig.roles.roles, rig.users.users, rig.world.gone) == ({}, {}, {})
    assert "Deployment" not in {kind for kind, _, _ in rig.api.objects}
    async with rig.store.read() as connection:
        stored = repr((await connection.execute(sa.select(tombstones.c.digest))).all())
    assert "4711" not in stored


async def test_the_finalizer_stands_before_there_is_a_deployment_and_only_while_the_policy_is_erase(rig: Rig) -> None:
    rig.show(deletionPolicy="Erase")
    await rig.reconcile()
    first, *others = [(verb, kind) for verb, kind, _ in rig.api.writes()]
    assert (first, others[0]) == (("patch", "TelegramBot"), ("apply", "ServiceAccount"))
    assert finalizers(rig) == [FINALIZER_ERASE]
    rig.change(finalizers=["somebody/else", FINALIZER_ERASE])
    rig.change(spec={"deletionPolicy": "Retain"})
    await rig.reconcile()
    assert finalizers(rig) == ["somebody/else"]
    rig.change()
    calls = len(rig.api.writes())
    await rig.reconcile()
    assert rig.api.writes()[calls:] == []


async def test_with_retain_there_is_no_finalizer(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    assert finalizers(rig) == []


async def test_until_the_finalizer_stands_nothing_is_made_and_the_status_does_not_say_that_the_policy_is_in_force(
    rig: Rig,
) -> None:
    rig.show(deletionPolicy="Erase")
    honest = rig.api._set_finalizers

    def refused(*_: Any, **__: Any) -> Any:
        raise ServerSideError("boom", status=500)

    rig.api._set_finalizers = refused
    status = await rig.reconcile()
    assert [kind for verb, kind, _ in rig.api.writes() if verb == "apply"] == []
    assert "observedGeneration" not in status
    assert rig.reason(status, "Provisioned") == "ApplyFailed"
    rig.api._set_finalizers = honest
    assert (await rig.reconcile())["observedGeneration"] == 3


async def test_a_finalizer_of_somebody_else_that_came_meanwhile_is_kept(rig: Rig) -> None:
    rig.show(deletionPolicy="Erase")
    key = ("TelegramBot", "hotel", "concierge")
    body = rig.api.objects[key]
    rig.api.store("TelegramBot", {**body, "metadata": {**body["metadata"], "finalizers": ["somebody/else"]}})
    await rig.reconcile()
    assert finalizers(rig) == ["somebody/else", FINALIZER_ERASE]


def test_defaults_may_say_erase_and_when_they_are_gone_during_the_deletion_it_still_is() -> None:
    bot = replace(samples.bot(), finalizers=(FINALIZER_ERASE,), deleting=True)
    assert samples.bot().spec.get("deletionPolicy") is None
    living = samples.settled(defaults={"deletionPolicy": "Erase"})
    assert decide(living).steps == (SetFinalizer(True),)
    assert decide(replace(living, bot=replace(bot, deleting=False))).steps == ()
    kept = replace(bot, spec={**bot.spec, "deletionPolicy": "Retain"})
    for defaults in ({"deletionPolicy": "Erase"}, {}):
        assert decide(samples.provisioned(bot, defaults=defaults)).steps == (EraseData(),)
        assert decide(samples.provisioned(kept, defaults=defaults)).steps == (SetFinalizer(False),)


async def test_a_policy_that_goes_back_to_retain_during_the_deletion_lets_the_object_go_with_its_data(rig: Rig) -> None:
    bot_id = await made(rig)
    rig.users.away = True
    rig.change(deletionTimestamp=DELETED, spec={"deletionPolicy": "Retain"})
    await settle(rig)
    assert ("TelegramBot", "hotel", "concierge") not in rig.api.objects
    row = await BotRepository(rig.store).get(bot_id)
    assert row is not None
    assert row.deleted_at is not None
    assert min((await counts(rig.store, bot_id)).values()) >= 0
    assert (await counts(rig.store, bot_id))["messages"] == 3


async def test_a_finalizer_is_not_taken_away_for_a_spec_that_is_no_longer_so(rig: Rig) -> None:
    bot_id = await made(rig)
    rig.change(spec={"deletionPolicy": "Retain"})
    body = rig.api.objects[("TelegramBot", "hotel", "concierge")]
    metadata = {**body["metadata"], "generation": 5, "deletionTimestamp": DELETED}
    rig.api.store("TelegramBot", {**body, "metadata": metadata, "spec": {**body["spec"], "deletionPolicy": "Erase"}})
    await rig.reconcile()  # the watch has not shown yet that it is to be erased again, and deleted
    assert finalizers(rig) == [FINALIZER_ERASE]
    rig.change()
    await settle(rig)
    await nothing_is_left(rig, bot_id)


async def test_a_finalizer_that_somebody_took_away_erases_nothing(rig: Rig) -> None:
    bot_id = await made(rig)
    rig.hide()
    await rig.reconcile()
    assert (await counts(rig.store, bot_id))["messages"] == 3
    row = await BotRepository(rig.store).get(bot_id)
    assert row is not None
    assert row.deleted_at is not None


async def test_absence_erases_nothing(rig: Rig) -> None:
    bot_id = await made(rig)
    again = await rig.restarted()
    again.world.bots.clear()
    del again.api.objects[("TelegramBot", "hotel", "concierge")]
    for _ in range(3):
        await again.look()
    await again.reconcile()
    assert again.ledger.living() == {}
    assert (await counts(rig.store, bot_id))["messages"] == 3


async def test_without_the_database_the_object_stays_and_says_what_it_waits_for_and_the_way_out(
    rig: Rig, monkeypatch: Any
) -> None:
    bot_id = await made(rig)
    honest = rig.roles.remove

    async def away(role: str) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(rig.roles, "remove", away)
    rig.change(deletionTimestamp=DELETED)
    status = await settle(rig, turns=2)
    assert (status["phase"], erased(status)["reason"]) == ("Deleting", "WaitingForDatabase")
    assert '{"spec":{"deletionPolicy":"Retain"}}' in erased(status)["message"]
    assert finalizers(rig) == [FINALIZER_ERASE]
    monkeypatch.setattr(rig.roles, "remove", honest)
    await settle(rig)
    await nothing_is_left(rig, bot_id)


async def test_without_redis_the_data_is_erased_and_the_object_waits_for_the_rest(rig: Rig) -> None:
    bot_id = await made(rig)
    rig.users.away = True
    rig.change(deletionTimestamp=DELETED)
    status = await settle(rig, turns=2)
    assert (status["phase"], erased(status)["reason"]) == ("Deleting", "WaitingForRedis")
    left = {table for table, rows in (await counts(rig.store, bot_id)).items() if rows}
    assert left == {"bindings", "leases"}
    rig.users.away = False
    await settle(rig)
    await nothing_is_left(rig, bot_id)


async def test_a_runner_that_stops_is_waited_for_and_one_without_the_lease_is_not(rig: Rig, monkeypatch: Any) -> None:
    bot_id = await made(rig)
    leases = LeaseRepository(rig.store, bot_id)
    lease = await leases.acquire("pod-1", 60)
    assert lease is not None
    rig.ledger.heard(await rig.ledger.all_health())
    rig.world.pods._store(pod())
    rig.world._pod_changed(None, pod())
    rig.change(deletionTimestamp=DELETED)
    status = await settle(rig, turns=3)
    assert ("delete", "Deployment", "concierge") in rig.api.writes()
    assert erased(status)["reason"] == "WaitingForRunner"
    assert "--force" in erased(status)["message"]
    assert rig.roles.roles, "it is let finish with its own role"
    assert (await counts(rig.store, bot_id))["messages"] == 3
    await leases.release(lease)
    rig.ledger.heard(await rig.ledger.all_health())  # the pod itself may hang for ever: its node is lost
    await settle(rig)
    await nothing_is_left(rig, bot_id)


def deleted(**changes: Any) -> Observed:
    """A bot with Erase that runs, and whose deletion the watch shows."""
    bot = replace(samples.bot(deletionPolicy="Erase"), deleting=True, finalizers=(FINALIZER_ERASE,))
    running = {"pods": (samples.fresh_pod(bot),), "heartbeat": samples.heartbeat(bot)}
    return samples.settled(bot, **{**running, **changes})


def test_of_a_bot_that_is_erased_the_deployment_is_deleted_though_it_has_lost_its_owner_or_its_labels() -> None:
    whole = deleted()
    child = whole.children["Deployment"]
    others = {kind: one for kind, one in whole.children.items() if kind != "Deployment"}
    alone = replace(child, owned=False, controller_uid=None)
    for found in (child, alone, replace(alone, bot=None)):
        assert decide(replace(whole, children={**others, "Deployment": found})).steps == (Delete(found),)
    unseen = replace(whole, children=others)
    assert decide(replace(unseen, looked_up=False)).steps == (LookUpChildren(("Deployment",)),)
    for left in (replace(alone, fields=None), replace(alone, deleting=True), replace(child, controller_uid="another")):
        assert decide(replace(whole, children={**others, "Deployment": left})).steps == ()


def test_a_runner_that_stops_is_looked_at_again_although_nobody_tells_that_it_has() -> None:
    whole = deleted()
    others = {kind: one for kind, one in whole.children.items() if kind != "Deployment"}
    plan = decide(replace(whole, children=others))
    assert (plan.steps, [verdict.reason for verdict in plan.verdicts]) == ((), [Reason.ERASING_WAITS_FOR_RUNNER])
    assert plan.retry_seconds is not None


@pytest.mark.parametrize("lost", ["owner", "labels", "owner and labels"])
async def test_a_bot_whose_deployment_lost_its_owner_or_its_labels_is_erased_with_it(rig: Rig, lost: str) -> None:
    bot_id = await made(rig)
    leases = LeaseRepository(rig.store, bot_id)
    lease = await leases.acquire("pod-1", 60)
    assert lease is not None
    rig.ledger.heard(await rig.ledger.all_health())
    rig.world._pod_changed(None, pod())
    key = ("Deployment", "hotel", "concierge")
    metadata = {**rig.api.objects[key]["metadata"], "managedFields": rig.api.managed[key]}
    if "owner" in lost:
        del metadata["ownerReferences"]
        rig.amend("Deployment", owned=False, controller_uid=None)
    if "labels" in lost:
        metadata["labels"] = {}
        rig.world.children["Deployment"]._drop(key[1:], rig.api.version)
    rig.api.store("Deployment", {**rig.api.objects[key], "metadata": metadata})
    rig.change(deletionTimestamp=DELETED)
    await settle(rig, turns=3)
    status = await rig.reconcile()
    assert key not in rig.api.objects
    assert erased(status)["reason"] == "WaitingForRunner"
    assert KEY_OF in rig.queue._due, "it comes back by itself"
    await leases.release(lease)
    rig.world._pod_changed(pod(), None)
    await settle(rig)
    await nothing_is_left(rig, bot_id)


async def test_without_an_answer_where_the_deployment_is_nothing_is_erased(rig: Rig) -> None:
    bot_id = await made(rig)
    rig.world._pod_changed(None, pod())
    rig.world.children["Deployment"]._drop(("hotel", "concierge"), rig.api.version)
    rig.change(deletionTimestamp=DELETED)
    rig.api.errors["get"] = ServerSideError("boom", status=500)
    await settle(rig, turns=3)
    assert (await counts(rig.store, bot_id))["messages"] == 3
    assert rig.roles.roles
    del rig.api.errors["get"]
    await settle(rig)
    assert ("Deployment", "hotel", "concierge") not in rig.api.objects
    await nothing_is_left(rig, bot_id)


async def test_a_lease_of_which_no_news_has_come_yet_is_asked_for_before_the_runner_is_locked_out(rig: Rig) -> None:
    bot_id = await made(rig)
    assert await LeaseRepository(rig.store, bot_id).acquire("pod-1", 60)
    rig.world._pod_changed(None, pod())
    rig.change(deletionTimestamp=DELETED)
    await settle(rig, turns=3)
    assert rig.roles.roles
    assert (await counts(rig.store, bot_id))["messages"] == 3


async def test_an_erasing_that_was_called_off_lets_the_next_runner_of_the_data_end_as_it_should(
    rig: Rig, monkeypatch: Any
) -> None:
    bot_id = await made(rig)
    rig.users.away = True
    rig.change(deletionTimestamp=DELETED)
    await settle(rig, turns=2)
    rig.change(spec={"deletionPolicy": "Retain"})
    rig.users.away = False
    await settle(rig)
    rig.show(uid="uid-2", deletionPolicy="Erase")
    await rig.reconcile()
    back = rig.ledger.identity_of(KEY_OF, "uid-2")
    assert back is not None
    assert back.bot_id == bot_id
    later = time.monotonic() + 2 * LONGEST_LEASE_SECONDS
    monkeypatch.setattr("botfleet_operator.lockout.time.monotonic", lambda: later)
    assert await LeaseRepository(rig.store, bot_id).acquire("pod-1", 60)
    rig.world._pod_changed(None, pod())
    rig.change()
    rig.change(deletionTimestamp=DELETED)
    await settle(rig, turns=3)
    assert rig.roles.roles, "not locked out yet"


async def test_data_is_erased_only_when_the_lease_is_over_although_no_pod_is_seen(rig: Rig, monkeypatch: Any) -> None:
    bot_id = await made(rig)
    left = [5.0]

    async def seconds(_: Any) -> float:
        return left[0]

    monkeypatch.setattr(rig.ledger, "lease_seconds", seconds)
    rig.change(deletionTimestamp=DELETED)
    await settle(rig, turns=2)
    assert rig.roles.roles == {}
    assert (await counts(rig.store, bot_id))["messages"] == 3
    left[0] = 0
    await settle(rig)
    await nothing_is_left(rig, bot_id)


@pytest.mark.parametrize("state", ["suspended", "refused", "paused", "crash-looping"])
async def test_erasing_works_from_any_state(rig: Rig, state: str) -> None:
    bot_id = await made(rig)
    if state == "suspended":
        rig.change(spec={"suspend": True})
    elif state == "refused":
        rig.change(spec={"persona": {"prompt": " "}})
    elif state == "paused":
        rig.change(annotations={"botfleet.dev/paused": "true"})
    else:
        rig.world._pod_changed(None, pod(running=False, ended=True))
    await rig.reconcile()
    rig.change(deletionTimestamp=DELETED)
    await settle(rig)
    await nothing_is_left(rig, bot_id)


async def test_an_erased_account_is_free_for_a_bot_that_waits_for_it(rig: Rig) -> None:
    await made(rig, "first", "uid-1", account=account("concierge"))
    rig.show("second", "uid-2", account=account("concierge"))
    assert rig.reason(await rig.reconcile("second"), "Accepted") == "AccountInUse"
    rig.change("first", deletionTimestamp=DELETED)
    await settle(rig, "first")
    assert rig.reason(await rig.reconcile("second"), "Accepted") == "Accepted"


@pytest.mark.timeout(300)  # minutes on a machine with other work to do
async def test_killed_between_any_two_calls_it_ends_in_the_same_state(rig: Rig, monkeypatch: Any) -> None:
    kills = 0
    for last in range(1, 1000):
        bot_id = await made(rig, rows=1)
        rig.change(deletionTimestamp=DELETED)
        with monkeypatch.context() as patch:
            Killing(rig, last).arm(patch)
            try:
                await settle(rig)
                break
            except KilledError:
                kills += 1
        rig = await rig.restarted()
        await settle(rig)
        await nothing_is_left(rig, bot_id)
        assert (rig.roles.roles, rig.users.users) == ({}, {})
        rig.api.objects.clear()  # what the garbage collector does
        rig = await rig.restarted()
    assert kills > len(ERASED_FIRST), "between any two tables too"
