"""Why: an answer is stored together with the messages that it answers, before it is sent; so a kill never pays or says twice.

This is the way of short transactions, for SQLite; statement_answer.py does the same in one statement on PostgreSQL.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store import statement_answer
from botfleet.store.fence import Fenced, is_one_of, now, of_account
from botfleet.store.folding import all_words, clean
from botfleet.store.history import Said, note, until_placed
from botfleet.store.proof import UNKEPT
from botfleet.store.rows import Draft, InboxRow, NewerPending, Spending, Stored
from botfleet.store.tables import InboxState, Role, UtcDateTime, chats, inbox, outbox
from botfleet.store.usage import count_in

FIRST_PEER = -(2**63)

_LIMIT = sa.bindparam("limit", type_=sa.Integer)
_IS_PENDING = is_one_of(inbox.c.state, [InboxState.PENDING])
_PENDING_CHATS = (
    sa.select(inbox.c.peer_id)
    .where(of_account(inbox), _IS_PENDING, inbox.c.peer_id > sa.bindparam("after", type_=sa.BigInteger))
    .distinct()
    .order_by(inbox.c.peer_id)
    .limit(_LIMIT)
)


class AnswerRepository(Fenced):
    """What waits for an answer, what was said before, and the storing of an answer."""

    async def pending_chats(self, limit: int = 100, after: int | None = None) -> list[int]:
        """Peers with pending messages, a page at a time: those above `after`, in order."""
        rows = await self.fetch(_PENDING_CHATS, after=FIRST_PEER if after is None else after, limit=limit)
        return [row[0] for row in rows]

    async def store_answer(
        self,
        peer_id: int,
        answered: Sequence[InboxRow],
        drafts: Sequence[Draft],
        *,
        replies_are_final: bool,
        spent: Sequence[Spending] = (),
    ) -> Stored | NewerPending:
        """Close the answered messages, note both sides in the history, queue the drafts in order.

        The conversation notes the batch if a draft is part of it (`in_history`): a command and its answer are not.
        Messages that are closed already (a replay, or all were deleted meanwhile) make nothing happen.

        Args:
            answered: the messages that were in the prompt, as they were; empty: the bot speaks by itself.
            replies_are_final: store even though newer messages wait, or some of these were edited.
            spent: what the drafts cost; counted also when they are not stored, but not again when they stand already.

        Raises:
            LeaseLost: nothing was written.
        """
        return await until_placed(lambda: self._store_answer(peer_id, answered, drafts, replies_are_final, spent))

    async def close_inbox(self, peer_id: int, message_ids: Sequence[int], state: InboxState | str, reason: str) -> None:
        """End messages without an answer: skipped by a policy, or failed, with the reason."""
        if not message_ids:
            return
        pending = self.mine(inbox, peer_id=peer_id, state=InboxState.PENDING.value)
        statement = (
            sa.update(inbox)
            .where(pending, inbox.c.message_id.in_(message_ids))
            .values(state=InboxState(state).value, reason=reason, closed_at=now())
        )
        async with self.store.begin() as connection:
            await self.fence(connection)
            await connection.execute(statement)

    async def _store_answer(
        self,
        peer_id: int,
        answered: Sequence[InboxRow],
        drafts: Sequence[Draft],
        final: bool,
        spent: Sequence[Spending],
    ) -> Stored | NewerPending:
        if self.store.is_postgresql:
            return await statement_answer.store_answer(self, peer_id, answered, drafts, final, now(), spent)
        async with self.store.begin() as connection:
            await self.fence(connection)
            fresh = await self._unknown(connection, drafts)
            if len(fresh) == len(drafts):
                await count_in(self, connection, spent)
            if answered and not final and await self._is_overtaken(connection, peer_id, answered):
                return NewerPending()
            heard = await self._close_answered(connection, peer_id, answered)
            if answered and not heard:
                return Stored(closed=0, queued=0)
            said = [
                Said(Role.ASSISTANT, clean(draft.text), topic_id=draft.topic_id) for draft in fresh if draft.in_history
            ]
            first = await note(self, connection, peer_id, [*(heard if said else []), *said])
            await self._queue(connection, peer_id, fresh, first + len(heard))
            if any(draft.discloses for draft in fresh):
                await self._disclosed(connection, peer_id)
        return Stored(closed=len(heard), queued=len(fresh))

    async def _is_overtaken(self, connection: AsyncConnection, peer_id: int, answered: Sequence[InboxRow]) -> bool:
        """Whether something newer waits, or one of these was edited since it was read."""
        read = {row.message_id: row.text for row in answered}
        pending = (
            sa.select(inbox.c.message_id, inbox.c.text)
            .where(
                self.mine(inbox, peer_id=peer_id, state=InboxState.PENDING.value),
                sa.or_(inbox.c.message_id > max(read), inbox.c.message_id.in_(read)),
            )
            .limit(len(read) + 1)
        )
        return any(read.get(row.message_id) != row.text for row in await connection.execute(pending))

    async def _close_answered(
        self, connection: AsyncConnection, peer_id: int, answered: Sequence[InboxRow]
    ) -> list[Said]:
        if not answered:
            return []
        statement = (
            sa.update(inbox)
            .where(
                self.mine(inbox, peer_id=peer_id, state=InboxState.PENDING.value),
                inbox.c.message_id.in_([row.message_id for row in answered]),
            )
            .values(state=InboxState.ANSWERED.value, closed_at=now())
            .returning(
                inbox.c.text,
                inbox.c.message_id,
                inbox.c.sender_id,
                inbox.c.date,
                inbox.c.sender_name,
                inbox.c.topic_id,
                inbox.c.words,
            )
        )
        rows = sorted((await connection.execute(statement)).all(), key=lambda row: int(row.message_id))
        return [Said(Role.USER, all_words(row.text, row.words), *row[1:-1]) for row in rows]

    async def _unknown(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> list[Draft]:
        if not drafts:
            return []
        statement = sa.select(outbox.c.random_id).where(
            self.mine(outbox), outbox.c.random_id.in_([draft.random_id for draft in drafts])
        )
        known = set((await connection.execute(statement)).scalars())
        return [draft for draft in drafts if draft.random_id not in known]

    async def _queue(
        self, connection: AsyncConnection, peer_id: int, drafts: Sequence[Draft], history_position: int
    ) -> None:
        if not drafts:
            return
        last = sa.select(sa.func.coalesce(sa.func.max(outbox.c.position), 0)).where(self.mine(outbox, peer_id=peer_id))
        position = int((await connection.execute(last)).scalar_one())
        at = now()
        values = []
        for draft in drafts:
            position += 1
            values.append(
                {
                    **self.keys,
                    "peer_id": peer_id,
                    "position": position,
                    "random_id": draft.random_id,
                    "cause": draft.cause,
                    "part": draft.part,
                    "text": clean(draft.text),
                    "entities": sa.null() if draft.entities is None else draft.entities,
                    "access_hash": draft.access_hash,
                    "reply_to_message_id": draft.reply_to_message_id,
                    "trace_id": draft.trace_id,
                    "created_at": at,
                    "history_position": history_position if draft.in_history else None,
                    "topic_id": draft.topic_id,
                    "reason": None if draft.kept else UNKEPT,
                }
            )
            history_position += draft.in_history
        for row in values:
            await connection.execute(sa.insert(outbox).values(row))

    async def _disclosed(self, connection: AsyncConnection, peer_id: int) -> None:
        at = sa.literal(now(), UtcDateTime)
        statement = (
            self.insert(chats)
            .values(**self.keys, peer_id=peer_id, disclosed_at=at)
            .on_conflict_do_update(
                index_elements=[chats.c.bot_id, chats.c.account_id, chats.c.peer_id], set_={"disclosed_at": at}
            )
        )
        await connection.execute(statement)
