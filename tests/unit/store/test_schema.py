"""One schema, said three times: in the tables, in the migrations, in the docs."""

import asyncio
import re
import sqlite3
from contextlib import nullcontext
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from botfleet.store import bootstrap_sql
from botfleet.store.engine import SCHEMA, Store, create_store
from botfleet.store.errors import SchemaIncompatible, StoreUnavailable
from botfleet.store.schema import COMPATIBLE_FROM, REVISION, create_all_sqlite, stored_revision, wait_for_schema
from botfleet.store.tables import metadata
from tests.waiting import DEADLINE

ROOT = Path(__file__).parents[3]


def config(path: Path) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(ROOT / "migrations"))
    settings.attributes["url"] = str(path)
    return settings


def upgrade(path: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    settings = config(path)
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
    return engine


def described(path: Path) -> dict[str, list[str]]:
    """SQLite's own words for every table and index: their clauses in no order (a column that is added later comes last)."""
    connection = sqlite3.connect(path)
    rows = connection.execute("select name, sql from sqlite_master where sql is not null").fetchall()
    connection.close()
    return {name: clauses(" ".join(text.split())) for name, text in rows}


def clauses(statement: str) -> list[str]:
    """What stands between the commas of the outermost brackets, and what is around them."""
    depth, parts = 0, [""]
    for sign in statement:
        depth += (sign == "(") - (sign == ")")
        if (sign == "," and depth == 1) or (sign == "(" and depth == 1) or (sign == ")" and depth == 0):
            parts.append("")
        else:
            parts[-1] += sign
    return sorted(part.strip() for part in parts)


async def test_a_file_made_alone_equals_one_made_by_the_migrations(tmp_path: Path) -> None:
    upgrade(tmp_path / "migrated.db").dispose()
    store = create_store(f"sqlite:///{tmp_path / 'alone.db'}")
    await create_all_sqlite(store)
    assert await stored_revision(store) == (REVISION, COMPATIBLE_FROM)
    await store.close()
    assert described(tmp_path / "alone.db") == described(tmp_path / "migrated.db")
    migrated = create_store(f"sqlite:///{tmp_path / 'migrated.db'}")
    assert await stored_revision(migrated) == (REVISION, COMPATIBLE_FROM)
    await migrated.close()


def test_the_migrations_leave_nothing_to_be_done(tmp_path: Path) -> None:
    engine = upgrade(tmp_path / "bot.db")
    with engine.connect() as connection:
        options = {"include_name": lambda name, *_: name != "alembic_version", "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()


def test_revisions_are_zero_padded_numbers_in_one_line_up_to_the_stores() -> None:
    script = ScriptDirectory(str(ROOT / "migrations"))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    assert all(re.fullmatch(r"\d{4}", revision) for revision in revisions)
    assert script.get_current_head() == REVISION
    head = script.get_revision(REVISION).module
    assert head.compatible_from == COMPATIBLE_FROM


async def test_a_file_is_brought_up_once_and_a_later_one_is_refused(tmp_path: Path) -> None:
    store = create_store(f"sqlite:///{tmp_path / 'bot.db'}")
    assert await stored_revision(store) is None
    await create_all_sqlite(store)
    await create_all_sqlite(store)
    await wait_for_schema(store, DEADLINE)
    async with store.begin() as connection:
        await connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    await create_all_sqlite(store)
    await wait_for_schema(store, DEADLINE)
    async with store.begin() as connection:
        await connection.execute(sa.text("update installation set compatible_from = '9998'"))
    with pytest.raises(SchemaIncompatible):
        await create_all_sqlite(store)
    with pytest.raises(SchemaIncompatible, match="Use a newer image"):
        await wait_for_schema(store, DEADLINE)
    await store.close()


async def test_waiting_ends_with_what_is_missing(tmp_path: Path) -> None:
    store = create_store(f"sqlite:///{tmp_path / 'bot.db'}")
    with pytest.raises(StoreUnavailable, match=f"has no schema yet; revision {REVISION} is needed"):
        await wait_for_schema(store, 0.05)
    await store.close()
    missing = create_store(f"sqlite:///{tmp_path / 'no' / 'bot.db'}")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await wait_for_schema(missing, 0.5)  # asked once at least, however long that takes


@pytest.mark.parametrize("found", [(REVISION, COMPATIBLE_FROM), None])
async def test_a_first_look_that_takes_longer_than_the_deadline_is_finished_and_its_answer_counts(
    store: Store, monkeypatch: pytest.MonkeyPatch, found: tuple[str, str] | None
) -> None:
    async def slow(_: Store) -> tuple[str, str] | None:
        await asyncio.sleep(0.05)
        if found is None:
            raise StoreUnavailable("away")
        return found

    monkeypatch.setattr("botfleet.store.schema.stored_revision", slow)
    with nullcontext() if found else pytest.raises(StoreUnavailable, match=r"does not answer \(away\)"):
        await wait_for_schema(store, 0.01)


async def test_only_migrations_make_a_schema_on_postgresql() -> None:
    with pytest.raises(ValueError, match="migrations"):
        await create_all_sqlite(create_store("postgresql://role@host:1/db"))


def test_every_key_of_a_bots_table_begins_with_the_bot() -> None:
    for name, table in metadata.tables.items():
        if name in {"installation", "bots", "bindings", "tombstones"}:
            continue
        keys = [
            constraint
            for constraint in table.constraints
            if isinstance(constraint, sa.PrimaryKeyConstraint | sa.UniqueConstraint)
        ]
        assert all(next(iter(key.columns)).name == "bot_id" for key in keys), name


def test_the_design_page_names_every_table_and_column() -> None:
    page = (ROOT / "docs/design/database.md").read_text()
    picture = page.split("```mermaid")[1].split("```")[0]
    drawn = {
        name: set(re.findall(r"^\s+\w+ (\w+)", body, re.MULTILINE))
        for name, body in re.findall(r"^  (\w+) \{\n(.*?)^  \}", picture, re.MULTILINE | re.DOTALL)
    }
    assert drawn == {name: {column.name for column in table.columns} for name, table in metadata.tables.items()}
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert listed == set(metadata.tables)
    assert f"schema `{SCHEMA}`" in page


def test_the_charts_copy_of_the_superusers_part_is_the_stores() -> None:
    copies = list((ROOT / "charts").rglob("bootstrap.sql"))
    assert all(copy.read_text() == bootstrap_sql() for copy in copies)
