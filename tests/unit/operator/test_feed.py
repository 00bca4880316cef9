"""What wakes a bot: health of its runner, outages that end, Secrets and pods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.store.errors import StoreUnavailable
from botfleet.store.health_feed import HealthRow
from botfleet.store.lease import Lease, LeaseRepository
from botfleet.store.tables import leases as leases_table
from botfleet_operator.feed import HealthPoll, Reassert
from botfleet_operator.judgement import credentials_mark
from botfleet_operator.model import BotKey
from botfleet_operator.plan import Identity
from botfleet_operator.provision.bus import BusUnavailableError
from botfleet_operator.status import FIGURES_INTERVAL_SECONDS
from botfleet_operator.uses import named_in
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig
from tests.unit.operator.samples import account, health, pod


def test_a_pod_that_was_given_to_another_bot_by_its_label_is_no_longer_the_first_ones(rig: Rig) -> None:
    rig.world.pods._store(pod())
    rig.world.pods._store(pod(bot="debug", version=4))
    assert rig.world.pods_of(KEY_OF) == ()
    assert [one.uid for one in rig.world.pods_of(BotKey("hotel", "debug"))] == ["pod-1"]
    rig.world.pods._store(pod(version=5))
    assert [one.uid for one in rig.world.pods_of(KEY_OF)] == ["pod-1"]
    assert rig.world.pods_of(BotKey("hotel", "debug")) == ()


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
    assert (await rig.reconcile())["phase"] == "Running"
    assert not rig.ledger.bound_to(identity.bot_id)[0].proved
    rig.world.pods._store(samples.fresh_pod(credentials=credentials_mark(samples.accepted(record), identity)))
    assert (await rig.reconcile())["phase"] == "Running"
    assert rig.ledger.bound_to(identity.bot_id)[0].proved
    rig.world.pods_moved = poll.unsettle
    rig.world.pods._store(pod())
    await leases.report(lease, health(record, connected=False))
    await poll.once()
    assert len(told) == 2


async def test_a_lease_that_ran_out_and_is_held_again_is_news_at_the_next_look(rig: Rig) -> None:
    told: list[BotKey] = []
    poll = HealthPoll(rig.ledger, rig.metrics, lambda k, s: told.append(k), seconds=1, heartbeat_seconds=60)
    held: dict[str, tuple[LeaseRepository, Lease]] = {}
    for name in ("older", "newer"):
        record = rig.show(name, f"uid-{name}", account=account(name))
        rig.world.secrets._store(samples.secret(name, token=f"{len(name)}{len(held)}:AAx"))
        await rig.reconcile(name)
        identity = rig.ledger.living()[record.key]
        leases = LeaseRepository(rig.store, identity.bot_id)
        lease = await leases.acquire("pod-1", 600)
        assert lease is not None
        await leases.report(lease, health(record))
        held[name] = leases, lease
    leases, lease = held["older"]
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    async with rig.store.begin() as connection:
        stamped = sa.update(leases_table).where(leases_table.c.bot_id == lease.bot_id)
        await connection.execute(stamped.values(health_changed_at=long_ago))
    await poll.once()
    assert sorted(told) == [BotKey("hotel", "newer"), BotKey("hotel", "older")]
    for term in (0.0, 600.0):
        told.clear()
        assert await leases.renew(replace(lease, term=term))
        await poll.once()
        assert told == [BotKey("hotel", "older")]
        beat = rig.ledger.heartbeat(lease.bot_id)
        assert beat is not None
        assert beat.alive is (term > 0)


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


async def test_a_removal_that_failed_is_tried_again_too_when_the_database_is_back(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    rig.hide()
    rig.roles.half = True
    await rig.reconcile()
    await rig.woken()
    assert len(rig.ledger.living()) == 1
    rig.roles.half = False
    rig.reconciler.try_again()
    assert await rig.woken() == [KEY_OF]
    await rig.reconcile()
    assert rig.ledger.living() == {}
    rig.reconciler.try_again()
    assert await rig.woken() == []


@pytest.mark.looptime
async def test_an_outage_of_the_database_is_survived_and_in_the_end_said(rig: Rig, monkeypatch: Any) -> None:
    told: list[BotKey] = []

    class Away:
        silenced = 0

        async def all_health(self) -> list[HealthRow]:
            raise StoreUnavailable("away")

        def silence(self) -> list[BotKey]:
            self.silenced += 1
            return [KEY_OF] * 20

        async def database_run_id(self) -> str:
            raise StoreUnavailable("away")

        async def bus_run_id(self) -> str:
            raise BusUnavailableError("away")

    ledger: Any = Away()
    clock = asyncio.get_running_loop().time
    monkeypatch.setattr("botfleet_operator.feed.time.monotonic", clock)
    poll = HealthPoll(ledger, rig.metrics, lambda k, s: told.append(k), seconds=1, heartbeat_seconds=60)
    for work in (poll.run(), Reassert(ledger, rig.metrics, lambda k, s: None).run()):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work, 70)
    assert ledger.silenced > 0
    assert told


@pytest.mark.looptime
async def test_who_holds_a_lease_again_after_an_outage_is_seen_at_the_next_look(rig: Rig, monkeypatch: Any) -> None:
    looks: list[tuple[str, float]] = []
    clock = asyncio.get_running_loop().time
    began = clock()
    stamped = HealthRow("bot-1", "pod-1", None, None, 1.0, None, datetime.now(UTC))

    class AwayForTwoMinutes:
        async def all_health(self) -> list[HealthRow]:
            return self._look("all")

        async def changed_health(self, since: datetime) -> list[HealthRow]:
            return self._look("changed")

        def _look(self, which: str) -> list[HealthRow]:
            if 10 < clock() - began <= 130:
                raise StoreUnavailable("away")
            looks.append((which, clock() - began))
            return [stamped]

        def any_lapsed(self) -> bool:
            return False

        def heard(self, rows: list[HealthRow]) -> list[BotKey]:
            return []

        def silence(self) -> list[BotKey]:
            return []

    ledger: Any = AwayForTwoMinutes()
    monkeypatch.setattr("botfleet_operator.feed.time.monotonic", clock)
    poll = HealthPoll(ledger, rig.metrics, lambda k, s: None, seconds=1, heartbeat_seconds=40)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(poll.run(), 185)
    assert {which for which, at in looks if 1 < at <= 10} == {"changed"}
    assert {which for which, at in looks if 130 < at < 170} == {"all"}
    assert "changed" in {which for which, at in looks if at > 172}


async def test_lost_users_and_roles_are_noticed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
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
    await reassert.once()
    assert told == [KEY_OF]  # the same server still, and they were asked for a moment ago
    rig.roles.started, rig.users.away = "run-2", True
    with pytest.raises(BusUnavailableError):
        await reassert.once()
    assert told == [KEY_OF, KEY_OF], "a Redis that is away hides no role that has gone"
    await rig.reconcile()
    rig.roles.roles.clear()
    monkeypatch.setattr("botfleet_operator.feed._OVERDUE_SECONDS", 0.0)
    with pytest.raises(BusUnavailableError):
        await reassert.once()
    assert told == [KEY_OF] * 3, "it asks in any case when nobody else has for long"
    await rig.reconcile()
    rig.users.away = False
    await reassert.once()
    assert told == [KEY_OF] * 3
    rig.users.users.clear()
    await reassert.once()
    assert told == [KEY_OF] * 4, "so it is with users of the same server"


async def test_a_role_or_user_that_somebody_took_away_is_back_with_the_next_comparison(rig: Rig) -> None:
    rig.show()
    await rig.reconcile()
    await rig.look()
    await rig.woken()
    roles, users = dict(rig.roles.roles), dict(rig.users.users)
    assert (len(roles), len(users)) == (1, 1)
    for taken in (rig.roles.roles, rig.users.users):
        taken.clear()
        await rig.look()
        assert await rig.woken() == [KEY_OF]
        await rig.reconcile()
        assert (rig.roles.roles, rig.users.users) == (roles, users)
    (user,) = users
    rig.users.users[user] = "on #another -@all"
    await rig.look()
    assert await rig.woken() == [KEY_OF], "a user with another password is as good as none"
    await rig.reconcile()
    assert rig.users.users == users
    await rig.look()
    assert await rig.woken() == [], "who has everything is left alone"


Seen = Callable[[Identity], bool]


@pytest.fixture(params=["roles", "users"])
def server(rig: Rig, request: pytest.FixtureRequest) -> tuple[Any, Seen]:
    """The stand-in for PostgreSQL's roles or Redis' users, and whether memory has a bot's."""
    if request.param == "roles":
        return rig.roles, rig.ledger.role_is_ready
    return rig.users, rig.ledger.user_is_ready


