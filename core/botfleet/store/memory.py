"""Why: what a conversation remembers: its last messages, and what came before them summed up. It never decides what is worth it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.facts import change_facts
from botfleet.store.fence import Fenced, now, of_account
from botfleet.store.folding import clean
from botfleet.store.rows import HistoryRow, Remembered
from botfleet.store.tables import Role, messages, summaries

_LIMIT = sa.bindparam("limit", type_=sa.Integer)
_ROW = (
    messages.c.role,
    messages.c.text,
    messages.c.date,
    messages.c.position,
    messages.c.sender_id,
    messages.c.sender_name,
    messages.c.message_id,
)
_SUMMARY = sa.select(summaries.c.text).where(of_account(summaries, "peer_id")).scalar_subquery()
_SUMMARIZED_TO = sa.select(summaries.c.up_to_position).where(of_account(summaries, "peer_id")).scalar_subquery()
_LAST = (
    sa.select(*_ROW, _SUMMARY, _SUMMARIZED_TO)
    .where(of_account(messages, "peer_id"), messages.c.topic_id.is_(None))
    .order_by(messages.c.position.desc())
    .limit(_LIMIT)
)
_LAST_IN_TOPIC = (
    sa.select(*_ROW)
    .where(of_account(messages, "peer_id", "topic_id"))
    .order_by(messages.c.position.desc())
    .limit(_LIMIT)
)
_BETWEEN = (
    sa.select(*_ROW)
    .where(
        of_account(messages, "peer_id"),
        messages.c.topic_id.is_(None),
        messages.c.position > sa.bindparam("after", type_=sa.BigInteger),
        messages.c.position < sa.bindparam("before", type_=sa.BigInteger),
    )
    .order_by(messages.c.position)
    .limit(_LIMIT)
)


class MemoryRepository(Fenced):
    """The history of a chat and its summary. What is said in a topic is a conversation of its own, and is not summed up."""

    async def remembered(self, peer_id: int, limit: int, topic_id: int | None = None) -> Remembered:
        """The last messages of a conversation, oldest first, and the summary of what came before.

        Args:
            topic_id: of a topic; None: of what is said outside of all of them.
        """
        if topic_id is not None:
            rows = await self.fetch(_LAST_IN_TOPIC, peer_id=peer_id, topic_id=topic_id, limit=limit)
            said = [HistoryRow(*row) for row in reversed(rows)]
            return Remembered(said, None, said[-1].position if said else 0)
        found = await self.fetch(_LAST, peer_id=peer_id, limit=limit)
        if not found:
            return Remembered()
        *_, summary, summarized_to = found[0]
        return Remembered([HistoryRow(*row[: len(_ROW)]) for row in reversed(found)], summary, summarized_to or 0)

    async def history(self, peer_id: int, limit: int) -> list[HistoryRow]:
        """The last messages of a conversation, oldest first."""
        return (await self.remembered(peer_id, limit)).messages

    async def history_between(self, peer_id: int, after: int, before: int, limit: int) -> list[HistoryRow]:
        """The first messages between two positions, oldest first; without those of topics."""
        rows = await self.fetch(_BETWEEN, peer_id=peer_id, after=after, before=before, limit=limit)
        return [HistoryRow(*row) for row in rows]

    async def save_summary(
        self,
        peer_id: int,
        text: str,
        up_to: int,
        changes: Mapping[str, str | None] = MappingProxyType({}),
        *,
        after: int | None = None,
        read: Collection[HistoryRow] = (),
    ) -> bool:
        """The summary of all up to a position takes the place of the one before. It never goes back.

        Args:
            changes: what else was learned from the same messages, by name; None: it is to be forgotten.
            after: the position up to which the summary went that this one goes on from; 0: there was none.
            read: the messages that it was written from, as they were read.

        Returns:
            False: nothing was written, since the message at that position, or what it was written from, is gone: who erases
            must not find it here. What has come to the same places since is not what was read.
        """
        fresh = self.insert(summaries).values(
            **self.keys, peer_id=peer_id, text=clean(text), up_to_position=up_to, updated_at=now()
        )
        statement = fresh.on_conflict_do_update(
            index_elements=[summaries.c.bot_id, summaries.c.account_id, summaries.c.peer_id],
            set_={name: fresh.excluded[name] for name in ("text", "up_to_position", "updated_at")},
            where=summaries.c.up_to_position < fresh.excluded.up_to_position,
        ).returning(summaries.c.peer_id)
        async with self.store.begin() as connection:
            await self.fence(connection)
            if not await self._stands(connection, peer_id, up_to, after, read):
                return False
            if (await connection.execute(statement)).first() is None:
                return False
            await change_facts(self, connection, peer_id, changes)
        return True

    async def _stands(
        self, connection: AsyncConnection, peer_id: int, up_to: int, after: int | None, read: Collection[HistoryRow]
    ) -> bool:
        """Whether all that a summary was written from is there as it was read, and stays until the transaction has ended.

        Who erases it just now is waited for; who would erase it later waits, and erases the summary too.
        """
        places = {up_to, *(row.position for row in read)}
        said = (
            sa.select(messages.c.position, messages.c.role, messages.c.date, messages.c.message_id)
            .where(self.mine(messages, peer_id=peer_id), messages.c.position.in_(places))
            .order_by(messages.c.position)
        )
        there = {_known_by(*row) for row in (await connection.execute(self._held(said))).all()}
        wanted = {_known_by(row.position, row.role, row.date, row.message_id) for row in read}
        if len(there) < len(places) or not wanted <= there:
            return False
        if after is None:
            return True
        before = sa.select(summaries.c.up_to_position).where(self.mine(summaries, peer_id=peer_id))
        return ((await connection.execute(self._held(before))).scalar_one_or_none() or 0) == after

    def _held(self, rows: sa.Select[Any]) -> sa.Select[Any]:
        """On SQLite there is one writer at a time."""
        return rows.with_for_update(read=True, key_share=True) if self.store.is_postgresql else rows


def _known_by(position: int, role: str, date: datetime, message_id: int | None) -> tuple[object, ...]:
    """What tells a message from another one that stands at its place later: positions begin at 1 again after a /forget.

    What the bot says has an id only once it is sent, and a date of our own, in microseconds.
    """
    return position, role, date, message_id if role == Role.USER.value else None
