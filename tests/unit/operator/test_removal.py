"""What goes with a bot, what stays, and when nothing may be removed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from botfleet.store.binding import BindingRepository, Bound
from botfleet.store.bots import Bot, BotRepository
from botfleet.store.errors import StoreError
from botfleet_operator.decide import KINDS
from botfleet_operator.kubeapi import ForbiddenError, NotFoundError, NotLeadingError, ServerSideError
from botfleet_operator.ledger import StillHeldError
from botfleet_operator.model import BotKey
from botfleet_operator.provision.bus import BusUnavailableError
from botfleet_operator.provision.database import RoleStaysError
from botfleet_operator.removal import too_many
from botfleet_operator.settings import LONGEST_LEASE_SECONDS
from botfleet_operator.world import child_name
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig
from tests.unit.operator.samples import DIGEST


async def test_a_deleted_bot_leaves_its_data_and_its_successor_gets_it_by_credential(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    identity = rig.ledger.identity_of(KEY_OF, "uid-1")
    assert identity is not None
    rig.hide()
    await rig.reconcile()
    assert (rig.roles.roles, rig.users.users, rig.ledger.living(), rig.world.gone) == ({}, {}, {}, {})
    row = await BotRepository(rig.store).get(identity.bot_id)
    assert row is not None
    assert row.deleted_at is not None
    back = await rig.ledger.ensure_identity(KEY_OF, "uid-2", DIGEST)
    assert back.bot_id == identity.bot_id
    with pytest.raises(StillHeldError):
        await rig.ledger.ensure_identity(KEY_OF, "uid-3", "another")
    same = await rig.ledger.ensure_identity(KEY_OF, "uid-3", DIGEST)
    assert (same.bot_id, same.uid) == (identity.bot_id, "uid-3")


async def test_a_deletion_waits_for_no_redis(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.users.away = True
    rig.hide()
    await rig.reconcile()
    assert rig.ledger.living() == {}
    rig.users.away = False
    await rig.look()
    assert rig.users.users == {}


async def test_what_was_deleted_unseen_is_removed_after_two_looks_a_pass_apart(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    unseen = Rig(rig.store, "x")
    unseen.roles, unseen.users = rig.roles, rig.users
    unseen.api.store("TelegramBot", {"metadata": {"namespace": "hotel", "name": "other", "uid": "o"}})
    await unseen.ledger.load()
    await unseen.look()
    await unseen.look(after=10)
    assert unseen.world.gone == {}
    await unseen.look(after=50)
    assert unseen.world.gone == {"uid-1": KEY_OF}
    await unseen.reconcile()
    assert unseen.ledger.living() == {}


async def test_bots_of_namespaces_that_are_not_watched_are_nobodys_to_remove(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    elsewhere = Rig(rig.store, "x")
    elsewhere.roles, elsewhere.users = rig.roles, rig.users
    elsewhere.sweeper._namespaces = ("shop",)
    await elsewhere.ledger.load()
    for _ in range(3):
        await elsewhere.look()
    assert elsewhere.world.gone == {}
    assert len(elsewhere.roles.roles) == 1


async def test_nothing_is_removed_on_the_word_of_an_error_another_cluster_or_a_missing_kind(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.world.bots.clear()
    rig.api.objects.clear()
    rig.api.errors["list"] = ServerSideError("etcd", status=500)
    for _ in range(3):
        with pytest.raises(ServerSideError):
            await rig.look()
    del rig.api.errors["list"]
    rig.api.hidden = True
    for _ in range(3):
        with pytest.raises(Exception, match="no such resource"):
            await rig.look()
    rig.api.hidden = False
    rig.still_there = False  # the address leads to another cluster by now
    for _ in range(3):
        await rig.look()
    rig.still_there, rig.sweeper._same_cluster = True, False  # the database is another cluster's, or nobody knows
    for _ in range(3):
        await rig.look()
    assert rig.world.gone == {}
    assert len(rig.roles.roles) == 1


async def test_a_bot_that_comes_back_between_two_looks_is_kept(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    found = rig.api.objects.pop(("TelegramBot", "hotel", "concierge"))
    rig.world.bots.clear()
    await rig.look()
    assert rig.sweeper._missing
    rig.api.objects[("TelegramBot", "hotel", "concierge")] = found
    await rig.look()
    assert rig.sweeper._missing == {}


@pytest.mark.parametrize("shown", [False, True], ids=["never shown by the watch", "shown before"])
async def test_a_fleet_that_vanishes_at_once_is_a_matter_for_a_person(rig: Rig, shown: bool) -> None:
    for number in range(12):
        if shown:
            rig.show(f"bot-{number}", f"uid-{number}")
        await rig.ledger.ensure_identity(BotKey("hotel", f"bot-{number}"), f"uid-{number}", f"digest-{number}")
    rig.api.objects.clear()
    for _ in range(3):
        await rig.look()
    assert rig.world.gone == {}
    assert rig.metrics.removal_halted._value.get() == 1


def test_the_limit_is_more_than_ten_and_more_than_a_fifth() -> None:
    assert [too_many(*case) for case in ((10, 10), (11, 12), (11, 55), (12, 55), (200, 1000), (201, 1000))] == [
        False, True, False, True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["of this cluster", "of an unknown one"])
async def test_a_deletion_whose_event_was_lost_is_found_by_two_looks(rig: Rig, known: bool) -> None:
    rig.sweeper._same_cluster = known
    rig.show()
    await rig.reconcile()
    rig.api.objects.pop(("TelegramBot", "hotel", "concierge"))
    await rig.look()
    assert KEY_OF in rig.world.bots
    await rig.look()
    assert KEY_OF not in rig.world.bots
    await rig.reconcile()
    assert rig.ledger.living() == {}


async def test_a_bot_that_is_made_while_the_list_is_read_is_not_missing_from_it(rig: Rig) -> None:
    read = rig.api.list_pages

    async def slowly(*words: Any, **named: Any) -> Any:
        async for page in read(*words, **named):
            for number in range(12):
                rig.show(f"bot-{number}", f"uid-{number}")
            yield page

    rig.api.list_pages = slowly
    await rig.look()
    assert (rig.sweeper._missing, rig.metrics.removal_halted._value.get()) == ({}, 0)


async def test_a_leader_that_was_cut_off_amid_a_removal_takes_nothing_from_the_next_object(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    bots = BotRepository(rig.store)
    remove = rig.users.remove

    async def frozen(user: str) -> None:
        await remove(user)
        row = await bots.living_or_retained("hotel", "concierge", "")
        assert row is not None
        assert await bots.adopt(row.id, "uid-2", was="uid-1")  # another leader, for the object that was made anew

    rig.users.remove = frozen
    rig.hide()
    await rig.reconcile()
    row = await bots.living_or_retained("hotel", "concierge", "")
    assert row is not None
    assert (row.uid, row.deleted_at) == ("uid-2", None)
    assert len(await BindingRepository(rig.store).of_bot(row.id)) == 1


async def test_a_row_that_a_late_call_gave_back_to_a_gone_object_is_retired_too_and_its_account_is_free(
    rig: Rig,
) -> None:
    rig.show()
    await rig.reconcile()
    identity = rig.ledger.living()[KEY_OF]
    bots = BotRepository(rig.store)
    assert await bots.adopt(identity.bot_id, "uid-0", was="uid-1")
    rig.hide()
    await rig.reconcile()
    row = await bots.get(identity.bot_id)
    assert row is not None
    assert (row.uid, row.deleted_at) == ("uid-0", None), "whose it is, is not known: perhaps it lives"
    await rig.look()
    await rig.look()
    await rig.reconcile()
    row = await bots.get(identity.bot_id)
    assert row is not None
    assert row.deleted_at is not None
    rig.show("other", "uid-9")
    assert rig.reason(await rig.reconcile("other"), "Accepted") == "Accepted"


async def test_a_living_row_with_another_credential_that_memory_lacks_gives_way_to_the_bot(rig: Rig) -> None:
    bots, bindings = BotRepository(rig.store), BindingRepository(rig.store)
    left = await bots.create("hotel", "concierge", "uid-0", rig.installation_id)
    assert isinstance(await bindings.bind(left.id, "bot:99", "another", datetime.now(UTC)), Bound)
    freed: list[str] = []
    rig.ledger.freed = freed.append
    rig.show(uid="uid-2")
    for _ in range(2):
        status = await rig.reconcile()
    row = await bots.get(left.id)
    assert row is not None
    assert row.deleted_at is not None
    assert (await bindings.of_bot(left.id), freed) == ([], ["bot:99"])
    assert rig.ledger.living()[KEY_OF].bot_id != left.id
    assert rig.reason(status, "Provisioned") == "Provisioned"


async def test_a_row_that_was_made_although_the_answer_was_lost_is_taken_in_with_its_accounts(rig: Rig) -> None:
    made = await BotRepository(rig.store).create("hotel", "concierge", "uid-1", rig.installation_id)
    await BindingRepository(rig.store).bind(made.id, "bot:99", "another", datetime.now(UTC))
    rig.show()
    await rig.reconcile()
    assert rig.ledger.living()[KEY_OF].bot_id == made.id
    bound = [account.account_key for account in rig.ledger.bound_to(made.id)]
    assert (bound[0], len(bound)) == ("bot:99", 2)


async def test_a_row_that_another_leader_gave_to_its_object_meanwhile_is_not_taken_from_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.show()
    await rig.reconcile()
    bots = BotRepository(rig.store)
    honest = rig.ledger._bots.living_or_retained

    async def frozen(*words: str) -> Bot | None:
        found = await honest(*words)
        assert found is not None
        assert await bots.adopt(found.id, "uid-3", was="uid-1")
        return found

    monkeypatch.setattr(rig.ledger._bots, "living_or_retained", frozen)
    with pytest.raises(StillHeldError):
        await rig.ledger.ensure_identity(KEY_OF, "uid-2", DIGEST)
    assert [bot.uid for bot in await bots.list_all()] == ["uid-3"]


async def test_a_row_that_somebody_else_has_erased_is_forgotten_for_its_successors(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    gone = rig.ledger.living()[KEY_OF]
    freed: list[str] = []
    rig.ledger.freed = freed.append
    await BotRepository(rig.store).erase(gone.bot_id)
    rig.show(uid="uid-2")
    await rig.reconcile()
    assert rig.ledger.living()[KEY_OF].bot_id != gone.bot_id
    assert (rig.ledger.name_of(gone.bot_id), rig.ledger.bound_to(gone.bot_id), len(freed)) == (None, (), 1)


async def test_a_role_whose_removal_ended_half_way_is_made_anew(rig: Rig, monkeypatch: Any) -> None:
    rig.show()
    await rig.reconcile()
    monkeypatch.setattr(rig.roles, "half", True)
    rig.hide()
    await rig.reconcile()
    (role,) = rig.roles.roles
    assert rig.roles.roles[role] == 0, "it is there, and nobody can log in"
    monkeypatch.setattr(rig.roles, "half", False)
    rig.show(uid="uid-2")
    await rig.reconcile()
    assert rig.roles.roles[role] == 1


async def test_the_account_stays_bound_while_the_old_runner_may_be_connected(rig: Rig, monkeypatch: Any) -> None:
    rig.show()
    await rig.reconcile()
    left = [5.0]

    async def seconds(_: Any) -> float:
        return left[0]

    monkeypatch.setattr(rig.ledger, "lease_seconds", seconds)
    rig.hide()
    await rig.reconcile()
    assert len(rig.ledger.living()) == 1
    assert rig.roles.roles == {}
    left[0] = 0
    await rig.reconcile()
    assert rig.ledger.living() == {}


async def test_a_lease_that_was_written_far_into_the_future_binds_the_account_no_longer_than_a_term(
    rig: Rig, monkeypatch: Any
) -> None:
    rig.show()
    await rig.reconcile()

    async def seconds(_: Any) -> float:
        return 1e9

    monkeypatch.setattr(rig.ledger, "lease_seconds", seconds)
    rig.hide()
    await rig.reconcile()
    assert len(rig.ledger.living()) == 1
    later = time.monotonic() + LONGEST_LEASE_SECONDS
    monkeypatch.setattr("botfleet_operator.removal.time.monotonic", lambda: later)
    await rig.reconcile()
    assert rig.ledger.living() == {}


async def test_a_bot_made_anew_with_another_token_while_nobody_looked_takes_its_predecessors_place(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    after = Rig(rig.store, "x")
    after.roles, after.users = rig.roles, rig.users
    await after.ledger.load()
    after.sweeper._same_cluster = False  # nothing but the name tells that the first is gone
    after.show(uid="uid-2")
    after.world.secrets._store(replace(samples.secret("concierge", token="5:another"), version=50))
    for _ in range(3):
        await after.reconcile()
    identity = after.ledger.identity_at(KEY_OF)
    assert identity is not None
    assert identity.uid == "uid-2"
    assert [account.account_key for account in after.ledger.bound_to(identity.bot_id)] == ["bot:5"]


async def test_a_leftover_that_a_bot_got_back_meanwhile_is_not_removed(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    (role,), (user,) = rig.roles.roles, rig.users.users
    assert not await rig.ledger.remove_leftover_role(role)
    assert not await rig.ledger.remove_leftover_user(user)
    assert (list(rig.roles.roles), list(rig.users.users)) == ([role], [user])


async def test_a_leftover_that_cannot_be_removed_keeps_no_other_and_is_told_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of roles are free: another installation of the server may have made one that is called like one of ours."""
    remove = rig.roles.remove

    async def refused(role: str) -> None:
        if role.endswith("_foreign"):
            raise StoreError("InsufficientPrivilege 42501: permission denied to drop role")
        await remove(role)

    monkeypatch.setattr(rig.roles, "remove", refused)
    with structlog.testing.capture_logs() as told:
        for name in ("left", "again"):
            rig.roles.roles = {"bf_x_a_foreign": 0, f"bf_x_{name}": 1}
            rig.users.users = {f"bf_x_{name}": "on"}
            await rig.sweeper.once()
            assert (list(rig.roles.roles), rig.users.users) == (["bf_x_a_foreign"], {})
    assert [line["role"] for line in told if line["event"] == "leftover_role_stays"] == ["bf_x_a_foreign"]