class Slow:
    """A server whose answer is of the moment of the question, and comes when it is let go."""

    def __init__(self, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self._honest = server.present
        monkeypatch.setattr(server, "present", self._present)

    async def _present(self) -> Any:
        answer = await self._honest()
        self.asked.set()
        await self.go.wait()
        return answer


async def _looks(rig: Rig) -> None:
    await rig.ledger.leftover_roles()
    await rig.ledger.leftover_users()


async def test_what_is_made_while_a_server_answers_is_not_forgotten_for_its_answer(
    rig: Rig, server: tuple[Any, Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, seen = server
    slow = Slow(there, monkeypatch)
    look = asyncio.create_task(_looks(rig))
    await slow.asked.wait()
    rig.show()
    await rig.reconcile()
    slow.go.set()
    await look
    assert seen(rig.ledger.living()[KEY_OF])


@pytest.mark.parametrize("begun", ["before", "meanwhile"])
async def test_what_is_removed_while_a_server_answers_is_not_remembered_for_its_answer(
    rig: Rig, server: tuple[Any, Seen], begun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.show()
    await rig.reconcile()
    await rig.woken()
    identity = rig.ledger.living()[KEY_OF]
    there, seen = server
    slow, honest, reached, done = Slow(there, monkeypatch), there.remove, asyncio.Event(), asyncio.Event()

    async def remove(name: str) -> None:
        reached.set()
        await done.wait()
        await honest(name)

    monkeypatch.setattr(there, "remove", remove)

    async def removed() -> None:
        await rig.ledger.remove_role(identity)
        await rig.ledger.remove_user(identity)

    async def begin(work: Coroutine[Any, Any, None], event: asyncio.Event) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        await event.wait()
        return task

    steps = [lambda: begin(removed(), reached), lambda: begin(_looks(rig), slow.asked)]
    tasks = [await step() for step in (steps if begun == "before" else reversed(steps))]
    (done if begun == "meanwhile" else slow.go).set()
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done.set()
    slow.go.set()
    await asyncio.gather(*tasks)
    assert not seen(identity)
    assert await rig.woken() == [], "what was done here is news to nobody"


async def test_a_database_that_is_away_hides_no_user_that_has_gone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.show()
    await rig.reconcile()
    told: list[BotKey] = []
    reassert = Reassert(rig.ledger, rig.metrics, lambda k, s: told.append(k))

    async def away() -> str:
        raise StoreUnavailable("away")

    monkeypatch.setattr(rig.roles, "run_id", away)
    rig.users.users.clear()
    with pytest.raises(StoreUnavailable):
        await reassert.once()
    assert told == [KEY_OF]


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
    rig.queue.forget(KEY_OF)
    assert (await rig.reconcile())["lastReplyTime"] == "2026-01-01T00:00:01Z"
    assert [w for w in rig.api.writes()[writes:] if w[1] == "TelegramBot"] == []
    assert 0 < rig.queue._due[KEY_OF] - time.monotonic() <= FIGURES_INTERVAL_SECONDS, "it is looked at again then"


async def test_a_proof_that_comes_again_causes_no_write_and_its_loss_one(rig: Rig) -> None:
    record = rig.show()
    await rig.reconcile()
    identity = rig.ledger.identity_of(KEY_OF, "uid-1")
    assert identity is not None
    now = datetime.now(UTC)

    async def told(receiving: bool | None) -> tuple[str, int]:
        words, before = health(record, receiving=receiving), len(rig.api.writes())
        rig.ledger.heard([HealthRow(identity.bot_id, "p", now + timedelta(seconds=60), now, 0.0, words, now)])
        status = await rig.reconcile()
        (word,) = [c["status"] for c in status["conditions"] if c["type"] == "Receiving"]
        return word, len([w for w in rig.api.writes()[before:] if w[1] == "TelegramBot"])

    assert await told(True) == ("True", 1)
    assert await told(True) == ("True", 0)
    assert await told(False) == ("False", 1)
    assert await told(False) == ("False", 0)
    assert await told(True) == ("True", 1)


def test_secrets_are_found_in_any_spec() -> None:
    listed = [1, {"keySecretRef": {"name": "three"}}, "xSecretRef"]
    spec = {"a": {"xSecretRef": {"name": "one"}, "b": listed}, "ySecretRef": {"name": 5}, "zSecretRef": {"name": "two"}}
    assert sorted(named_in(spec)) == [("Secret", "one"), ("Secret", "three"), ("Secret", "two")]


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
