"""How a store opens a database, and what its errors say."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from botfleet.store.engine import Store, create_store, is_unique_violation
from botfleet.store.errors import StoreError, StoreUnavailable
from botfleet.store.identity import ensure_standalone_bot, own_bot
from botfleet.store.schema import create_all_sqlite
from tests.waiting import DEADLINE, until


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://role:secret@host/db", "holds a password"),
        ("mysql://role@host/db", "must begin with"),
        ("sqlite://", "is a file"),
        ("sqlite:///:memory:", "is a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        create_store(url)
    assert "secret" not in str(refused.value)


def test_a_postgresql_store_is_lazy_bounded_and_hides_what_it_writes() -> None:
    store = create_store("postgresql://role@host:1/db", "secret", pool=2, statement_timeout=4)
    assert store.is_postgresql
    assert store.connections == 0
    assert store.engine.sync_engine.hide_parameters
    assert "secret" not in repr(store.engine.url)
    assert store.timeout == 6


async def test_sqlite_is_durable_and_checks_references(tmp_path: Path) -> None:
    store = create_store(f"sqlite:///{tmp_path / 'bot.db'}")
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    async with store.read() as connection:
        for name, value in expected.items():
            assert (await connection.exec_driver_sql(f"pragma {name}")).scalar_one() == value
    await store.close()


async def test_a_failed_block_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(RuntimeError):
        async with store.begin() as connection:
            await connection.execute(sa.text("update bots set name = 'changed'"))
            raise RuntimeError
    assert (await own_bot(store)).name == "concierge"


async def test_two_writers_wait_for_each_other(store: Store) -> None:
    async def write(name: str) -> None:
        async with store.begin() as connection:
            await connection.execute(sa.text("select count(*) from bots"))
            await asyncio.sleep(0)
            await connection.execute(sa.text("update bots set name = :name"), {"name": name})

    await asyncio.gather(*(write(str(number)) for number in range(5)))


async def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    async with store.begin() as connection:
        await connection.execute(sa.text("update bots set name = 'changed'"))
        assert (await own_bot(store)).name == "concierge"
    assert (await own_bot(store)).name == "changed"


async def test_a_key_that_is_taken_is_told_apart(store: Store) -> None:
    with pytest.raises(StoreError) as refused:
        async with store.begin() as connection:
            await connection.execute(sa.text("insert into bots select * from bots"))
    assert is_unique_violation(refused.value)
    with pytest.raises(StoreError) as refused:
        async with store.begin() as connection:
            await connection.execute(sa.text("insert into leases (bot_id) values ('nobody')"))
    assert not is_unique_violation(refused.value)


async def test_what_may_pass_is_an_outage(store: Store, tmp_path: Path) -> None:
    missing = create_store(f"sqlite:///{tmp_path / 'no' / 'folder' / 'bot.db'}")
    with pytest.raises(StoreUnavailable):
        await own_bot(missing)
    store.timeout, before = 0.01, store.timeout
    try:
        with pytest.raises(StoreUnavailable, match="in time"):
            async with store.read():
                await asyncio.sleep(1)
    finally:
        store.timeout = before


async def test_prepared_statements_are_postgresqls(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.run_prepared("select 1", {})


async def test_nobody_starves_beside_tasks_that_ask_again_at_once(store: Store) -> None:
    done = asyncio.Event()

    async def greedy() -> None:
        while not done.is_set():
            await own_bot(store)

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(greedy())
        for _ in range(10):
            await own_bot(store)
        done.set()


async def test_what_is_urgent_waits_behind_nothing_else(tmp_path: Path) -> None:
    store = create_store(f"sqlite:///{tmp_path / 'urgent.sqlite3'}", reserved=1)
    let_go = asyncio.Event()

    async def slow() -> None:
        async with store.read():
            await let_go.wait()

    rush = [asyncio.create_task(slow()) for _ in range(10)]
    await until(lambda: store.connections == 2)
    async with asyncio.timeout(DEADLINE), store.read(urgent=True):
        assert not any(task.done() for task in rush)
    let_go.set()
    await asyncio.gather(*rush)
    await store.close()


def test_a_store_without_a_connection_for_ordinary_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ordinary work"):
        create_store(f"sqlite:///{tmp_path / 'none.sqlite3'}", pool=1, reserved=1)


async def test_connections_of_a_rush_are_closed_a_while_after_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    together = asyncio.Barrier(3)

    async def read() -> None:
        async with store.read() as connection:
            await together.wait()
            await connection.execute(sa.text("select 1"))

    await asyncio.gather(read(), read(), read())
    assert store.connections == 3
    await own_bot(store)
    assert store.connections == 3
    monkeypatch.setattr(store, "idle_seconds", 0.0)
    await own_bot(store)
    await own_bot(store)
    assert store.connections == 1


async def test_a_bot_alone_is_made_once_and_keeps_its_folder(store: Store) -> None:
    made = await ensure_standalone_bot(store, "hotel", "concierge")
    assert await own_bot(store) == made
    with pytest.raises(StoreError, match="belongs to the bot hotel/concierge"):
        await ensure_standalone_bot(store, "hotel", "another")


async def test_a_role_that_is_no_bots_is_told_so(tmp_path: Path) -> None:
    store = create_store(f"sqlite:///{tmp_path / 'bot.db'}")
    await create_all_sqlite(store)
    with pytest.raises(StoreError, match="is not a bot's"):
        await own_bot(store)
    await store.close()
