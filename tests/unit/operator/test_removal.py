"""What goes with a bot, what stays, and when nothing may be removed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from botfleet.store.bots import BotRepository
from botfleet_operator.kubeapi import ServerSideError
from botfleet_operator.ledger import StillHeldError
from botfleet_operator.model import BotKey
from botfleet_operator.removal import too_many
from botfleet_operator.settings import LONGEST_LEASE_SECONDS
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
    await rig.sweeper.once()
    assert rig.users.users == {}


async def test_what_was_deleted_unseen_is_removed_after_two_looks(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    unseen = Rig(rig.store, "x")
    unseen.roles, unseen.users = rig.roles, rig.users
    unseen.api.store("TelegramBot", {"metadata": {"namespace": "hotel", "name": "other", "uid": "o"}})
    await unseen.ledger.load()
    await unseen.sweeper.once()
    assert "uid-1" in unseen.world.gone or unseen.sweeper._missing
    await unseen.sweeper.once()
    assert unseen.world.gone == {"uid-1": KEY_OF}
    await unseen.reconcile()
    assert unseen.ledger.living() == {}


async def test_nothing_is_removed_on_the_word_of_an_error_another_cluster_or_a_missing_kind(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.world.bots.clear()
    rig.api.objects.clear()
    rig.api.errors["list"] = ServerSideError("etcd", status=500)
    for _ in range(3):
        with pytest.raises(ServerSideError):
            await rig.sweeper.once()
    del rig.api.errors["list"]
    rig.api.hidden = True
    for _ in range(3):
        with pytest.raises(Exception, match="no such resource"):
            await rig.sweeper.once()
    rig.api.hidden = False
    rig.sweeper._same_cluster = False
    for _ in range(3):
        await rig.sweeper.once()
    assert rig.world.gone == {}
    assert len(rig.roles.roles) == 1


async def test_a_bot_that_comes_back_between_two_looks_is_kept(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.sweeper._seconds = 1000
    found = rig.api.objects.pop(("TelegramBot", "hotel", "concierge"))
    rig.world.bots.clear()
    await rig.sweeper.once()
    assert rig.sweeper._missing
    rig.api.objects[("TelegramBot", "hotel", "concierge")] = found
    await rig.sweeper.once()
    assert rig.sweeper._missing == {}


async def test_a_fleet_that_vanishes_at_once_is_a_matter_for_a_person(rig: Rig) -> None:
    for number in range(12):
        await rig.ledger.ensure_identity(BotKey("hotel", f"bot-{number}"), f"uid-{number}", f"digest-{number}")
    for _ in range(3):
        await rig.sweeper.once()
    assert rig.world.gone == {}
    assert rig.metrics.removal_halted._value.get() == 1


def test_the_limit_is_more_than_ten_and_more_than_a_fifth() -> None:
    assert [too_many(*case) for case in ((10, 10), (11, 12), (11, 55), (12, 55), (200, 1000), (201, 1000))] == [
        False, True, False, True, False, True,
    ]  # fmt: skip


async def test_a_deletion_whose_event_was_lost_is_found(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.api.objects.pop(("TelegramBot", "hotel", "concierge"))
    await rig.sweeper.once()
    assert KEY_OF not in rig.world.bots
    await rig.reconcile()
    assert rig.ledger.living() == {}


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
