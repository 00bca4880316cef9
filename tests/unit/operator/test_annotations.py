"""What people ask of the operator by annotations: new credentials, and to keep its hands off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botfleet.keys import Purpose, password
from botfleet.store.lease import LeaseRepository
from botfleet_operator.builders.common import labels
from botfleet_operator.model import PodRecord, bot_record
from botfleet_operator.names import ANNOTATION_CREDENTIALS, ANNOTATION_PAUSED, ANNOTATION_ROTATE
from botfleet_operator.plan import Identity
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig
from tests.unit.operator.samples import KEY


def identity_of(rig: Rig) -> Identity:
    found = rig.ledger.identity_of(KEY_OF, "uid-1")
    assert found is not None
    return found


def mark(rig: Rig) -> str:
    """Of the pods that the Deployment makes as it is now."""
    template = rig.api.objects[("Deployment", "hotel", "concierge")]["spec"]["template"]
    return str(template["metadata"]["annotations"][ANNOTATION_CREDENTIALS])


def show_pod(rig: Rig, **changes: Any) -> PodRecord:
    shown = replace(samples.pod(), bot=labels("concierge")["botfleet.dev/bot"], **changes)
    rig.world._pod_changed(None, shown)
    return shown


async def rotate(rig: Rig, value: str) -> dict[str, Any]:
    rig.change(annotations={ANNOTATION_ROTATE: value})
    return await rig.reconcile()


async def test_a_rotation_gives_role_user_secret_and_pod_new_credentials_once_for_each_value(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    before, restarted_for = rig.ledger.own_secrets(identity_of(rig)), mark(rig)
    status = await rotate(rig, "leaked on Monday")
    after = rig.ledger.own_secrets(identity_of(rig))
    assert identity_of(rig).generation == 2
    assert after.database_password == password(KEY, identity_of(rig).bot_id, Purpose.DATABASE_PASSWORD, 2)
    assert after.redis_password != before.redis_password
    assert after.session_key == before.session_key, "what seals the session is not rotated by this"
    assert list(rig.roles.roles.values()) == [2]
    assert mark(rig) != restarted_for
    assert rig.reason(status, "Provisioned") == "Provisioned"
    writes = len(rig.api.writes())
    await rotate(rig, "leaked on Monday")
    again = await rig.restarted()
    await again.reconcile()
    assert (identity_of(again).generation, rig.api.writes()[writes:]) == (2, [])
    await rotate(again, "leaked on Tuesday")
    assert identity_of(again).generation == 3
    again.change(annotations={})
    await again.reconcile()
    assert identity_of(again).generation == 3


async def test_the_request_is_not_stored_as_it_was_written(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    await rotate(rig, "the password was hunter2")
    assert identity_of(rig).rotation is not None
    assert "hunter2" not in repr(identity_of(rig)) + repr(rig.world.bots)


async def test_the_old_password_works_until_the_runner_that_has_it_has_released_the_lease(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    leases = LeaseRepository(rig.store, identity_of(rig).bot_id)
    lease = await leases.acquire("pod-1", 60)
    assert lease is not None
    show_pod(rig, credentials=mark(rig))  # of whose lease no news has come yet
    status = await rotate(rig, "1")
    assert list(rig.roles.roles.values()) == [1], "the runner can still log in, for its last writes"
    assert mark(rig).endswith("-2.1"), "and is being replaced"
    assert rig.users.users[identity_of(rig).redis_user].count(password_digest(rig, 1)) == 1
    await rig.reconcile()
    assert list(rig.roles.roles.values()) == [1]
    await leases.release(lease)
    assert rig.ledger.heard(await rig.ledger.all_health()) == [KEY_OF], "its release is news"
    status = await rig.reconcile()
    assert list(rig.roles.roles.values()) == [2]
    assert password_digest(rig, 2) in rig.users.users[identity_of(rig).redis_user]
    assert rig.reason(status, "Provisioned") == "Provisioned"


def password_digest(rig: Rig, generation: int) -> str:
    from botfleet_operator.provision.bus import password_hash

    return password_hash(password(KEY, identity_of(rig).bot_id, Purpose.REDIS_PASSWORD, generation))


async def test_a_runner_that_hangs_without_the_lease_does_not_keep_the_old_password(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    show_pod(rig, credentials=mark(rig), deleting=True)
    await rotate(rig, "1")
    assert list(rig.roles.roles.values()) == [2]


async def test_a_role_that_is_gone_is_made_with_the_new_password_whoever_holds_the_lease(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    assert await LeaseRepository(rig.store, identity_of(rig).bot_id).acquire("pod-1", 60)
    show_pod(rig, credentials=mark(rig))
    rig.ledger.heard(await rig.ledger.all_health())
    rig.roles.roles.clear()
    await rig.ledger.check_roles()
    await rotate(rig, "1")
    assert list(rig.roles.roles.values()) == [2]


async def test_a_bot_that_is_made_with_a_request_on_it_and_made_anew_is_not_rotated_again(rig: Rig) -> None:
    rig.show()
    rig.change(annotations={ANNOTATION_ROTATE: "1"})
    await rig.reconcile()
    first = identity_of(rig)
    rig.hide()
    await rig.reconcile()
    rig.show(uid="uid-2")
    rig.change(annotations={ANNOTATION_ROTATE: "1"})
    await rig.reconcile()
    back = rig.ledger.identity_of(KEY_OF, "uid-2")
    assert back is not None
    assert (back.bot_id, back.generation) == (first.bot_id, first.generation)


async def test_of_a_paused_bot_nothing_is_changed_but_its_status(rig: Rig) -> None:
    rig.show()
    rig.change(annotations={ANNOTATION_PAUSED: "true"})
    status = await rig.reconcile()
    assert rig.reason(status, "Provisioned") == "Paused"
    assert "botfleet.dev/paused-" in str(status)
    assert (rig.ledger.living(), rig.roles.roles, {kind for _, kind, _ in rig.api.writes()}) == (
        {}, {}, {"TelegramBot"},
    )  # fmt: skip
    rig.change(annotations={})
    assert rig.reason(await rig.reconcile(), "Provisioned") == "Provisioned"
    rig.roles.roles.clear()
    await rig.ledger.check_roles()
    writes = len(rig.api.writes())
    rig.change(spec={"suspend": True}, annotations={ANNOTATION_PAUSED: "true", ANNOTATION_ROTATE: "1"})
    status = await rig.reconcile()
    assert [kind for _, kind, _ in rig.api.writes()[writes:]] == ["TelegramBot"]
    assert (rig.roles.roles, identity_of(rig).generation) == ({}, 1)
    assert rig.reason(status, "Ready") == "Suspended", "what is seen is told all the same"
    rig.change(annotations={ANNOTATION_ROTATE: "1"})
    await rig.reconcile()
    assert list(rig.roles.roles.values()) == [2]


async def test_a_paused_bot_can_be_deleted(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.change(annotations={ANNOTATION_PAUSED: "true"})
    await rig.reconcile()
    rig.hide()
    await rig.reconcile()
    assert (rig.roles.roles, rig.users.users, rig.ledger.living()) == ({}, {}, {})


async def test_the_finalizer_follows_the_policy_of_a_paused_bot_too(rig: Rig) -> None:
    rig.show(deletionPolicy="Erase")
    rig.change(annotations={ANNOTATION_PAUSED: "true"})
    status = await rig.reconcile()
    assert rig.api.objects[("TelegramBot", "hotel", "concierge")]["metadata"]["finalizers"]
    assert status["observedGeneration"] == 3
    assert rig.ledger.living() == {}


def test_only_true_pauses_and_only_a_value_asks_for_new_credentials() -> None:
    def seen(**annotations: str) -> tuple[bool, bool]:
        named = {f"botfleet.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
        body = {"metadata": {"namespace": "a", "name": "b", "uid": "u", "resourceVersion": "1", "annotations": named}}
        record = bot_record(body)
        return record.paused, record.rotation is not None

    assert seen(paused="true", rotate_credentials="x") == (True, True)
    assert seen(paused="false", rotate_credentials="") == (False, False)
    assert seen() == (False, False)
