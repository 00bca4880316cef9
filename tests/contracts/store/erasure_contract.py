"""Erasing takes every row of a bot, in batches, and leaves digests of whom it knew. `admin` is the operator's store, `writer` any
that may write rows of bots."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.store import erasure
from botfleet.store.bots import Bot, BotRepository
from botfleet.store.engine import Store
from botfleet.store.erasure import ERASED_FIRST, ErasureRepository
from botfleet.store.tables import UtcDateTime, bindings, bots, leases, metadata, tombstones
from tests.contracts.store.samples import ACCOUNT, GROUP, OTHER, PERSON

KEY = b"i" * 32
OF_A_BOT = [table for table in metadata.sorted_tables if "bot_id" in table.c]
PEERS = {"peer_id": PERSON, "person_id": OTHER, "sender_id": 4711, "account_id": ACCOUNT}


def _value(column: sa.Column[Any], number: int) -> Any:
    """Something that the column takes."""
    if column.name in PEERS:
        return PEERS[column.name]
    if isinstance(column.type, UtcDateTime):
        return datetime(2026, 11, 1, tzinfo=UTC)
    if isinstance(column.type, sa.JSON):
        return {}
    values: dict[type, Any] = {int: number, str: f"x{number}", bytes: b"x", bool: False, date: date(2026, 11, number)}
    return values[column.type.python_type]


async def fill(writer: Store, bot_id: str, *numbers: int, but: tuple[sa.Table, ...] = ()) -> None:
    """Rows in every table that has a bot's rows, whatever it is, `but` in these, and the lease, which is there."""
    async with writer.begin() as connection:
        for table in OF_A_BOT:
            for number in numbers if table not in (leases, *but) else ():
                row = {column.name: _value(column, number) for column in table.columns}
                if table is bindings:
                    row["account_key"] = f"bot:{bot_id}:{number}"
                last = list(table.primary_key.columns)[-1]
                if number > 1 and last.name in PEERS:
                    row[last.name] = 1000 + number  # somebody else, or the key would be taken
                await connection.execute(sa.insert(table).values(**{**row, "bot_id": bot_id}))


async def counts(store: Store, bot_id: str) -> dict[str, int]:
    counted = {}
    async with store.read() as connection:
        for table in OF_A_BOT:
            statement = sa.select(sa.func.count(table.c.bot_id)).where(table.c.bot_id == bot_id)
            counted[table.name] = (await connection.execute(statement)).scalar_one()
    return counted


@pytest.fixture
async def doomed(admin: Store, namespace: str) -> Bot:
    return await BotRepository(admin).create(namespace, "doomed", f"uid-{namespace}", "1nsta11d")


@pytest.fixture
async def neighbour(admin: Store, namespace: str) -> Bot:
    return await BotRepository(admin).create(namespace, "neighbour", f"uid-n-{namespace}", "1nsta11d")


@pytest.fixture
def erasing(admin: Store) -> ErasureRepository:
    return ErasureRepository(admin, KEY)


async def test_erasing_takes_every_row_of_every_table_of_the_bot_and_none_of_another(
    admin: Store, writer: Store, erasing: ErasureRepository, doomed: Bot, neighbour: Bot, monkeypatch: Any
) -> None:
    monkeypatch.setattr(erasure, "BATCH", 2)
    for bot in (doomed, neighbour):
        await fill(writer, bot.id, 1, 2, 3)
    before = await counts(writer, neighbour.id)
    assert set(before) == {table.name for table in OF_A_BOT}
    assert min((await counts(writer, doomed.id)).values()) >= 1, "a row in every table"
    batches = [rows async for rows in erasing.batches(doomed.id)]
    assert max(batches) <= 2
    left = await counts(writer, doomed.id)
    assert {name for name, rows in left.items() if rows} == {bindings.name, leases.name}, "whose data it is, to the end"
    await BotRepository(admin).erase(doomed.id)
    assert set((await counts(writer, doomed.id)).values()) == {0}
    assert await BotRepository(admin).get(doomed.id) is None
    assert await counts(writer, neighbour.id) == before


async def test_who_was_erased_is_known_by_a_digest_that_tells_nothing_without_the_installations_key(
    admin: Store, writer: Store, erasing: ErasureRepository, doomed: Bot
) -> None:
    await fill(writer, doomed.id, 1, 2)
    assert [rows async for rows in erasing.batches(doomed.id)]
    asked = [PERSON, OTHER, 4711, GROUP]
    assert await erasing.erased(ACCOUNT, asked) == {PERSON, OTHER, 4711}
    assert await erasing.erased(ACCOUNT + 1, asked) == set(), "of another account nothing was erased"
    assert await ErasureRepository(admin, b"j" * 32).erased(ACCOUNT, asked) == set()
    async with admin.read() as connection:
        stored = (await connection.execute(sa.select(tombstones.c.digest))).scalars().all()
    assert all(len(digest) == 64 and str(PERSON) != digest for digest in stored)


async def test_killed_between_two_batches_it_goes_on_and_leaves_the_same(
    admin: Store, writer: Store, erasing: ErasureRepository, doomed: Bot, monkeypatch: Any
) -> None:
    monkeypatch.setattr(erasure, "BATCH", 1)
    await fill(writer, doomed.id, 1, 2)
    done = 0
    while True:
        batches = erasing.batches(doomed.id)
        if await anext(batches, None) is None:
            break
        await batches.aclose()  # type: ignore[attr-defined]
        done += 1
    assert done > len(ERASED_FIRST)
    assert await erasing.erased(ACCOUNT, [PERSON, OTHER, 4711]) == {PERSON, OTHER, 4711}
    assert [rows async for rows in erasing.batches(doomed.id)] == []


def test_a_table_of_a_bot_is_erased_or_goes_with_the_bots_row() -> None:
    assert {table.name for table in OF_A_BOT} == {t.name for t in (*ERASED_FIRST, bindings, leases)}
    for table in OF_A_BOT:
        (key,) = table.c.bot_id.foreign_keys
        assert (key.column.table, key.ondelete) == (bots, "CASCADE"), table.name
