"""What the operator keeps: bots, bindings, health. The fixture `admin` is a store that may see all of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.health import Health
from botfleet.store.binding import Binding, BindingRepository, Bound, InUse
from botfleet.store.bots import Bot, BotRepository, principal, runner_group
from botfleet.store.engine import Store
from botfleet.store.errors import StoreError
from botfleet.store.health_feed import HealthFeed
from botfleet.store.lease import LeaseRepository
from botfleet.store.tables import bindings as table
from botfleet.store.tables import bots as bots_table
from tests.contracts.store.retiring import retired

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=61)


@pytest.fixture
def bots(admin: Store) -> BotRepository:
    return BotRepository(admin)


@pytest.fixture
def bindings(admin: Store) -> BindingRepository:
    return BindingRepository(admin)


@pytest.fixture
async def one(bots: BotRepository, namespace: str) -> Bot:
    return await bots.create(namespace, "one", "uid-1", "1nsta11d")


@pytest.fixture
async def two(bots: BotRepository, namespace: str) -> Bot:
    return await bots.create(namespace, "two", "uid-2", "1nsta11d")


@pytest.fixture
def account(one: Bot) -> str:
    return f"bot:{one.id}"


async def test_a_bot_is_found_by_its_name_while_it_lives(bots: BotRepository, one: Bot) -> None:
    assert await bots.living_or_retained(one.namespace, "one", "whatever") == one
    assert one.role_name == one.redis_user == principal("1nsta11d", one.id)
    assert len(one.role_name or "") == len("bf_") + 8 + 1 + 16
    gone = await retired(bots, one.id)
    assert gone.deleted_at is not None
    assert await retired(bots, one.id) == gone
    assert await bots.living_or_retained(one.namespace, "one", "whatever") is None
    assert await bots.get(one.id) == gone


async def test_two_living_bots_cannot_have_one_name(bots: BotRepository, one: Bot) -> None:
    with pytest.raises(StoreError):
        await bots.create(one.namespace, "one", "uid-3", "1nsta11d")
    await retired(bots, one.id)
    again = await bots.create(one.namespace, "one", "uid-3", "1nsta11d")
    assert again.id != one.id


async def test_all_bots_are_listed_retained_ones_on_demand(bots: BotRepository, one: Bot, two: Bot) -> None:
    await retired(bots, one.id)
    living = {bot.id for bot in await bots.list_all(living=True)}
    everything = {bot.id for bot in await bots.list_all()}
    named = {key: row for key, row in (await bots.living()).items() if key[0] == one.namespace}
    assert named == {(two.namespace, "two"): (two.id, "uid-2")}
    assert two.id in living
    assert one.id not in living
    assert {one.id, two.id} <= everything


async def test_retained_data_goes_only_to_the_credential_that_made_it(
    bots: BotRepository, bindings: BindingRepository, one: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    await retired(bots, one.id)
    assert await bots.living_or_retained(one.namespace, "one", "another") is None
    found = await bots.living_or_retained(one.namespace, "one", "digest")
    assert found is not None
    assert found.deleted_at is not None
    adopted = await bots.adopt(found.id, "uid-9", was="uid-1")
    assert adopted is not None
    assert (adopted.id, adopted.uid, adopted.deleted_at) == (one.id, "uid-9", None)


async def test_a_row_is_given_to_another_object_only_as_it_was_read(bots: BotRepository, one: Bot) -> None:
    adopted = await bots.adopt(one.id, "uid-2", was="uid-1")
    assert adopted is not None
    assert (adopted.id, adopted.uid) == (one.id, "uid-2")
    assert await bots.adopt(one.id, "uid-late", was="uid-1") is None
    assert await bots.adopt(one.id, "uid-late", was=None) is None
    assert await bots.get(one.id) == adopted
    gone = await retired(bots, one.id)
    assert await bots.adopt(one.id, "uid-late", was="uid-1") is None, "nor when it was retired since"
    assert await bots.get(one.id) == gone
    back = await bots.adopt(one.id, "uid-3", was="uid-2")
    assert back is not None
    assert (back.uid, back.deleted_at) == ("uid-3", None)
    assert await bots.get(one.id) == back


async def test_of_two_that_give_a_row_to_their_objects_at_once_one_does(bots: BotRepository, one: Bot) -> None:
    results = await asyncio.gather(*(bots.adopt(one.id, uid, was="uid-1") for uid in ("uid-2", "uid-3")))
    (done,) = [result for result in results if result is not None]
    assert await bots.get(one.id) == done


async def test_who_lives_under_a_name_comes_before_what_is_retained_and_of_that_the_newest(
    bots: BotRepository, bindings: BindingRepository, one: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    await retired(bots, one.id)
    newer = await bots.create(one.namespace, "one", "uid-7", "1nsta11d")
    await bindings.bind(newer.id, account, "digest", LATER)
    assert await bots.living_or_retained(one.namespace, "one", "digest") == await bots.get(newer.id)
    await retired(bots, newer.id)
    living = await bots.create(one.namespace, "one", "uid-8", "1nsta11d")
    assert await bots.living_or_retained(one.namespace, "one", "digest") == living
    await bots.erase(living.id)
    assert await bots.living_or_retained(one.namespace, "one", "digest") == await bots.get(newer.id)


async def test_erasing_leaves_nothing(bots: BotRepository, bindings: BindingRepository, one: Bot, account: str) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    await bots.erase(one.id)
    assert await bots.get(one.id) is None
    assert await bindings.get(account) is None


async def test_a_rotation_raises_the_generation_once_for_each_request(bots: BotRepository, one: Bot) -> None:
    assert (one.credentials_generation, one.credentials_rotation) == (1, None)
    for request, generation in (("a", 2), ("a", 2), ("b", 3), ("a", 4)):
        rotated = await bots.rotate_credentials(one.id, request)
        assert (rotated.credentials_generation, rotated.credentials_rotation) == (generation, request)
        assert rotated.session_key_generation == one.session_key_generation


async def test_a_bot_that_is_not_there_is_an_error(bots: BotRepository) -> None:
    assert not await bots.retire("0" * 32, "uid-1")
    assert await bots.adopt("0" * 32, "uid-1", was=None) is None
    with pytest.raises(StoreError):
        await bots.rotate_credentials("0" * 32, "request")


async def test_the_installation_remembers_its_first_key(bots: BotRepository) -> None:
    installation = await bots.installation()
    assert len(installation.id) == 8
    assert runner_group(installation.id) == f"bf_{installation.id}_runner"
    assert await bots.set_key_fingerprint("one")
    assert await bots.set_key_fingerprint("one")
    assert not await bots.set_key_fingerprint("two")
    assert await bots.set_cluster_uid("cluster")
    assert not await bots.set_cluster_uid("another")
    assert (await bots.installation()).key_fingerprint == "one"


async def test_a_free_account_is_bound_provisionally(
    bots: BotRepository, bindings: BindingRepository, one: Bot, account: str
) -> None:
    expected = Binding(account, one.id, "digest", proved=False, bound_at=NOW)
    assert await bindings.bind(one.id, account, "digest", NOW) == Bound(expected, changed=True)
    assert await bindings.bind(one.id, account, "digest", LATER) == Bound(expected, changed=False)
    assert await bindings.of_bot(one.id) == [expected]
    bot = await bots.get(one.id)
    assert bot is not None
    assert bot.credential_digest == "digest"


async def test_a_proved_account_keeps_others_out_for_good(
    bindings: BindingRepository, one: Bot, two: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    assert await bindings.prove(account, one.id)
    assert not await bindings.prove(account, two.id)
    assert await bindings.bind(two.id, account, "another", LATER) == InUse(one.id)


async def test_a_made_up_credential_does_not_keep_the_accounts_owner_out(
    bindings: BindingRepository, one: Bot, two: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "made up", NOW)
    assert await bindings.bind(two.id, account, "real", NOW + timedelta(seconds=59)) == InUse(one.id)
    bound = await bindings.bind(two.id, account, "real", LATER)
    assert isinstance(bound, Bound)
    assert bound.binding.bot_id == two.id
    assert await bindings.bind(one.id, account, "made up", LATER) == InUse(two.id)


async def test_one_credential_in_two_bots_stays_where_it_is(
    bindings: BindingRepository, one: Bot, two: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    assert await bindings.bind(two.id, account, "digest", LATER) == InUse(one.id)


async def test_another_credential_of_the_same_bot_is_proved_anew(
    bindings: BindingRepository, one: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    await bindings.prove(account, one.id)
    bound = await bindings.bind(one.id, account, "rotated", LATER)
    assert isinstance(bound, Bound)
    assert (bound.binding.proved, bound.binding.credential_digest) == (False, "rotated")
    assert await bindings.get(account) == bound.binding


async def test_a_deleted_bots_account_passes_on_when_its_runner_is_gone(
    admin: Store, bindings: BindingRepository, one: Bot, two: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    await bindings.prove(account, one.id)
    lease = await LeaseRepository(admin, one.id).acquire("holder", 60)
    assert lease is not None
    async with admin.begin() as connection:  # as an operator of an earlier release left it when it was killed
        await connection.execute(sa.update(bots_table).where(bots_table.c.id == one.id).values(deleted_at=NOW))
    assert await bindings.bind(two.id, account, "digest", NOW) == InUse(one.id)
    await LeaseRepository(admin, one.id).release(lease)
    assert isinstance(await bindings.bind(two.id, account, "digest", NOW), Bound)


async def test_once_an_account_is_proved_those_of_another_credential_are_free(
    bindings: BindingRepository, one: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    await bindings.prove(account, one.id)
    for key in (f"session:{one.id}", f"user:{one.id}"):
        await bindings.bind(one.id, key, "another", NOW)
    assert len(await bindings.of_bot(one.id)) == 3, "nothing is free before"
    await bindings.prove(f"session:{one.id}", one.id)
    assert [binding.account_key for binding in await bindings.of_bot(one.id)] == [f"session:{one.id}", f"user:{one.id}"]


async def test_a_row_is_retired_for_its_object_alone_and_its_accounts_are_free(
    bots: BotRepository, bindings: BindingRepository, one: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    assert await bots.adopt(one.id, "uid-of-the-next", was="uid-1")
    assert not await bots.retire(one.id, "uid-1")
    assert await bots.living_or_retained(one.namespace, "one", "digest") is not None
    assert await bindings.get(account) is not None
    assert await bots.retire(one.id, "uid-of-the-next")
    assert await bindings.of_bot(one.id) == []


async def test_a_credential_that_was_never_proved_takes_no_data_from_the_one_that_was(
    bots: BotRepository, bindings: BindingRepository, one: Bot, account: str
) -> None:
    await bindings.bind(one.id, account, "right", NOW)
    await bindings.prove(account, one.id)
    await bindings.bind(one.id, account, "wrong", LATER)
    await retired(bots, one.id)
    assert await bots.living_or_retained(one.namespace, "one", "wrong") is None
    assert await bots.living_or_retained(one.namespace, "one", "right") is not None


async def test_of_two_that_bind_at_once_one_gets_the_account(
    bindings: BindingRepository, one: Bot, two: Bot, account: str
) -> None:
    results = await asyncio.gather(*(bindings.bind(bot.id, account, bot.id, datetime.now(UTC)) for bot in (one, two)))
    assert sorted(type(result).__name__ for result in results) == ["Bound", "InUse"]


async def test_an_account_that_is_given_up_while_another_bot_asks_for_it_is_that_bots(
    bindings: BindingRepository, one: Bot, two: Bot, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bindings.bind(one.id, account, "digest", NOW)
    honest = bindings._locked

    async def late(connection: AsyncConnection, account_key: str) -> Binding | None:
        # As if its holder's transaction had ended after it was found taken.
        await connection.execute(sa.delete(table).where(table.c.bot_id == one.id))
        return await honest(connection, account_key)

    monkeypatch.setattr(bindings, "_locked", late)
    expected = Binding(account, two.id, "digest", proved=False, bound_at=LATER)
    assert await bindings.bind(two.id, account, "digest", LATER) == Bound(expected, changed=True)
    assert await bindings.of_bot(two.id) == [expected]


async def test_health_is_fed_with_the_age_of_the_last_renewal(admin: Store, one: Bot, two: Bot) -> None:
    feed = HealthFeed(admin)
    leases = LeaseRepository(admin, one.id)
    lease = await leases.acquire("holder", 60)
    assert lease is not None
    await leases.report(lease, Health(spec_digest="a"))
    rows = {row.bot_id: row for row in await feed.all()}
    assert rows[one.id].health == Health(spec_digest="a")
    assert rows[one.id].holder == "holder"
    assert 0 <= (rows[one.id].age_seconds or 0) < 60
    assert (rows[two.id].age_seconds, rows[two.id].health) == (None, None)
    changed = rows[one.id].changed_at
    assert changed is not None
    assert one.id in {row.bot_id for row in await feed.changed_since(changed - timedelta(seconds=10))}
    assert one.id not in {row.bot_id for row in await feed.changed_since(changed + timedelta(seconds=10))}
