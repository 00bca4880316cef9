"""Why: a bot whose owner wants its data erased leaves nothing of them but digests, by which an import knows whom not to bring back.

It never reads what people wrote, and never erases but by the key of one bot. Batches are small, each with its tombstones in one
transaction, so that it may be killed anywhere and goes on where it was. The operator's role alone may do this.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable

import sqlalchemy as sa

from botfleet import keys
from botfleet.store.engine import Store
from botfleet.store.fence import now, upsert
from botfleet.store.tables import bindings, bots, leases, metadata, tombstones

BATCH = 500
"""Rows of a table in one transaction, about: what is told apart by a name alone goes together."""

_IDS = ("peer_id", "sender_id", "person_id")
_NOT_READ = frozenset({"facts.name", "usage.model"})
_LAST = frozenset({bots, bindings, leases})
ERASED_FIRST = tuple(table for table in metadata.sorted_tables if "bot_id" in table.c and table not in _LAST)
"""All tables of a bot, but its row, its accounts and its lease: these say until the end whose data is being erased."""


class ErasureRepository:
    """Erases bots, and knows who was erased."""

    def __init__(self, store: Store, installation_key: bytes) -> None:
        self._store = store
        self._key = keys.derive(installation_key, "", keys.Purpose.TOMBSTONE, 1)

    async def batches(self, bot_id: str) -> AsyncIterator[int]:
        """Erases until nothing is left but the bot's row (`BotRepository.erase` takes that, with its lease and its accounts).

        Yields the number of rows of each batch, which is committed then. The bot's role must be gone, or more may come.
        """
        for table in ERASED_FIRST:
            rows = BATCH
            while rows >= BATCH:
                rows = await self._erase_some(table, bot_id)
                if rows:
                    yield rows

    async def _erase_some(self, table: sa.Table, bot_id: str) -> int:
        key = [column for column in table.primary_key.columns if str(column) not in _NOT_READ]
        ids = [table.c[name] for name in _IDS if name in table.c]
        account = [table.c.account_id] if ids else []
        some = sa.select(*key).where(table.c.bot_id == bot_id).order_by(*key).limit(BATCH)
        erased = sa.delete(table).where(sa.tuple_(*key).in_(some)).returning(table.c.bot_id, *account, *ids)
        async with self._store.begin() as connection:
            rows = (await connection.execute(erased)).all()
            known = {self.tombstone(row[1], peer) for row in rows for peer in row[2:] if peer is not None}
            if known:
                values = [{"digest": digest, "erased_at": now()} for digest in sorted(known)]
                await connection.execute(upsert(self._store, tombstones).values(values).on_conflict_do_nothing())
        return len(rows)

    async def erased(self, account_id: int, peer_ids: Iterable[int]) -> set[int]:
        """Who of these people and chats of an account was erased: no import may bring them back."""
        digests = {self.tombstone(account_id, peer_id): peer_id for peer_id in peer_ids}
        statement = sa.select(tombstones.c.digest).where(tombstones.c.digest.in_(digests))
        async with self._store.read() as connection:
            return {digests[digest] for digest in (await connection.execute(statement)).scalars()}

    def tombstone(self, account_id: int, peer_id: int) -> str:
        """HMAC-SHA256 under a key that only this installation can derive: ids are few enough to try them all without."""
        return hmac.new(self._key, f"{account_id}/{peer_id}".encode(), hashlib.sha256).hexdigest()
