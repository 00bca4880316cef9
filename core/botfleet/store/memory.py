"""Why: what a conversation remembers: its last messages, and what came before them summed up. It never decides what is worth it."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import sqlalchemy as sa

from botfleet.store.facts import change_facts
from botfleet.store.fence import Fenced, now, of_account
from botfleet.store.folding import clean
from botfleet.store.rows import HistoryRow, Remembered
from botfleet.store.tables import messages, summaries

_LIMIT = sa.bindparam("limit", type_=sa.Integer)
_ROW = (
    messages.c.role,
    messages.c.text,
    messages.c.date,
    messages.c.position,
    messages.c.sender_id,
    messages.c.sender_name,
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
        read: Collection[int] = (),
    ) -> bool:
        """The summary of all up to a position takes the place of the one before. It never goes back.

        Args:
            changes: what else was learned from the same messages, by name; None: it is to be forgotten.
            after: the position up to which the summary went that this one goes on from; 0: there was none.
            read: the positions of the messages that it was written from.

        Returns:
            False: nothing was written, since the message at that position, or what it was written from, is gone: who erases
            must not find it here.
        """
        chat = self.mine(messages, peer_id=peer_id)
        own = sa.and_(chat, messages.c.position == up_to)
        if read:
            there = sa.select(sa.func.count()).select_from(others := messages.alias())
            there = there.where(
                others.c.bot_id == self.lease.bot_id,
                others.c.account_id == self.account_id,
                others.c.peer_id == peer_id,
                others.c.position.in_(read),
            )
            own = sa.and_(own, there.scalar_subquery() == len(read))
        if after is not None:
            before = sa.select(summaries.c.up_to_position).where(self.mine(summaries, peer_id=peer_id))
            own = sa.and_(own, sa.func.coalesce(before.scalar_subquery(), 0) == after)
        source = sa.select(
            messages.c.bot_id,
            messages.c.account_id,
            messages.c.peer_id,
            sa.literal(clean(text)),
            messages.c.position,
            sa.literal(now(), summaries.c.updated_at.type),
        ).where(own)
        fresh = self.insert(summaries).from_select([column.name for column in summaries.columns], source)
        statement = fresh.on_conflict_do_update(
            index_elements=[summaries.c.bot_id, summaries.c.account_id, summaries.c.peer_id],
            set_={name: fresh.excluded[name] for name in ("text", "up_to_position", "updated_at")},
            where=summaries.c.up_to_position < fresh.excluded.up_to_position,
        ).returning(summaries.c.peer_id)
        async with self.store.begin() as connection:
            await self.fence(connection)
            if (await connection.execute(statement)).first() is None:
                return False
            await change_facts(self, connection, peer_id, changes)
        return True
