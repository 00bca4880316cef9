"""What SQLite cannot show: two at once, a server that stops, time-outs."""

import asyncio
import contextlib
import itertools
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest
import sqlalchemy as sa

from botfleet.health import Health
from botfleet.store.bots import Bot, BotRepository
from botfleet.store.engine import Store, create_store
from botfleet.store.errors import LeaseLost, StoreError, StoreUnavailable
from botfleet.store.fence import Fenced
from botfleet.store.health_feed import HealthFeed
from botfleet.store.lease import Lease, LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Incoming, Intake, NewerPending, Stored, UpdateState
from botfleet.store.schema import REVISION, wait_for_schema
from tests.contracts.store.samples import (
    ACCOUNT,
    CHANNEL,
    PERSON,
    draft,
    incoming,
    snapshot,
    take_over,
    taken_in,
    texts,
)
from tests.support.installation import Installation
from tests.waiting import DEADLINE, until_async


async def _waiting(installation: Installation, count: int = 1) -> None:
    """Return once that many sessions wait for a lock."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with installation.superuser() as connection:
                rows = connection.execute(
                    "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = 'botfleet'"
                ).fetchall()
            if len(rows) >= count:
                return
            await asyncio.sleep(0.02)


async def _waiting_or_done(installation: Installation, task: asyncio.Task[bool], count: int) -> None:
    """Return once that many sessions wait for a lock, or this one has waited for none."""
    waiting = asyncio.create_task(_waiting(installation, count))
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.fixture
async def other(installation: Installation, bot: Bot) -> AsyncIterator[Store]:
    """The store of the same bot's next runner."""
    assert bot.role_name is not None
    store = installation.store(bot.role_name, statement_timeout=DEADLINE)
    yield store
    await store.close()


async def test_a_takeover_waits_for_a_write_that_has_passed_the_check(
    installation: Installation, store: Store, other: Store, bot: Bot, lease: Lease
) -> None:
    fenced = Fenced(store, lease, ACCOUNT)
    async with store.begin() as connection:
        await fenced.fence(connection)
        takeover = asyncio.create_task(LeaseRepository(other, bot.id).acquire("holder", 60))
        await _waiting(installation)
        assert not takeover.done()
    taken = await takeover
    assert taken is not None
    assert taken.token != lease.token


@pytest.mark.parametrize("how", ["release", "erase"])
async def test_whatever_takes_the_lease_away_waits_for_a_write_that_has_passed_the_check(
    installation: Installation, operator: Store, store: Store, other: Store, bot: Bot, lease: Lease, how: str
) -> None:
    async with store.begin() as connection:
        await Fenced(store, lease, ACCOUNT).fence(connection)
        ends = (
            LeaseRepository(other, bot.id).release(lease) if how == "release" else BotRepository(operator).erase(bot.id)
        )
        end = asyncio.create_task(ends)
        await _waiting(installation)
        assert not end.done()
    await end
    with pytest.raises(LeaseLost):
        await MessagePath(store, lease, ACCOUNT).take_in(Intake())


async def test_a_renewal_waits_for_no_write_that_has_passed_the_check(
    installation: Installation, store: Store, other: Store, bot: Bot, lease: Lease
) -> None:
    """On a slow database one write passes the check before the one ahead has ended, for as long as there are messages.

    One has it from before the renewal until after it: whatever waits for writes waits for ever.
    """
    assert bot.role_name is not None
    another = installation.store(bot.role_name, statement_timeout=DEADLINE)
    leases = LeaseRepository(another, bot.id)

    async def renewed_and_told() -> bool:
        await leases.report(lease, Health(spec_digest="a"))
        return await leases.renew(lease)

    whole, ahead = await _passed(another, lease), await _passed(store, lease)
    renewal = asyncio.create_task(renewed_and_told())
    stores = itertools.cycle((other, store))
    while not renewal.done():
        behind = await _passed(next(stores), lease)
        await ahead.aclose()  # one of them has the lock at every moment
        ahead = behind
    assert await renewal
    await ahead.aclose()
    await whole.aclose()
    stored = await leases.current()
    assert stored is not None
    assert stored.health == Health(spec_digest="a")
    await another.close()


async def _passed(store: Store, lease: Lease) -> contextlib.AsyncExitStack:
    """A transaction that has passed the check; closing the stack ends it."""
    write = contextlib.AsyncExitStack()
    connection = await write.enter_async_context(store.begin())
    await Fenced(store, lease, ACCOUNT).fence(connection)
    return write


