"""Promises before the migrations have run: programs wait, and go on as soon as the schema is there."""

import asyncio
import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from botfleet.keys import KEY_BYTES
from botfleet.store.bots import Bot
from botfleet.store.engine import Store
from botfleet.store.schema import COMPATIBLE_FROM, REVISION, stored_revision, wait_for_schema
from botrunner.config import Settings
from botrunner.opening import open_store
from botrunner.prepare import Prepared
from tests.support.installation import Installation
from tests.waiting import DEADLINE, until_async


@contextlib.contextmanager
def before_the_migrations(installation: Installation) -> Iterator[None]:
    """The schema is not there: in this block no program finds its tables."""

    def rename(old: str, new: str) -> None:
        with installation.superuser() as connection:
            connection.execute(f'alter schema "{old}" rename to "{new}"')

    rename("botfleet", "not_yet")
    try:
        yield
    finally:
        rename("not_yet", "botfleet")


async def test_programs_wait_for_the_migrations_with_their_own_roles(
    installation: Installation, store: Store, operator: Store
) -> None:
    with before_the_migrations(installation):
        waiting = [asyncio.create_task(wait_for_schema(program, DEADLINE)) for program in (store, operator)]
        for program in (store, operator):
            assert await stored_revision(program) is None
        assert not any(task.done() for task in waiting)
    await asyncio.gather(*waiting)
    assert await stored_revision(store) == await stored_revision(operator) == (REVISION, COMPATIBLE_FROM)


async def test_a_runner_started_before_the_migrations_opens_its_store_after_them(
    installation: Installation, bot: Bot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    assert bot.role_name is not None
    monkeypatch.setattr("botrunner.opening.SCHEMA_SECONDS", 0.2)
    (tmp_path / "database-password").write_text(installation.passwords[bot.role_name])
    (tmp_path / "session-key").write_bytes(base64.urlsafe_b64encode(os.urandom(KEY_BYTES)))
    server = installation.server
    settings = Settings(
        manifest=tmp_path / "unused",
        own_dir=tmp_path,
        database_url=f"postgresql://{bot.role_name}@{server.host}:{server.port}/botfleet",
    )
    # Where a shared store is opened, the rest of what was prepared is not looked at.
    prepared = Prepared(settings, cast(Any, None), cast(Any, None), "", cast(Any, None))
    opened = asyncio.Event()

    async def start() -> str:
        async with open_store(prepared, asyncio.Event()) as found:
            assert found is not None
            opened.set()
            return found.bot.id

    with before_the_migrations(installation):
        runner = asyncio.create_task(start())

        async def has_waited() -> bool:
            return "database_unavailable" in capsys.readouterr().out

        await until_async(has_waited)
        assert not opened.is_set()
    assert await runner == bot.id
