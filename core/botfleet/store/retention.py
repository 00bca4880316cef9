"""Why: finished work is not kept for ever. Rows that nothing can need any more are removed, a few at a time.

It never touches work that is not finished, nor the history that the model is shown. What it removes has been needed until then to
know a message, or a send, that comes again: so it is kept for much longer than anything comes again (docs/design/database.md).
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.fence import Fenced
from botfleet.store.lease import Lease
from botfleet.store.proof import OPEN
from botfleet.store.tables import InboxState, events, inbox, outbox

BATCH = 500
"""Rows of a table in one transaction: a rush of messages does not wait long behind it."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows one call removed."""

    inbox: int
    outbox: int
    events: int

    @property
    def is_all(self) -> bool:
        """Whether nothing that old is left."""
        return max(self.inbox, self.outbox, self.events) < BATCH


class RetentionRepository(Fenced):
    """Removes what was finished long ago, of every account that the bot has had."""

    def __init__(self, store: Store, lease: Lease) -> None:
        super().__init__(store, lease, account_id=0)

    async def remove_finished(self, closed_before: datetime, relayed_before: datetime) -> Removed:
        """One batch of each table, the oldest keys first, in one transaction.

        Args:
            closed_before: messages that were answered, skipped, sent, failed or cancelled earlier.
            relayed_before: events that were handed to the bus earlier.

        Raises:
            LeaseLost: nothing was removed.
        """
        removals = [
            self._some(inbox, inbox.c.state != InboxState.PENDING.value, inbox.c.closed_at < closed_before),
            self._some(outbox, outbox.c.state.not_in(OPEN), outbox.c.closed_at < closed_before),
            self._some(events, events.c.relayed_at < relayed_before),
        ]
        async with self.store.begin() as connection:
            await self.fence(connection)
            return Removed(*[(await connection.execute(removal)).rowcount for removal in removals])

    def _some(self, table: sa.Table, *which: sa.ColumnElement[bool]) -> sa.Delete:
        """A batch of the bot's rows for which this holds."""
        key = list(table.primary_key.columns)
        found = sa.select(*key).where(table.c.bot_id == self.lease.bot_id, *which).order_by(*key).limit(BATCH)
        return sa.delete(table).where(sa.tuple_(*key).in_(found))