@contextlib.contextmanager
def _held_before_its_commit(installation: Installation) -> Iterator[Callable[[], object]]:
    """Whoever changes the holder of a lease waits, with its change written, until what this gives is called."""
    with installation.superuser() as connection:
        connection.execute(
            "create function botfleet.held() returns trigger language plpgsql as "
            "'begin perform pg_catalog.pg_advisory_xact_lock_shared(4712); return null; end'"
        )
        connection.execute(
            "create constraint trigger held after update on botfleet.leases deferrable initially deferred "
            "for each row when (new.token is distinct from old.token) execute function botfleet.held()"
        )
        connection.execute("select pg_advisory_lock(4712)")
        try:
            yield lambda: connection.execute("select pg_advisory_unlock(4712)")
        finally:
            connection.execute("select pg_advisory_unlock_all()")
            connection.execute("drop function botfleet.held() cascade")


@pytest.mark.parametrize("how", ["acquire", "release"])
async def test_a_statement_that_meets_a_takeover_writes_nothing(
    installation: Installation, store: Store, other: Store, bot: Bot, lease: Lease, path: MessagePath, how: str
) -> None:
    rows = await taken_in(path, 1)
    before = await snapshot(other)
    leases = LeaseRepository(other, bot.id)
    with _held_before_its_commit(installation) as go_on:
        change = asyncio.create_task(leases.acquire("holder", 60) if how == "acquire" else _released(leases, lease))
        await _waiting(installation)
        writes = [
            asyncio.create_task(path.take_in(Intake(messages=(incoming(2),), states={0: UpdateState(9)}))),
            asyncio.create_task(path.store_answer(PERSON, rows, [draft(10)], replies_are_final=False)),
            asyncio.create_task(path.opt_out(PERSON)),
        ]
        await _waiting(installation, 1 + len(writes))
        go_on()
        await change
        met = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in met] == [LeaseLost] * len(writes)
    after = await snapshot(other)
    del before.tables["leases"], after.tables["leases"]
    assert after == before


async def _released(leases: LeaseRepository, lease: Lease) -> Lease | None:
    await leases.release(lease)
    return None


async def test_answers_stored_at_once_in_one_chat_keep_distinct_places(path: MessagePath) -> None:
    results = await asyncio.gather(
        *(path.store_answer(PERSON, [], [draft(number)], replies_are_final=True) for number in range(1, 4))
    )
    assert results == [Stored(closed=0, queued=1)] * 3
    assert len(await texts(path)) == 3


