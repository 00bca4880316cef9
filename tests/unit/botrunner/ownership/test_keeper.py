"""The lease is taken, renewed, and lost in time; health is reported when it changes."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from botfleet.health import Health
from botfleet.store.errors import StoreError, StoreUnavailable
from botfleet.store.lease import Lease
from botrunner.ownership import keeper as keeper_module
from botrunner.ownership.clock import LeaseClock
from botrunner.ownership.keeper import LeaseKeeper
from tests.waiting import until

TERM = 0.3
DEADLINE = 2.0
pytestmark = pytest.mark.looptime


class Table:
    """A lease table in memory, with faults."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.token = 0
        self.renewals = 0
        self.down = False
        self.hangs = False
        self.reports: list[tuple[int, Health]] = []
        self.reported = asyncio.Event()

    async def _ask(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise StoreUnavailable("down")

    async def acquire(self, holder: str, term: float) -> Lease | None:
        await self._ask()
        if self.holder not in (None, holder):
            return None
        self.holder = holder
        self.token += 1
        return Lease("bot", holder, self.token, term)

    async def renew(self, lease: Lease) -> bool:
        await self._ask()
        self.renewals += 1
        return (self.holder, self.token) == (lease.holder, lease.token)

    async def release(self, lease: Lease) -> None:
        await self._ask()
        if self.token == lease.token:
            self.holder = None

    async def report(self, lease: Lease, health: Health) -> None:
        await self._ask()
        self.reports.append((lease.token, health))
        self.reported.set()


@pytest.fixture(autouse=True)
async def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease lives by the event loop's time, which waits for nothing: how busy the machine is costs no lease."""
    time = asyncio.get_running_loop().time
    monkeypatch.setattr(keeper_module, "now", time)
    monkeypatch.setattr(keeper_module, "LeaseClock", partial(LeaseClock, clock=time))


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
async def keeper(table: Table) -> AsyncIterator[LeaseKeeper]:
    made = LeaseKeeper(table, "me", TERM, try_every=0.02, report_every=0.05)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.release()


async def test_a_free_lease_is_taken_and_kept_over_many_terms(keeper, table):
    async with asyncio.timeout(DEADLINE):
        tenure = await keeper.wait_held()
        await until(lambda: table.renewals >= 5)
    assert not tenure.lost.is_set()
    assert keeper.held() is tenure


async def test_another_holders_lease_is_waited_for_and_said_to_be_held_elsewhere(table):
    table.holder = "other"
    keeper = LeaseKeeper(table, "me", TERM, try_every=0.02)
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(DEADLINE):
        await until(lambda: keeper.held_elsewhere)
        assert keeper.held() is None
        table.holder = None
        await keeper.wait_held()
    assert not keeper.held_elsewhere
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await keeper.release()


async def test_a_lease_taken_over_is_lost_cut_and_acquired_anew_with_another_token(keeper, table):
    async with asyncio.timeout(DEADLINE):
        first = await keeper.wait_held()
        table.token += 1  # a second container of the same pod
        await first.lost.wait()
        assert not first.guard.may_act()
        second = await keeper.wait_held()
    assert second.lease.token != first.lease.token
    assert second.guard is not first.guard
    assert second.guard.may_act()


@pytest.mark.parametrize("fault", ["down", "hangs"])
async def test_a_database_that_is_away_costs_the_lease_before_anybody_else_may_have_it(keeper, table, fault):
    async with asyncio.timeout(DEADLINE):
        tenure = await keeper.wait_held()
        setattr(table, fault, True)
        began = asyncio.get_running_loop().time()
        await tenure.lost.wait()
        assert asyncio.get_running_loop().time() - began <= TERM
        assert keeper.held() is None
        setattr(table, fault, False)
        assert await keeper.wait_held() is not tenure


async def test_a_short_outage_does_not_cost_the_lease(keeper, table):
    async with asyncio.timeout(DEADLINE):
        tenure = await keeper.wait_held()
        renewals = table.renewals
        table.down = True
        await asyncio.sleep(TERM / 4)
        table.down = False
        await until(lambda: table.renewals >= renewals + 3)
    assert keeper.held() is tenure


async def test_released_the_next_one_may_have_it_at_once(table):
    keeper = LeaseKeeper(table, "me", TERM, try_every=0.02)
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(DEADLINE):
        tenure = await keeper.wait_held()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await keeper.release()
    assert table.holder is None
    assert not tenure.guard.may_act()
    await keeper.release()  # twice is once


async def test_a_release_that_the_database_does_not_take_is_no_error(table):
    keeper = LeaseKeeper(table, "me", TERM, try_every=0.02)
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(DEADLINE):
        await keeper.wait_held()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    table.down = True
    await keeper.release()
    assert table.holder == "me"  # it expires by itself


async def test_a_changed_health_is_written_once_and_again_under_a_new_lease(keeper, table):
    health = Health(spec_digest="d", connected=True)
    async with asyncio.timeout(DEADLINE):
        tenure = await keeper.wait_held()
        keeper.report(health)
        keeper.report(health)
        await table.reported.wait()
        assert table.reports == [(tenure.lease.token, health)]
        table.reported.clear()
        table.token += 1
        await table.reported.wait()
    assert table.reports[-1] == (keeper.held().lease.token, health)


async def test_of_many_changes_in_a_moment_the_last_is_written_and_few_of_the_others(keeper, table):
    async with asyncio.timeout(DEADLINE):
        await keeper.wait_held()
        for number in range(100):
            keeper.report(Health(spec_digest=str(number)))
            await asyncio.sleep(0)
        await until(lambda: bool(table.reports) and table.reports[-1][1].spec_digest == "99")
    assert len(table.reports) <= 3


async def test_a_report_that_failed_is_written_later(keeper, table):
    async with asyncio.timeout(DEADLINE):
        await keeper.wait_held()
        table.down = True
        keeper.report(Health(spec_digest="d"))
        await asyncio.sleep(0.06)
        table.down = False
        await table.reported.wait()


async def test_a_store_that_refuses_for_good_ends_the_keeper():
    class Refusing(Table):
        async def acquire(self, holder: str, term: float) -> Lease | None:
            raise StoreError("no such table")

    with pytest.raises(ExceptionGroup) as caught:
        await LeaseKeeper(Refusing(), "me", TERM).run()
    assert isinstance(caught.value.exceptions[0], StoreError)
