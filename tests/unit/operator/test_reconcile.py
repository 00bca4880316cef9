"""Whole reconciles: from what the watches show to objects, roles, users and a status."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from botfleet.keys import Purpose, password
from botfleet.store.errors import StoreUnavailable
from botfleet.store.lease import LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import UpdateState
from botfleet.store.tables import bindings, update_states
from botfleet_operator.decide import KINDS, decide
from botfleet_operator.kubeapi import ConflictError, ForbiddenError, InvalidError, ServerSideError
from botfleet_operator.ledger import InUse, StillHeldError
from botfleet_operator.model import BotKey
from botfleet_operator.plan import Identity
from botfleet_operator.world import child_name
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig
from tests.unit.operator.samples import KEY, account


async def test_a_bot_is_made_once_and_then_left_alone(rig: Rig) -> None:
    rig.show()
    status = await rig.reconcile()
    assert rig.reason(status, "Provisioned") == "Provisioned"
    kinds = [kind for verb, kind, _ in rig.api.writes() if verb == "apply"]
    assert kinds == ["ServiceAccount", "NetworkPolicy", "ConfigMap", "Secret", "Deployment"]
    assert len(rig.roles.roles) == len(rig.users.users) == 1
    before = len(rig.api.calls)
    for _ in range(10):
        await rig.reconcile()
    assert rig.api.calls[before:] == []


async def test_who_does_not_lead_changes_nothing(rig: Rig) -> None:
    rig.show()
    rig.leading = False
    assert await rig.reconcile() == {}
    assert rig.api.writes() == []
    assert rig.roles.roles == {}


async def test_a_new_bot_says_that_the_database_is_away_and_is_made_when_it_is_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise StoreUnavailable("away")

    rig.show()
    with monkeypatch.context() as outage:
        outage.setattr(rig.ledger, "ensure_identity", away)
        assert rig.reason(await rig.reconcile(), "Provisioned") == "DatabaseUnavailable"
    assert rig.reason(await rig.reconcile(), "Provisioned") == "Provisioned"


async def test_what_was_refused_between_two_terms_as_leader_is_looked_at_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botfleet_operator.reconcile._CONFLICT_SECONDS", 0.01)
    rig.show()
    await rig.woken()
    rig.leading = False
    await rig.reconcile()
    rig.leading = True  # the answer to a renewal came late
    async with asyncio.timeout(20):
        key = await rig.queue.get()
    await rig.reconciler.handle(key)
    assert len(rig.roles.roles) == 1


async def test_the_credentials_are_the_same_after_a_loss_and_a_restart(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    first = rig.api.objects[("Secret", "hotel", "concierge-botfleet")]["data"]
    again = Rig(rig.store, "00000000")
    await again.ledger.load()
    identity = again.ledger.identity_of(KEY_OF, "uid-1")
    assert identity is not None
    assert again.ledger.own_secrets(identity) == rig.ledger.own_secrets(identity)
    expected = password(KEY, identity.bot_id, Purpose.DATABASE_PASSWORD, 1)
    assert again.ledger.own_secrets(identity).database_password == expected
    assert "planted" not in str(first)
    assert expected not in repr(again.ledger.own_secrets(identity))


async def test_a_refused_write_is_told_and_tried_again_later(rig: Rig) -> None:
    rig.show()
    rig.api.errors["apply"] = ServerSideError("boom", status=500, retry_after=60)
    status = await rig.reconcile()
    assert rig.reason(status, "Provisioned") == "ApplyFailed"
    assert "HTTP 500" in str(status)
    del rig.api.errors["apply"]
    assert rig.reason(await rig.reconcile(), "Provisioned") == "Provisioned"


async def test_an_error_outside_the_steps_is_counted_and_ends_no_worker(rig: Rig) -> None:
    rig.show()
    rig.api.errors["patch"] = ForbiddenError("no", status=403)
    await rig.reconcile()
    assert rig.metrics.reconciles.labels("error")._value.get() == 1


async def test_without_redis_the_bot_is_made_and_without_database_it_is_not(rig: Rig) -> None:
    rig.show()
    rig.users.away = True
    status = await rig.reconcile()
    assert rig.reason(status, "Provisioned") == "RedisUnavailable"
    assert ("apply", "Deployment", "concierge") in rig.api.writes()
    other = rig.show("second", "uid-2", account=account("second"))
    rig.roles.away = True
    rig.world.secrets._store(replace(samples.secret("second", token="77:AAx"), name="second"))
    assert rig.reason(await rig.reconcile(other.name), "Provisioned") == "DatabaseUnavailable"
    assert ("apply", "Deployment", "second") not in rig.api.writes()


async def test_missing_and_unlabelled_secrets_are_told_apart_by_one_look(rig: Rig) -> None:
    rig.show(account=account("nowhere"))
    assert rig.reason(await rig.reconcile(), "Accepted") == "SecretMissing"
    rig.api.store("Secret", {"metadata": {"namespace": "hotel", "name": "nowhere", "labels": {}}})
    assert rig.reason(await rig.reconcile(), "Accepted") == "SecretNotLabelled"
    labels = {"botfleet.dev/credentials": "true"}
    rig.api.store("Secret", {"metadata": {"namespace": "hotel", "name": "nowhere", "labels": labels}})
    assert rig.reason(await rig.reconcile(), "Accepted") == "SecretNotLabelled"  # its news is on its way
    assert rig.api.writes() == [w for w in rig.api.writes() if w[1] == "TelegramBot"]


async def test_the_second_bot_of_an_account_waits_for_the_first(rig: Rig) -> None:
    rig.show("first", "uid-1", account=account("concierge"))
    rig.show("second", "uid-2", account=account("concierge"))
    await rig.reconcile("first")
    assert rig.reason(await rig.reconcile("second"), "Accepted") == "AccountInUse"
    while len(rig.queue):
        rig.queue.done(await rig.queue.get())
    rig.hide("first", "uid-1")
    await rig.reconcile("first")
    assert (rig.roles.roles, list(rig.ledger.living())) == ({}, [BotKey("hotel", "second")])
    assert [await rig.queue.get() for _ in range(len(rig.queue))] == [
        BotKey("hotel", "first"),
        BotKey("hotel", "second"),
    ]
    assert rig.reason(await rig.reconcile("second"), "Accepted") == "Accepted"


async def test_an_account_that_becomes_free_while_the_answer_that_it_is_in_use_is_on_its_way_is_asked_for_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.show("first", "uid-1", account=account("concierge"))
    rig.show("second", "uid-2", account=account("concierge"))
    await rig.reconcile("first")
    honest = rig.ledger.bind

    async def late(identity: Identity, account_key: str, digest: str) -> InUse | None:
        answer = await honest(identity, account_key, digest)
        rig.hide("first", "uid-1")
        await rig.reconcile("first")
        return answer

    monkeypatch.setattr(rig.ledger, "bind", late)
    await rig.woken()
    assert rig.reason(await rig.reconcile("second"), "Accepted") == "AccountInUse"
    monkeypatch.undo()
    assert BotKey("hotel", "second") in await rig.woken()
    assert rig.reason(await rig.reconcile("second"), "Accepted") == "Accepted"
    rig.ledger.freed("bot:4242")
    assert await rig.woken() == [], "nobody waits for what it has"


async def test_a_proved_new_credential_frees_the_old_account(rig: Rig) -> None:
    record = rig.show()
    await rig.reconcile()
    identity = rig.ledger.identity_of(KEY_OF, "uid-1")
    assert identity is not None
    freed: list[str] = []
    rig.ledger.freed = freed.append
    await rig.ledger.prove(identity, "bot:4242")
    await rig.ledger.bind(identity, "bot:5", "d" * 64)
    assert freed == []
    await rig.ledger.prove(identity, "bot:5")
    assert freed == ["bot:4242"]
    assert [b.account_key for b in rig.ledger.bound_to(identity.bot_id)] == ["bot:5"]
    await rig.ledger.prove(identity, "bot:6")  # never bound
    assert record.uid == identity.uid


async def test_an_account_is_proved_and_its_state_follows_once_the_bot_that_had_it_is_surely_gone(rig: Rig) -> None:
    rig.show("first", "uid-1", account=account("concierge"))
    await rig.reconcile("first")
    first = rig.ledger.identity_of(BotKey("hotel", "first"), "uid-1")
    assert first is not None
    leases = LeaseRepository(rig.store, first.bot_id)
    lease = await leases.acquire("pod", 60)
    assert lease is not None
    await MessagePath(rig.store, lease, 4242).set_baseline(UpdateState(70))
    second = await rig.ledger.ensure_identity(BotKey("hotel", "second"), "uid-2", "d" * 64)
    async with rig.store.begin() as connection:  # as after a rotation that nobody has proved in time
        taken = {"bot_id": second.bot_id, "credential_digest": "d" * 64, "moving": True}
        await connection.execute(sa.update(bindings).values(**taken))
    with pytest.raises(StillHeldError):
        await rig.ledger.prove(second, "bot:4242")
    await leases.release(lease)
    await rig.ledger.prove(second, "bot:4242")
    async with rig.store.read() as connection:
        states = (await connection.execute(sa.select(update_states.c.bot_id, update_states.c.pts))).all()
    assert [tuple(row) for row in states] == [(second.bot_id, 70)]


async def test_a_mistake_in_one_bot_delays_that_bot_alone(rig: Rig, monkeypatch: Any) -> None:
    rig.show()
    rig.show("second", "uid-2")
    honest = decide

    def mistaken(observed: Any) -> Any:
        if observed.bot.name == "concierge":
            raise KeyError("planted")
        return honest(observed)

    monkeypatch.setattr("botfleet_operator.reconcile.decide", mistaken)
    with capture_logs() as logs:
        assert await rig.reconcile() == {}
        assert rig.reason(await rig.reconcile("second"), "Accepted") == "Accepted"
    (line,) = [line for line in logs if line["event"] == "reconcile_broken"]
    assert (line["bot"], line["error"]) == ("concierge", "KeyError")
    assert "planted" not in str(line)
    assert rig.metrics.reconciles.labels("broken")._value.get() == 1
    assert rig.queue._failures == {KEY_OF: 1}


async def test_a_status_that_met_a_conflict_is_written_without_waiting_for_news(rig: Rig) -> None:
    rig.show()
    rig.api.errors["patch"] = ConflictError("somebody was faster", status=409)
    assert await rig.reconcile() == {}
    del rig.api.errors["patch"]
    assert rig.queue._due.keys() == {KEY_OF}, "it comes back by itself"
    assert rig.reason(await rig.reconcile(), "Provisioned") == "Provisioned"


async def test_a_bot_that_is_gone_before_the_watch_says_so_is_no_fight_with_the_garbage_collector(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    del rig.api.objects[("TelegramBot", "hotel", "concierge")]
    apply = rig.api.apply

    async def collected(resource: Any, namespace: str, name: str, manifest: Any, **options: Any) -> dict[str, Any]:
        made = await apply(resource, namespace, name, manifest, **options)
        collect()
        return made

    def collect() -> None:
        for children in rig.world.children.values():
            for child in list(children):
                children._drop((child.namespace, child.name), child.version)

    rig.api.apply = collected
    collect()
    before = len(rig.api.writes())
    await rig.reconcile()
    assert len(rig.api.writes()) - before <= 2 * len(rig.world.children), "once, and perhaps a status"
    assert await rig.queue.get() == KEY_OF, "looked at again"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_the_watch_shows_as_free_and_is_not_is_left_alone_and_asked_for_without_a_write(
    rig: Rig, kind: str
) -> None:
    name = child_name(kind, "concierge")
    rig.api.store(kind, {"metadata": {"namespace": "hotel", "name": name}, "data": {"mine": "yes"}})
    before = dict(rig.api.objects[(kind, "hotel", name)])
    rig.show()
    assert rig.reason(await rig.reconcile(), "Accepted") == "NameConflict"
    assert rig.api.objects[(kind, "hotel", name)] == before
    assert ("Deployment", "hotel", "concierge") not in rig.api.objects or kind == "Deployment"
    writes = len(rig.api.writes())
    assert rig.reason(await rig.reconcile(), "Accepted") == "NameConflict"
    assert len(rig.api.writes()) == writes

    del rig.api.objects[(kind, "hotel", name)]
    assert rig.reason(await rig.reconcile(), "Accepted") == "Accepted"
    assert {made for made, _, _ in rig.api.objects} >= set(KINDS)


async def test_a_child_of_its_own_that_the_watch_does_not_show_yet_is_not_made_a_second_time(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    made = {key: body["metadata"]["uid"] for key, body in rig.api.objects.items()}
    for children in rig.world.children.values():
        children._records.clear()
    assert rig.reason(await rig.reconcile(), "Accepted") == "Accepted"
    assert {key: body["metadata"]["uid"] for key, body in rig.api.objects.items()} == made


async def test_the_status_of_a_bot_that_is_gone_is_not_its_successors(rig: Rig) -> None:
    """Made anew under its name before the watch says so: the generation is 1 again, and nothing in it tells of whom it is."""
    rig.show(uid="uid-1")
    rig.api.store("TelegramBot", {"metadata": {"namespace": "hotel", "name": "concierge", "uid": "uid-2"}})
    assert await rig.reconcile() == {}
    assert rig.metrics.reconciles.labels("ok")._value.get() == 1, (
        "nothing went wrong, and the watch tells of the new one"
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_what_somebody_makes_in_a_childs_place_before_the_watch_says_so_is_left_alone(
    rig: Rig, kind: str
) -> None:
    rig.show()
    await rig.reconcile()
    name = child_name(kind, "concierge")
    rig.api.store(kind, {"metadata": {"namespace": "hotel", "name": name, "uid": "theirs"}, "data": {"mine": "yes"}})
    theirs = dict(rig.api.objects[(kind, "hotel", name)])
    rig.amend(kind, applied_hash="another")
    assert rig.reason(await rig.reconcile(), "Accepted") == "NameConflict"
    assert rig.api.objects[(kind, "hotel", name)] == theirs


@pytest.mark.parametrize("kind", KINDS)
async def test_a_child_that_is_taken_before_the_watch_says_so_is_made_anew_at_once(rig: Rig, kind: str) -> None:
    rig.show()
    await rig.reconcile()
    name = child_name(kind, "concierge")
    del rig.api.objects[(kind, "hotel", name)]
    rig.amend(kind, applied_hash="another")
    assert rig.reason(await rig.reconcile(), "Provisioned") == "Provisioned"
    assert (kind, "hotel", name) in rig.api.objects


async def test_an_apply_that_the_server_finds_invalid_is_told(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.amend("Deployment", applied_hash="another")
    rig.api.errors["apply"] = InvalidError("selector: field is immutable", status=422)
    assert rig.reason(await rig.reconcile(), "Provisioned") == "ApplyFailed"


async def test_a_name_that_becomes_free_between_the_try_and_the_look_is_taken(rig: Rig) -> None:
    apply, taken = rig.api.apply, ["Secret"]

    async def taken_once(resource: Any, namespace: str, name: str, manifest: Any, **options: Any) -> dict[str, Any]:
        if resource.kind in taken:
            taken.clear()
            raise ConflictError("it exists", status=409)
        return await apply(resource, namespace, name, manifest, **options)

    rig.api.apply = taken_once
    rig.show()
    await rig.reconcile()
    assert {kind for kind, _, _ in rig.api.objects} >= set(KINDS)
