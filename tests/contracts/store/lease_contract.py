"""The lease: one holder at a time, by the database's clock."""

import asyncio
from dataclasses import replace

import sqlalchemy as sa

from botfleet.conditions import Reason
from botfleet.health import Health
from botfleet.store.engine import Store
from botfleet.store.lease import Lease, LeaseRepository
from botfleet.store.tables import leases as table
from tests.waiting import DEADLINE

SHORT = 0.6
LONG = 60.0


async def _changed_at(store: Store) -> object:
    async with store.read() as connection:
        return (await connection.execute(sa.select(table.c.health_changed_at))).scalar_one()


async def test_a_free_lease_is_taken_with_a_token_that_is_not_0(leases: LeaseRepository) -> None:
    lease = await leases.acquire("one", LONG)
    assert lease is not None
    assert lease.token != 0
    stored = await leases.current()
    assert stored is not None
    assert (stored.holder, stored.token) == ("one", lease.token)


async def test_another_holder_waits_until_the_term_has_passed(leases: LeaseRepository) -> None:
    lease = await leases.acquire("one", LONG)
    assert lease is not None
    assert await leases.acquire("two", LONG) is None
    assert await leases.renew(replace(lease, term=SHORT))
    before = await leases.current()
    async with asyncio.timeout(DEADLINE):
        while await leases.acquire("two", LONG) is None:  # noqa: ASYNC110 - only the database knows
            await asyncio.sleep(0.02)
    after = await leases.current()
    assert before is not None
    assert before.expires_at is not None
    assert after is not None
    assert after.renewed_at is not None
    assert after.renewed_at >= before.expires_at


async def test_a_restarted_holder_takes_over_at_once_with_another_token(leases: LeaseRepository) -> None:
    before = await leases.acquire("one", LONG)
    after = await leases.acquire("one", LONG)
    assert before is not None
    assert after is not None
    assert before.token != after.token
    assert not await leases.renew(before)
    assert await leases.renew(after)


async def test_of_many_that_want_a_free_lease_one_gets_it(leases: LeaseRepository) -> None:
    got = await asyncio.gather(*(leases.acquire(f"holder {number}", LONG) for number in range(5)))
    assert len([lease for lease in got if lease is not None]) == 1


async def test_a_renewal_keeps_others_out_beyond_the_first_term(leases: LeaseRepository) -> None:
    lease = await leases.acquire("one", LONG)
    assert lease is not None
    before = await leases.current()
    assert await leases.renew(lease)
    after = await leases.current()
    assert before is not None
    assert after is not None
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert after.expires_at > before.expires_at


async def test_a_released_lease_is_free_at_once(leases: LeaseRepository) -> None:
    lease = await leases.acquire("one", LONG)
    assert lease is not None
    await leases.release(lease)
    assert await leases.acquire("two", LONG) is not None


async def test_a_lost_lease_is_neither_renewed_nor_released_by_its_former_holder(leases: LeaseRepository) -> None:
    lost = await leases.acquire("one", LONG)
    assert lost is not None
    await leases.release(lost)
    new = await leases.acquire("two", LONG)
    assert new is not None
    assert not await leases.renew(lost)
    await leases.release(lost)
    assert await leases.renew(new)


async def test_health_is_stamped_only_when_it_differs(store: Store, leases: LeaseRepository, lease: Lease) -> None:
    await leases.report(lease, Health(spec_digest="a", connected=False))
    first = await _changed_at(store)
    await leases.report(lease, Health(spec_digest="a", connected=False))
    assert await _changed_at(store) == first
    await leases.report(lease, Health(spec_digest="a", connected=True, reason=Reason.TOKEN_INVALID))
    assert await _changed_at(store) != first
    stored = await leases.current()
    assert stored is not None
    assert stored.health == Health(spec_digest="a", connected=True, reason=Reason.TOKEN_INVALID)


async def test_a_former_holder_reports_nothing(leases: LeaseRepository, lease: Lease) -> None:
    await leases.release(lease)
    await leases.report(lease, Health(spec_digest="a"))
    stored = await leases.current()
    assert stored is not None
    assert stored.health is None
