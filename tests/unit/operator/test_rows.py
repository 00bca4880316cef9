"""A database that has other rows than the leader knows of ends it; what the leader does itself never does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from botfleet.store.bots import BotRepository
from botfleet.store.errors import StoreUnavailable
from botfleet_operator.model import BotKey
from botfleet_operator.rows import Rows, RowsDifferError
from botfleet_operator.tasks import Background
from tests.unit.operator.rig import KEY_OF, Rig


@pytest.fixture
def rows(rig: Rig) -> Rows:
    return Rows(rig.store, rig.ledger)


async def erased(rig: Rig) -> None:
    await BotRepository(rig.store).erase(rig.ledger.living()[KEY_OF].bot_id)


async def retired(rig: Rig) -> None:
    assert await BotRepository(rig.store).retire(rig.ledger.living()[KEY_OF].bot_id, "uid-1")


async def given_to_another_object(rig: Rig) -> None:
    assert await BotRepository(rig.store).adopt(rig.ledger.living()[KEY_OF].bot_id, "uid-0", was="uid-1")


async def made_anew(rig: Rig) -> None:
    await erased(rig)
    await BotRepository(rig.store).create("hotel", "concierge", "uid-1", rig.installation_id)


async def one_more(rig: Rig) -> None:
    await BotRepository(rig.store).create("hotel", "of before", "uid-0", rig.installation_id)


@pytest.mark.parametrize("restore", [erased, retired, given_to_another_object, made_anew, one_more])
async def test_a_database_with_other_rows_than_were_read_ends_the_operator_at_the_second_look_and_the_next_one_reads_them(
    rig: Rig, rows: Rows, restore: Callable[[Rig], Awaitable[None]]
) -> None:
    rig.show()
    await rig.reconcile()
    await rows.once()
    await restore(rig)
    await rows.once()
    with pytest.raises(RowsDifferError):
        await rows.once()
    after = await rig.restarted()
    for _ in range(3):
        await Rows(after.store, after.ledger).once()


async def test_what_the_operator_makes_and_removes_between_two_looks_and_during_them_does_not_end_it(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = [f"uid-{number}" for number in range(6)]
    honest = rows._bots.living

    async def late() -> object:
        answer = await honest()  # of before what happens now
        await change(uids.pop())
        return answer

    async def change(uid: str) -> None:
        """The bot is made anew, another one made or removed."""
        if KEY_OF in rig.world.bots:
            rig.hide(uid=rig.world.bots[KEY_OF].uid)
            await rig.reconcile()
        rig.show(uid=uid)
        await rig.reconcile()
        other = BotKey("hotel", "other")
        await rig.ledger.ensure_identity(other, "uid-other", "digest")
        if len(uids) % 2:
            await rig.ledger.erase_row(rig.ledger.living()[other])

    monkeypatch.setattr(rows._bots, "living", late)
    while uids:
        await rows.once()
        if uids:
            await change(uids.pop())


async def test_a_removal_that_takes_longer_than_two_looks_does_not_end_the_operator(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.show()
    await rig.reconcile()
    done, go = asyncio.Event(), asyncio.Event()
    honest = rig.ledger._bots.retire

    async def slowly(bot_id: str, uid: str) -> bool:
        answer = await honest(bot_id, uid)
        done.set()
        await go.wait()
        return answer

    monkeypatch.setattr(rig.ledger._bots, "retire", slowly)
    rig.hide()
    removal = asyncio.create_task(rig.reconcile())
    await done.wait()
    for _ in range(3):
        await rows.once()
    go.set()
    await removal
    for _ in range(2):
        await rows.once()
    assert rig.ledger.living() == {}


async def test_a_difference_that_was_another_at_the_look_before_does_not_end_the_operator_yet(
    rig: Rig, rows: Rows
) -> None:
    rig.show()
    await rig.reconcile()
    await given_to_another_object(rig)
    await rows.once()
    await erased(rig)
    await rows.once()
    with pytest.raises(RowsDifferError):
        await rows.once()


async def test_other_rows_end_the_process_and_a_database_that_is_away_does_not(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.show()
    await rig.reconcile()
    honest, looks = rows._bots.living, 0

    async def seldom() -> object:
        nonlocal looks
        looks += 1
        if looks < 4:
            raise StoreUnavailable("away")
        return await honest()

    monkeypatch.setattr(rows._bots, "living", seldom)
    monkeypatch.setattr("botfleet_operator.rows._EVERY_SECONDS", 0.0)
    await erased(rig)
    background = Background()
    background.start("rows", rows.run())
    async with asyncio.timeout(20):
        await background.died.wait()
    assert (background.dead, looks) == (["rows"], 5), (
        "the operator watches over its tasks: it ends with the first of them"
    )
    await background.stop(20)