async def test_one_answer_stored_twice_at_once_is_there_once(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    results = await asyncio.gather(
        *(path.store_answer(PERSON, rows, [draft(10)], replies_are_final=False) for _ in range(3))
    )
    assert sorted(results, key=repr) == [Stored(0, 0), Stored(0, 0), Stored(1, 1)]
    assert await texts(path) == [("user", "message 1"), ("assistant", "answer 10")]


@pytest.mark.parametrize("known", [False, True])
async def test_a_summary_that_is_saved_while_its_chat_is_forgotten_is_not_there_afterwards(
    installation: Installation, store: Store, path: MessagePath, known: bool
) -> None:
    rows = await taken_in(path, 1)
    await path.store_answer(PERSON, rows, [draft(10, discloses=True)], replies_are_final=False)
    read = await path.history_between(PERSON, 0, 3, 10)
    if known:
        assert await path.save_summary(PERSON, "planted before", 1, {"likes": "planted water"}, after=0, read=read[:1])
    with installation.superuser() as connection, connection.transaction():
        # The last that it writes of a private chat.
        connection.execute("select from botfleet.chats where peer_id = %s for update", (PERSON,))
        forget = asyncio.create_task(path.forget(PERSON, 0))
        await _waiting(installation)
        learned = {"likes": "planted tea"}
        save = asyncio.create_task(path.save_summary(PERSON, "planted", 2, learned, after=int(known), read=read))
        await _waiting_or_done(installation, save, 2)
    await forget
    assert not await save
    assert "planted" not in repr(await snapshot(store))


async def test_a_summary_is_erased_by_a_forget_that_waits_for_it(
    installation: Installation, store: Store, path: MessagePath
) -> None:
    await taken_in(path, 1)
    await path.store_answer(PERSON, await path.pending(PERSON), [draft(10)], replies_are_final=False)
    read = await path.history_between(PERSON, 0, 3, 10)
    with installation.superuser() as connection, connection.transaction():
        connection.execute("lock table botfleet.facts in share row exclusive mode")  # the last that it writes
        save = asyncio.create_task(path.save_summary(PERSON, "planted", 2, {"likes": "planted"}, after=0, read=read))
        await _waiting(installation)
        forget = asyncio.create_task(path.forget(PERSON, 0))
        await _waiting(installation, 2)
    assert await save
    await forget
    assert "planted" not in repr(await snapshot(store))


async def test_no_summary_goes_on_from_one_that_is_erased_meanwhile(
    installation: Installation, bot: Bot, path: MessagePath
) -> None:
    """In a group what it tells of a person may stand in the summary alone: all that was read since is another's."""
    await taken_in(path, 1)
    await path.store_answer(PERSON, await path.pending(PERSON), [draft(10)], replies_are_final=False)
    asked, reply = await path.history_between(PERSON, 0, 3, 10)
    assert await path.save_summary(PERSON, "notes", 1, after=0, read=[asked])
    with installation.superuser() as connection, connection.transaction():
        connection.execute("delete from botfleet.summaries where bot_id = %s", (bot.id,))
        save = asyncio.create_task(path.save_summary(PERSON, "notes, and more", 2, after=1, read=[reply]))
        await _waiting(installation)
    assert not await save
    assert (await path.remembered(PERSON, 1)).summary is None


async def test_an_answer_in_a_group_that_is_stored_while_its_asker_is_forgotten_leaves_no_word_of_theirs(
    installation: Installation, store: Store, path: MessagePath
) -> None:
    await path.take_in(Intake(messages=(_in_group(1, "planted one"), _in_group(2, "planted two"))))
    (_, higher) = await path.pending(CHANNEL)
    with installation.superuser() as connection, connection.transaction():
        connection.execute("select from botfleet.inbox where peer_id = %s and message_id = 1 for update", (CHANNEL,))
        forget = asyncio.create_task(path.forget(PERSON, 0))
        await _waiting(installation)
        assert await path.store_answer(CHANNEL, [higher], [draft(10)], replies_are_final=True) == Stored(1, 1)
    await forget
    assert await texts(path, CHANNEL) == [("assistant", "answer 10")]
    assert "planted" not in repr(await snapshot(store))


def _in_group(message_id: int, text: str) -> Incoming:
    return incoming(message_id, text, CHANNEL, sender_id=PERSON, sender_name="planted name")


async def test_a_renewal_does_not_wait_behind_a_rush_of_messages(installation: Installation, bot: Bot) -> None:
    assert bot.role_name is not None
    store = installation.store(bot.role_name, reserved=1)
    leases = LeaseRepository(store, bot.id)
    lease = await leases.acquire("holder", 60)
    assert lease is not None
    locked = "select pg_advisory_xact_lock_shared(%(n)s)"
    with installation.superuser() as connection, connection.transaction():
        connection.execute("select pg_advisory_xact_lock(4711)")  # nobody of the rush gets on before this block ends
        rush = [asyncio.create_task(store.run_prepared(locked, {"n": 4711})) for _ in range(20)]
        await _waiting(installation, 2)
        assert await leases.renew(lease)
        assert not any(task.done() for task in rush)
    await asyncio.gather(*rush)
    await store.close()


async def test_many_chats_at_once_use_three_connections_and_then_one(
    monkeypatch: pytest.MonkeyPatch, installation: Installation, bot: Bot, store: Store, path: MessagePath
) -> None:
    async def chat(peer_id: int) -> None:
        rows = await taken_in(path, 1, peer_id=peer_id)
        await path.store_answer(peer_id, rows, [draft(peer_id)], replies_are_final=False)

    def sessions() -> int:
        with installation.superuser() as connection:
            return len(
                connection.execute("select 1 from pg_stat_activity where usename = %s", (bot.role_name,)).fetchall()
            )

    await asyncio.gather(*(chat(peer_id) for peer_id in range(1, 30)))
    assert sessions() == 3
    assert store.connections == 3
    monkeypatch.setattr(store, "idle_seconds", 0.0)
    await path.counts()
    await path.counts()
    assert store.connections == 1
    async with asyncio.timeout(DEADLINE):
        while sessions() != 1:  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.02)


async def test_a_lock_that_is_held_too_long_is_an_outage_not_a_loss(
    installation: Installation, bot: Bot, lease: Lease
) -> None:
    assert bot.role_name is not None
    quick = installation.store(bot.role_name, statement_timeout=0.5)
    with installation.superuser() as connection, connection.transaction():
        connection.execute("select from botfleet.leases where bot_id = %s for update", (bot.id,))
        with pytest.raises(StoreUnavailable):
            await LeaseRepository(quick, bot.id).renew(lease)
        with pytest.raises(StoreUnavailable):
            await MessagePath(quick, lease, ACCOUNT).take_in(Intake())

    async def renewed() -> bool:  # half a second may be short for this machine
        with contextlib.suppress(StoreUnavailable):
            return await LeaseRepository(quick, bot.id).renew(lease)
        return False

    await until_async(renewed)
    await quick.close()


async def test_a_transaction_left_open_is_ended_by_the_server(
    installation: Installation, bot: Bot, lease: Lease, other: Store
) -> None:
    """A lost node's open transaction must not hold the lease's row for ever."""
    assert bot.role_name is not None
    quick = installation.store(bot.role_name, statement_timeout=0.4)
    fenced = Fenced(quick, lease, ACCOUNT)
    with pytest.raises(StoreUnavailable):
        async with quick.begin() as connection:
            await fenced.fence(connection)
            assert await LeaseRepository(other, bot.id).acquire("holder", 60) is not None
            await connection.execute(sa.text("select 1"))
    await quick.close()


