"""What models cost: counted once, with the answer or without one, and kept for the day and the bot."""

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.lease import Lease
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Deletion, Intake, NewerPending, Spending, Stored
from botfleet.store.tables import usage
from botfleet.store.usage import Spent
from tests.contracts.store.samples import ACCOUNT, OTHER, PERSON, draft, snapshot, taken_in

DAY = date(2026, 11, 1)


def spending(tokens: int = 10, model: str = "m", day: date = DAY) -> Spending:
    return Spending(day, model, tokens, 2 * tokens, 3 * tokens)


async def rows(store: Store) -> list[tuple[object, ...]]:
    async with store.read() as connection:
        found = await connection.execute(sa.select(usage).order_by(usage.c.day, usage.c.model))
        return [tuple(row)[1:] for row in found]


async def test_spending_adds_up_by_day_and_model(store: Store, path: MessagePath) -> None:
    assert await path.spent_on(DAY) == Spent(0, 0)
    await path.note_spent([spending(1), spending(10, "n"), spending(100)])
    await path.note_spent([spending(1000), spending(5, day=DAY + timedelta(days=1))])
    await path.note_spent([])
    assert await rows(store) == [
        (DAY, "m", 3, 1101, 2202, 3303),
        (DAY, "n", 1, 10, 20, 30),
        (DAY + timedelta(days=1), "m", 1, 5, 10, 15),
    ]
    assert await path.spent_on(DAY) == Spent(3333, 3333)
    assert await path.spent_on(DAY + timedelta(days=1)) == Spent(15, 15)


async def test_an_answer_is_stored_together_with_what_it_cost(store: Store, path: MessagePath) -> None:
    waiting = await taken_in(path, 1)
    spent = [spending(1), spending(2, "n")]
    assert await path.store_answer(PERSON, waiting, [draft(10)], replies_are_final=False, spent=spent) == Stored(1, 1)
    assert await path.spent_on(DAY) == Spent(9, 9)


async def test_an_answer_stored_again_after_a_kill_is_counted_once(store: Store, path: MessagePath) -> None:
    waiting = await taken_in(path, 1)
    for final in (False, False, True):
        await path.store_answer(PERSON, waiting, [draft(10)], replies_are_final=final, spent=[spending()])
    assert await rows(store) == [(DAY, "m", 1, 10, 20, 30)]


async def test_an_answer_that_is_sent_back_or_comes_too_late_was_paid_for_too(store: Store, path: MessagePath) -> None:
    waiting = await taken_in(path, 1)
    await taken_in(path, 2)
    back = await path.store_answer(PERSON, waiting, [draft(10)], replies_are_final=False, spent=[spending()])
    assert back == NewerPending()
    await path.take_in(Intake(deletions=(Deletion(1),)))
    late = await path.store_answer(PERSON, waiting, [draft(10)], replies_are_final=True, spent=[spending()])
    assert late == Stored(closed=0, queued=0)
    assert await rows(store) == [(DAY, "m", 2, 20, 40, 60)]


async def test_what_costs_nothing_writes_nothing(store: Store, path: MessagePath) -> None:
    waiting = await taken_in(path, 1)
    await path.store_answer(PERSON, waiting, [draft(10)], replies_are_final=False)
    await path.note_spent([])
    assert (await snapshot(store)).count("usage") == 0


async def test_usage_is_the_bots_whichever_account_it_has(store: Store, lease: Lease, path: MessagePath) -> None:
    await path.note_spent([spending()])
    other = MessagePath(store, lease, ACCOUNT + 1)
    assert await other.spent_on(DAY) == Spent(30, 30)
    await other.note_spent([spending()])
    assert await path.spent_on(DAY) == Spent(60, 60)


@pytest.mark.parametrize("peer_id", [PERSON, OTHER])
async def test_more_than_fits_a_small_number_is_counted(path: MessagePath, peer_id: int) -> None:
    waiting = await taken_in(path, 1, peer_id=peer_id)
    much = Spending(DAY, "m" * 256, 2**40, 2**40, 2**50)
    await path.store_answer(peer_id, waiting, [draft(10)], replies_are_final=False, spent=[much, much])
    assert await path.spent_on(DAY) == Spent(2**42, 2**51)
