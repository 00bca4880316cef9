"""Whole reconciles and removals over a real store (SQLite) and stand-ins for everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from botfleet.keys import Purpose, password
from botfleet.store.bots import BotRepository
from botfleet.store.engine import Store, create_store
from botfleet.store.errors import StoreUnavailable
from botfleet.store.health_feed import HealthRow
from botfleet.store.lease import LeaseRepository
from botfleet.store.schema import create_all_sqlite
from botfleet_operator.feed import HealthPoll, Reassert
from botfleet_operator.kubeapi import ForbiddenError, NotLeadingError, ServerSideError
from botfleet_operator.ledger import Ledger, StillHeldError
from botfleet_operator.metrics import Metrics
from botfleet_operator.model import BotKey, BotRecord
from botfleet_operator.observe import Setting
from botfleet_operator.queue import KeyedQueue
from botfleet_operator.reconcile import TELEGRAM_BOTS, Reconciler
from botfleet_operator.removal import Remover, Sweeper, too_many
from botfleet_operator.world import World, referenced_secrets
from tests.unit.operator import samples
from tests.unit.operator.fakes import FakeApi, FakeRoles, FakeUsers
from tests.unit.operator.samples import DIGEST, KEY, PLATFORM, health, pod

KEY_OF = BotKey("hotel", "concierge")


class Rig:
    """An operator without its process."""

    def __init__(self, store: Store, installation_id: str) -> None:
        self.store, self.api, self.roles, self.users = store, FakeApi(), FakeRoles(), FakeUsers()
        self.metrics = Metrics()
        self.leading = True
        self.queue: KeyedQueue[BotKey] = KeyedQueue()
        api: Any = self.api
        self.world = World(api, namespaces=(), installation_key=KEY, enqueue=self.queue.add, defaults={})
        self.ledger = Ledger(
            store, self.roles, self.users,  # type: ignore[arg-type]
            installation_id=installation_id, installation_key=KEY,
        )  # fmt: skip
        self.ledger.freed, self.ledger.lost = self.world.freed, self.queue.add
        self.remover = Remover(self.world, self.ledger, self.guard)
        self.reconciler = Reconciler(
            api, self.world, self.ledger, Setting(PLATFORM, {}), self.queue, self.remover, self.metrics,
            guard=self.guard, now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        self.sweeper = Sweeper(
            api, TELEGRAM_BOTS, self.world, self.ledger, self.metrics, namespaces=(), seconds=0, same_cluster=True,
            guard=self.guard,
        )  # fmt: skip

    def guard(self) -> None:
        if not self.leading:
            raise NotLeadingError("no")

    def show(self, name: str = "concierge", uid: str = "uid-1", **spec: Any) -> BotRecord:
        """The bot and all Secrets appear in the watches."""
        for record in samples.secrets().values():
            self.world.secrets._store(record)
        base = samples.bot(**spec)
        record = replace(base, name=name, uid=uid, version=self.api.version)
        metadata = {"namespace": "hotel", "name": name, "uid": uid}
        self.api.store("TelegramBot", {"metadata": metadata, "spec": record.spec})
        self.world.bot_seen(record)
        return record

    def hide(self, name: str = "concierge", uid: str = "uid-1") -> None:
        """The bot's deletion is shown by the watch."""
        self.api.objects.pop(("TelegramBot", "hotel", name), None)
        self.world.bot_deleted(BotKey("hotel", name), uid)

    async def reconcile(self, name: str = "concierge") -> dict[str, Any]:
        await self.reconciler.handle(BotKey("hotel", name))
        found = self.api.objects.get(("TelegramBot", "hotel", name), {})
        return dict(found.get("status", {}))

    def reason(self, status: dict[str, Any], kind: str) -> str:
        return str(next(c["reason"] for c in status["conditions"] if c["type"] == kind))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    store = create_store(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        await create_all_sqlite(store)
        yield Rig(store, (await BotRepository(store).installation()).id)
    finally:
        await store.close()


async def test_a_bot_is_made_once_and_then_left_alone(rig: Rig) -> None:
    rig.show()
    status = await rig.reconcile()
    assert rig.reason(status, "Provisioned") == "Provisioned"
    kinds = [kind for verb, kind, _ in rig.api.writes() if verb == "apply"]
    assert kinds == ["ServiceAccount", "ConfigMap", "Secret", "Deployment"]
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


def account(name: str) -> dict[str, Any]:
    return {
        "type": "Bot",
        "apiCredentialsSecretRef": {"name": "telegram-app"},
        "botTokenSecretRef": {"name": name, "key": "token"},
    }


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


async def test_health_becomes_status_and_only_news_wakes_a_bot(rig: Rig) -> None:
    record = rig.show()
    await rig.reconcile()
    identity = rig.ledger.identity_of(KEY_OF, "uid-1")
    assert identity is not None
    told: list[tuple[BotKey, float]] = []
    poll = HealthPoll(rig.ledger, rig.metrics, lambda k, s: told.append((k, s)), seconds=1, heartbeat_seconds=60)
    leases = LeaseRepository(rig.store, identity.bot_id)
    lease = await leases.acquire("pod-1", 60)
    assert lease is not None
    await leases.report(lease, health(record, username="a_bot"))
    await poll.once()
    await poll.once()
    assert told == [(KEY_OF, 0.0)]
    status = await rig.reconcile()
    assert status["phase"] == "Running"
    assert rig.ledger.bound_to(identity.bot_id)[0].proved
    rig.world.pods_moved = poll.unsettle
    rig.world.pods._store(pod())
    await leases.report(lease, health(record, connected=False))
    await poll.once()
    assert len(told) == 2


async def test_old_news_is_no_news(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    identity = rig.ledger.identity_of(KEY_OF, "uid-1")
    assert identity is not None
    now = datetime.now(UTC)
    row = HealthRow(identity.bot_id, "pod-1", now + timedelta(seconds=10), now, 1.0, None, now)
    assert rig.ledger.heard([row]) == [KEY_OF]
    assert rig.ledger.heard([row]) == []
    beat = rig.ledger.heartbeat(identity.bot_id)
    assert beat is not None
    assert (beat.alive, beat.silent) == (True, False)
    assert rig.ledger.heard([replace(row, age_seconds=61.0)]) == [KEY_OF]
    beat = rig.ledger.heartbeat(identity.bot_id)
    assert beat is not None
    assert (beat.alive, beat.silent) == (False, True)
    rig.ledger.heard([row])
    assert rig.ledger.silence() == [KEY_OF]
    assert rig.ledger.silence() == []


async def test_bots_that_failed_are_tried_again_when_the_database_is_back(rig: Rig) -> None:
    rig.show()
    rig.roles.away = True
    await rig.reconcile()
    while len(rig.queue):
        rig.queue.done(await rig.queue.get())
    rig.roles.away = False
    rig.reconciler.try_again()
    assert await rig.queue.get() == KEY_OF
    await rig.reconcile()
    rig.queue.done(KEY_OF)
    rig.reconciler.try_again()
    assert len(rig.queue) == 0


@pytest.mark.looptime
async def test_an_outage_of_the_database_is_survived_and_in_the_end_said(rig: Rig, monkeypatch: Any) -> None:
    import asyncio

    told: list[BotKey] = []

    class Away:
        silenced = 0

        async def all_health(self) -> list[HealthRow]:
            raise StoreUnavailable("away")

        def silence(self) -> list[BotKey]:
            self.silenced += 1
            return [KEY_OF] * 20

        async def bus_run_id(self) -> str:
            raise StoreUnavailable("away")

    ledger: Any = Away()
    clock = asyncio.get_running_loop().time
    monkeypatch.setattr("botfleet_operator.feed.time.monotonic", clock)
    poll = HealthPoll(ledger, rig.metrics, lambda k, s: told.append(k), seconds=1, heartbeat_seconds=60)
    for work in (poll.run(), Reassert(ledger, rig.metrics, lambda k, s: None).run()):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work, 70)
    assert ledger.silenced > 0
    assert told


async def test_lost_users_and_roles_are_noticed(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    told: list[BotKey] = []
    reassert = Reassert(rig.ledger, rig.metrics, lambda k, s: told.append(k))
    await reassert.once()
    assert told == []
    rig.users.users.clear()
    await reassert.once()
    assert told == []  # the same server still
    rig.users.started = "run-2"
    await reassert.once()
    assert told == [KEY_OF]
    await rig.reconcile()
    assert len(rig.users.users) == 1
    rig.roles.roles.clear()
    reassert._roles_at = float("-inf")
    await reassert.once()
    assert told == [KEY_OF, KEY_OF]


async def test_the_time_of_the_last_reply_is_written_once_a_minute_at_most(rig: Rig) -> None:
    record = rig.show()
    await rig.reconcile()
    identity = rig.ledger.identity_of(KEY_OF, "uid-1")
    assert identity is not None
    at = datetime(2026, 1, 1, tzinfo=UTC)
    now = datetime.now(UTC)

    def replied(seconds: int) -> None:
        words = health(record, last_reply_at=at + timedelta(seconds=seconds))
        rig.ledger.heard([HealthRow(identity.bot_id, "p", now + timedelta(seconds=60), now, 0.0, words, now)])

    replied(1)
    assert (await rig.reconcile())["lastReplyTime"] == "2026-01-01T00:00:01Z"
    replied(9)
    writes = len(rig.api.writes())
    assert (await rig.reconcile())["lastReplyTime"] == "2026-01-01T00:00:01Z"
    assert [w for w in rig.api.writes()[writes:] if w[1] == "TelegramBot"] == []


def test_secrets_are_found_in_any_spec() -> None:
    spec = {"a": {"xSecretRef": {"name": "one"}, "b": [1]}, "ySecretRef": {"name": 5}, "zSecretRef": {"name": "two"}}
    assert sorted(referenced_secrets(spec)) == ["one", "two"]


async def test_only_bots_that_use_a_secret_are_woken_by_it(rig: Rig) -> None:
    rig.show("first", "uid-1")
    rig.show("second", "uid-2", account=account("other"))
    while len(rig.queue):
        rig.queue.done(await rig.queue.get())
    rig.world.secrets._store(replace(samples.secret("other", token="5:x"), version=50))
    assert await rig.queue.get() == BotKey("hotel", "second")
    assert len(rig.queue) == 0
    rig.queue.done(BotKey("hotel", "second"))
    rig.world.secrets._store(replace(samples.secret("other", token="5:x"), version=60))  # touched, not changed
    assert len(rig.queue) == 0
    rig.hide("second", "uid-2")
    rig.queue.done(await rig.queue.get())
    rig.world.secrets._store(replace(samples.secret("other", token="6:x"), version=70))
    assert len(rig.queue) == 0