async def test_a_role_that_cannot_be_dropped_is_locked_out_holds_nothing_up_and_works_again_under_its_bot(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.show()
    await rig.reconcile()
    (role,) = rig.roles.roles

    async def locked_out(name: str) -> None:
        rig.roles.roles[name] = 0
        raise RoleStaysError("the role has rights in another database of the server")

    monkeypatch.setattr(rig.roles, "remove", locked_out)
    rig.hide()
    with structlog.testing.capture_logs() as told:
        await rig.reconcile()
        for _ in range(3):
            await rig.sweeper.once()
    assert (rig.ledger.living(), rig.users.users, rig.roles.roles) == ({}, {}, {role: 0})
    events = [line["event"] for line in told if line["log_level"] == "warning"]
    assert events == ["role_stays_locked_out", "leftover_role_stays"]
    rig.show(uid="uid-2")
    await rig.reconcile()
    assert rig.roles.roles == {role: 1}


async def strays(rig: Rig) -> list[tuple[str, str]]:
    """Kinds and names of what two looks, a pass apart, delete."""
    before = len(rig.api.calls)
    await rig.look()
    await rig.look()
    return [(kind, name) for verb, kind, name in rig.api.calls[before:] if verb == "delete"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_child_that_lost_its_owner_goes_with_the_bot_all_the_same_and_what_has_one_is_left_to_kubernetes(
    rig: Rig, kind: str
) -> None:
    rig.show()
    await rig.reconcile()
    rig.amend(kind, owned=False, controller_uid=None)
    assert await strays(rig) == [], "its bot is there, and repairs it"
    rig.hide()
    await rig.reconcile()
    assert await strays(rig) == [(kind, child_name(kind, "concierge"))]


@pytest.mark.parametrize("changed", [{"fields": None}, {"owned": True}, {"deleting": True}, {"bot": None}])
async def test_nothing_else_without_a_bot_is_a_stray(rig: Rig, changed: dict[str, Any]) -> None:
    rig.show()
    await rig.reconcile()
    rig.amend("ConfigMap", **{"owned": False, "controller_uid": None} | changed)
    rig.hide()
    await rig.reconcile()
    assert await strays(rig) == []


async def lost_owners(rig: Rig, *kinds: str, name: str = "concierge", uid: str = "uid-1", **spec: Any) -> None:
    """A bot is made, somebody takes the owner from these of its children, and it is deleted."""
    rig.show(name, uid, **spec)
    await rig.reconcile(name)
    for kind in kinds:
        rig.amend(kind, name, owned=False, controller_uid=None)
    rig.hide(name, uid)
    await rig.reconcile(name)


def protect(rig: Rig, monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    """An admission policy lets nobody delete this object."""
    delete = rig.api.delete

    async def refused(resource: Any, namespace: str, object_name: str, *, uid: str) -> None:
        if (resource.kind, object_name) == (kind, name):
            raise ForbiddenError("admission webhook denied the request", status=403)
        await delete(resource, namespace, object_name, uid=uid)

    monkeypatch.setattr(rig.api, "delete", refused)


async def test_a_stray_that_cannot_be_deleted_keeps_no_other_and_is_told_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lost_owners(rig, "NetworkPolicy", "Deployment", name="first", uid="uid-8")
    await lost_owners(rig, "ServiceAccount", name="second", uid="uid-9")
    protect(rig, monkeypatch, "NetworkPolicy", "first")
    with structlog.testing.capture_logs() as told:
        assert await strays(rig) == [("Deployment", "first"), ("ServiceAccount", "second")]
        await rig.look()
    told_of = [(line["kind"], line["name"]) for line in told if line["event"] == "stray_stays"]
    assert told_of == [("NetworkPolicy", "first")]


async def test_where_a_stray_deployment_cannot_be_deleted_its_pods_keep_their_policy(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lost_owners(rig, *KINDS, name="first", uid="uid-8")
    await lost_owners(rig, *KINDS, name="second", uid="uid-9")
    protect(rig, monkeypatch, "Deployment", "first")
    assert {name.removesuffix("-botfleet") for _, name in await strays(rig)} == {"second"}


async def test_a_look_for_strays_ends_where_this_replica_leads_no_longer(rig: Rig) -> None:
    await lost_owners(rig, "ConfigMap")
    await rig.look()
    rig.leading = False
    with pytest.raises(NotLeadingError):
        await rig.look()
    assert ("ConfigMap", "hotel", "concierge") in rig.api.objects


async def test_strays_go_while_redis_is_away(rig: Rig) -> None:
    await lost_owners(rig, "Deployment")
    rig.users.away = True
    for _ in range(2):
        with suppress(BusUnavailableError):
            await rig.look()
    assert ("Deployment", "hotel", "concierge") not in rig.api.objects


REFUSED: dict[str, dict[str, Any]] = {
    "a spec without sense": {"persona": {"prompt": " "}},
    "a rule that is not allowed": {"network": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}},
    "an account that another has": {"account": samples.account("taken")},
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_bot_that_is_not_accepted_keeps_nothing_alive_that_its_predecessor_left_without_an_owner(
    rig: Rig, why: str
) -> None:
    rig.world.secrets._store(samples.secret("taken", token="7:AAplanted-token"))
    rig.show("holder", "uid-7", account=samples.account("taken"))
    await rig.reconcile("holder")
    await lost_owners(rig, *KINDS)
    before = len(rig.api.calls)
    rig.show(uid="uid-2", **REFUSED[why])
    for _ in range(2):
        status = await rig.reconcile()
    assert rig.reason(status, "Provisioned") == "NotAccepted"
    deleted = [(kind, name) for verb, kind, name in rig.api.calls[before:] if verb == "delete"]
    assert deleted == [(kind, child_name(kind, "concierge")) for kind in reversed(KINDS)]


async def test_a_bot_that_is_accepted_no_longer_keeps_its_own_children_though_they_lost_their_owner(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.amend("Deployment", owned=False, controller_uid=None)
    rig.change(spec={"persona": {"prompt": " "}})
    status = await rig.reconcile()
    assert rig.reason(status, "Provisioned") == "NotAccepted"
    assert "delete" not in [verb for verb, _, _ in rig.api.calls]


async def test_no_stray_goes_while_a_bot_has_its_name_or_the_kind_is_not_served(rig: Rig) -> None:
    await lost_owners(rig, "ConfigMap")
    await rig.look()
    rig.api.store("TelegramBot", {"metadata": {"namespace": "hotel", "name": "concierge", "uid": "uid-2"}})
    await rig.look()  # no watch shows it yet
    del rig.api.objects[("TelegramBot", "hotel", "concierge")]
    rig.api.hidden = True
    with pytest.raises(NotFoundError):
        await rig.look()
    assert "delete" not in [verb for verb, _, _ in rig.api.calls]
