"""A bot that runs alone keeps its file over upgrades of the program."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.store import schema
from botfleet.store.engine import create_store
from botfleet.store.errors import SchemaIncompatible
from botfleet.store.identity import ensure_standalone_bot
from botfleet.store.schema import COMPATIBLE_FROM, REVISION, create_all_sqlite, stored_revision
from botfleet.store.tables import metadata

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))


def shape(file: Path) -> dict[str, Any]:
    """Tables with their columns, and indexes with their conditions, whatever their order."""
    with sqlite3.connect(file) as connection:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        columns = {
            table: sorted(row[1:] for row in connection.execute("select * from pragma_table_info(?)", (table,)))
            for table in tables
        }
        indexes = set(
            connection.execute("select name, sql from sqlite_master where type = 'index' and sql is not null")
        )
    connection.close()
    return {"columns": columns, "indexes": indexes}


async def prepared(file: Path, then: Callable[..., Any] | None = None) -> dict[str, Any]:
    store = create_store(f"sqlite:///{file}")
    try:
        await create_all_sqlite(store)
        assert await stored_revision(store) == (REVISION, COMPATIBLE_FROM)
        if then is not None:
            await then(store)
    finally:
        await store.close()
    return shape(file)


def old(file: Path, path: Path) -> None:
    """A file as a program of that revision has left it, with a bot and a message in it."""
    with sqlite3.connect(file) as connection:
        connection.executescript(path.read_text())
        connection.execute("insert into alembic_version values (?)", (path.stem,))
        connection.execute(
            "insert into installation (only, id, compatible_from, created_at) values (1, 'abcdef01', ?, '2026-01-01 00:00:00')",
            (path.stem,),
        )
        connection.execute(
            "insert into bots (id, namespace, name, created_at) values ('b1', 'hotel', 'concierge', '2026-01-01 00:00:00')"
        )
        connection.execute(
            "insert into inbox (bot_id, account_id, peer_id, message_id, text, date, trace_id, received_at) "
            "values ('b1', 777, 5, 1, 'hello', '2026-01-01 00:00:00', 't', '2026-01-01 00:00:00')"
        )
    connection.close()


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
async def test_a_file_of_an_earlier_revision_becomes_what_a_new_one_is_and_keeps_its_rows(
    path: Path, tmp_path: Path
) -> None:
    old(tmp_path / "old.db", path)

    async def same_bot(store: Any) -> None:
        assert (await ensure_standalone_bot(store, "hotel", "concierge")).id == "b1"

    upgraded = await prepared(tmp_path / "old.db", same_bot)
    assert upgraded == await prepared(tmp_path / "new.db")
    with sqlite3.connect(tmp_path / "old.db") as connection:
        assert connection.execute("select text, state from inbox").fetchall() == [("hello", "pending")]
    connection.close()


async def test_columns_tables_and_indexes_that_a_file_lacks_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a later revision would: a table more, and in one that is known a column with a default and an index on it."""
    await prepared(tmp_path / "bot.db")
    later = sa.MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.tables.values():
        table.to_metadata(later)
    later.tables["chats"].append_column(sa.Column("mood", sa.String(8), nullable=False, server_default="calm"))
    sa.Index("ix_chats_mood", later.tables["chats"].c.mood)
    sa.Table("moods", later, sa.Column("id", sa.Integer, primary_key=True))
    monkeypatch.setattr(schema, "metadata", later)
    monkeypatch.setattr(schema, "REVISION", "9998")
    store = create_store(f"sqlite:///{tmp_path / 'bot.db'}")
    await create_all_sqlite(store)
    await create_all_sqlite(store)
    assert (await stored_revision(store) or ("",))[0] == "9998"
    await store.close()
    found = shape(tmp_path / "bot.db")
    assert ("mood", "VARCHAR(8)", 1, "'calm'", 0) in found["columns"]["chats"]
    assert "moods" in found["columns"]
    assert "ix_chats_mood" in {name for name, _ in found["indexes"]}


async def test_a_file_that_a_later_program_has_changed_is_refused_and_stays(tmp_path: Path) -> None:
    await prepared(tmp_path / "bot.db")
    with sqlite3.connect(tmp_path / "bot.db") as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.execute("update installation set compatible_from = '9999'")
    connection.close()
    before = shape(tmp_path / "bot.db")
    store = create_store(f"sqlite:///{tmp_path / 'bot.db'}")
    with pytest.raises(SchemaIncompatible, match="revision 9999, this program knows"):
        await create_all_sqlite(store)
    await store.close()
    assert shape(tmp_path / "bot.db") == before
