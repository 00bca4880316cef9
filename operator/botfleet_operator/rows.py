"""
Why: the rows of bots are read once, when a leader begins. A database that was restored, or changed by hand, has others since
then, and nothing else would tell: its bots would get no lease, their accounts would be bound to nobody.
Never: mend a row here. What else is different nobody knows; the process ends, and the next one reads everything.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from botfleet.store.bots import BotRepository
from botfleet.store.engine import Store
from botfleet.store.errors import StoreError
from botfleet_operator.ledger import Ledger
from botfleet_operator.model import BotKey

log = structlog.get_logger("botfleet.operator.rows")

_EVERY_SECONDS = 60.0

Row = tuple[str, str | None] | None
"""A living row's id and its object's UID; None: there is none."""


class RowsDifferError(Exception):
    """The database has other rows than were read or written here."""


class Rows:
    """The living rows in the database, against those in memory. One that differs in the same way at two looks ends the task."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._bots, self._ledger = BotRepository(store), ledger
        self._before: dict[BotKey, tuple[Row, Row]] = {}

    async def run(self) -> None:
        """A look once a minute.

        Raises:
            RowsDifferError: everything has to be read anew.
        """
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            with suppress(StoreError):  # whoever reads health says so
                await self.once()

    async def once(self) -> None:
        """One look. Raises RowsDifferError, or a StoreError."""
        differences = await self._differences()
        lasting = [key for key, rows in differences.items() if self._before.get(key) == rows]
        self._before = differences
        if lasting:
            log.error(
                "rows_differ",
                bots=len(lasting),
                action="the database was restored or changed by hand; the operator begins anew: see docs/failure-modes.md",
            )
            raise RowsDifferError(f"{len(lasting)} bots have other rows than were read or written here")

    async def _differences(self) -> dict[BotKey, tuple[Row, Row]]:
        with self._ledger.row_changes.look() as changed:
            living = await self._bots.living()
        there = {BotKey(*name): row for name, row in living.items()}
        here = {key: (identity.bot_id, identity.uid) for key, identity in self._ledger.living().items()}
        return {
            key: (there.get(key), here.get(key))
            for key in (there.keys() | here.keys()) - changed
            if there.get(key) != here.get(key)
        }