async def test_a_statement_cut_short_leaves_no_connection_in_doubt(
    installation: Installation, bot: Bot, lease: Lease, path: MessagePath
) -> None:
    with installation.superuser() as connection, connection.transaction():
        connection.execute("select from botfleet.leases where bot_id = %s for update", (bot.id,))
        write = asyncio.create_task(path.take_in(Intake(messages=(incoming(1),))))
        await _waiting(installation)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
    assert await path.pending(PERSON) == []
    assert await path.take_in(Intake(messages=(incoming(1),))) == {PERSON}


async def test_a_server_that_stops_is_an_outage_and_the_store_goes_on_after_it(
    installation: Installation, path: MessagePath, lease: Lease, leases: LeaseRepository
) -> None:
    await taken_in(path, 1)
    installation.server.stop()
    for attempt in (path.counts, lambda: path.take_in(Intake()), lambda: leases.renew(lease)):
        with pytest.raises(StoreUnavailable):
            await attempt()
    installation.server.start()
    # Connections of before the stop are found dead one by one.
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(StoreUnavailable):
                assert await leases.renew(lease)
                break
    rows = await path.pending(PERSON)
    assert await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=False) != NewerPending()


async def test_a_wrong_password_and_a_wrong_address_are_outages(installation: Installation, bot: Bot) -> None:
    assert bot.role_name is not None
    url = f"postgresql://{bot.role_name}@{installation.server.host}"
    for address, password in ((f"{url}:{installation.server.port}/botfleet", "wrong"), (f"{url}:1/botfleet", "x")):
        store = create_store(address, password)
        with pytest.raises(StoreUnavailable) as refused:
            await LeaseRepository(store, bot.id).current()
        assert "wrong" not in str(refused.value)
        await store.close()


async def test_an_error_never_shows_what_was_written(path: MessagePath) -> None:
    planted = "".join(["plan", "ted"])
    # PostgreSQL's detail to this is the whole row.
    broken = replace(draft(1, planted), trace_id=cast("str", None))
    with pytest.raises(StoreError) as refused:
        await path.store_answer(PERSON, [], [broken], replies_are_final=True)
    assert not isinstance(refused.value, StoreUnavailable)
    assert "trace_id" in str(refused.value)
    assert planted not in "".join(traceback.format_exception(refused.value))


async def test_the_operator_sees_each_change_of_health_with_its_age(
    operator: Store, bot: Bot, leases: LeaseRepository, lease: Lease
) -> None:
    feed = HealthFeed(operator)
    start = datetime(2000, 1, 1, tzinfo=UTC)
    await leases.report(lease, Health(spec_digest="a"))
    (row,) = [row for row in await feed.changed_since(start) if row.bot_id == bot.id]
    assert row.health == Health(spec_digest="a")
    assert row.age_seconds is not None
    assert 0 <= row.age_seconds < 60
    assert row.changed_at is not None
    assert bot.id not in {row.bot_id for row in await feed.changed_since(row.changed_at)}
    assert bot.id in {row.bot_id for row in await feed.all()}


async def test_health_that_nobody_understands_does_not_stop_the_operator(
    operator: Store, bot: Bot, store: Store, lease: Lease
) -> None:
    nonsense = sa.text("update botfleet.leases set health = '{\"spec_digest\": [1]}', health_changed_at = now()")
    async with store.begin() as connection:
        await connection.execute(nonsense)
    rows = {row.bot_id: row for row in await HealthFeed(operator).all()}
    assert rows[bot.id].health is None


async def test_waiting_for_a_schema_ends_with_what_is_missing(installation: Installation) -> None:
    store = create_store(
        f"postgresql://postgres@{installation.server.host}:{installation.server.port}/postgres",
        installation.server.password,
    )
    with pytest.raises(StoreUnavailable, match=f"has no schema yet; revision {REVISION} is needed"):
        await wait_for_schema(store, 0.2)
    await store.close()


async def test_another_bots_lease_never_waits_for_ours(
    installation: Installation, operator: Store, store: Store, lease: Lease
) -> None:
    neighbour = await installation.new_bot(operator)
    assert neighbour.role_name is not None
    foreign = installation.store(neighbour.role_name)
    async with store.begin() as connection:
        await Fenced(store, lease, ACCOUNT).fence(connection)
        taken = await LeaseRepository(foreign, neighbour.id).acquire("holder", 60)
        assert taken is not None
        await MessagePath(foreign, taken, ACCOUNT).take_in(Intake(messages=(incoming(1),)))
    await take_over(store, lease.bot_id)
    assert await LeaseRepository(foreign, neighbour.id).renew(taken)
    await foreign.close()
