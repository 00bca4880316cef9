"""Why: what the sender needs of the outbox, in order within a chat. A row's text and random_id never change here.

Each state has one way in: pending -> attempted -> sent, failed; a row that was never attempted may be cancelled.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from botfleet.store import statement_sent
from botfleet.store.answers import FIRST_PEER
from botfleet.store.fence import Fenced, is_one_of, now, of_account
from botfleet.store.proof import FORGOTTEN, OPEN, kept_text, record_sent
from botfleet.store.rows import OutboxRow
from botfleet.store.tables import OutboxState, UtcDateTime, blocks, chats, opt_outs, outbox, takeovers

_LIMIT = sa.bindparam("limit", type_=sa.Integer)
_IS_OPEN = is_one_of(outbox.c.state, OPEN)
_CHATS = (
    sa.select(outbox.c.peer_id)
    .where(of_account(outbox), _IS_OPEN, outbox.c.peer_id > sa.bindparam("after", type_=sa.BigInteger))
    .distinct()
    .order_by(outbox.c.peer_id)
    .limit(_LIMIT)
)
_ROW = sa.select(
    outbox.c.peer_id,
    outbox.c.position,
    outbox.c.random_id,
    outbox.c.cause,
    outbox.c.part,
    outbox.c.text,
    outbox.c.entities,
    outbox.c.access_hash,
    outbox.c.reply_to_message_id,
    outbox.c.trace_id,
    outbox.c.created_at,
    outbox.c.state,
    outbox.c.attempted_at,
    outbox.c.not_before,
    outbox.c.history_position,
    outbox.c.topic_id,
    outbox.c.attempted_in,
).where(_IS_OPEN)
_FIRST = _ROW.where(of_account(outbox, "peer_id")).order_by(outbox.c.position).limit(sa.literal_column("2"))
_BY_RANDOM_ID = _ROW.where(of_account(outbox, "random_id"))


class OutgoingRepository(Fenced):
    """The outbox, from the sender's side."""

    async def outgoing_chats(self, limit: int = 1000, after: int | None = None) -> list[int]:
        """Peers for which something waits to be sent, a page at a time."""
        rows = await self.fetch(_CHATS, after=FIRST_PEER if after is None else after, limit=limit)
        return [row[0] for row in rows]

    async def next_outgoing(self, peer_id: int) -> OutboxRow | None:
        """A chat's first open row; the ones behind it wait, whatever it waits for."""
        return (await self.first_outgoing(peer_id))[0]

    async def first_outgoing(self, peer_id: int) -> tuple[OutboxRow | None, bool]:
        """The same, and whether there is one behind it."""
        rows = await self.fetch(_FIRST, peer_id=peer_id)
        return (OutboxRow(*rows[0]) if rows else None), len(rows) > 1

    async def find_open_by_random_id(self, random_id: int) -> OutboxRow | None:
        """The open row that this random_id belongs to."""
        return await self._one(_BY_RANDOM_ID, random_id=random_id)

    async def mark_attempted(self, row: OutboxRow, *, always: bool = True, asker_id: int | None = None) -> bool:
        """Before the send: from now on it may have reached Telegram. False: do not send.

        Args:
            always: also to somebody who has opted out or is blocked, or whose chat a person has taken over; else the row stays
                as it is then.
            asker_id: who is answered, if that is another one than the chat: in a group each is silenced alone.
        """
        at = now()
        if self.store.is_postgresql:
            return await statement_sent.mark_attempted(self, row, at, always=always, asker_id=asker_id)
        people = [row.peer_id] if asker_id is None else [row.peer_id, asker_id]
        here = outbox.c.peer_id == row.peer_id
        silenced = (
            sa.and_(self.mine(opt_outs), opt_outs.c.person_id.in_(people)),
            sa.and_(self.mine(blocks), blocks.c.person_id.in_(people)),
            sa.and_(self.mine(takeovers, peer_id=row.peer_id), takeovers.c.until > at),
        )
        wanted = here if always else sa.and_(here, *(~sa.exists().where(why) for why in silenced))
        return await self._change(row, OPEN, wanted, state=OutboxState.ATTEMPTED.value, attempted_at=at)

    async def mark_sent(self, row: OutboxRow, message_id: int | None) -> bool:
        """Telegram has it, under this id (None: it only said that it has it). False: the row was closed already."""
        if self.store.is_postgresql:
            return await statement_sent.mark_sent(self, row, message_id, now())
        async with self.store.begin() as connection:
            await self.fence(connection)
            return await record_sent(self, connection, self._this(row), message_id, sent_in=row.peer_id)

    async def mark_failed(self, row: OutboxRow, reason: str) -> bool:
        """It will never be sent."""
        return await self._give_up(row, OPEN, OutboxState.FAILED, reason)

    async def give_up_uncertain(self, row: OutboxRow, reason: str) -> bool:
        """It was attempted in a group that is a supergroup now, and nobody can tell any more whether it arrived there."""
        uncertain = outbox.c.attempted_in.is_not(None)
        failed = OutboxState.FAILED.value
        return await self._change(row, OPEN, uncertain, state=failed, reason=reason, closed_at=now())

    async def defer(self, row: OutboxRow, until: datetime, *, never_reached: bool = False) -> bool:
        """Not before this time. `never_reached`: no attempt came to Telegram, so the row is pending again.

        Such a row whose person has said /forget meanwhile is not said any more.
        """
        if not never_reached:
            return await self._change(row, OPEN, None, not_before=until)
        forgotten = outbox.c.reason == FORGOTTEN
        return await self._change(
            row,
            OPEN,
            None,
            not_before=until,
            attempted_at=None,
            attempted_in=None,
            state=sa.case((forgotten, OutboxState.CANCELLED.value), else_=OutboxState.PENDING.value),
            closed_at=sa.case((forgotten, sa.literal(now(), UtcDateTime)), else_=sa.null()),
            **kept_text([FORGOTTEN]),
        )

    async def cancel(self, row: OutboxRow, reason: str) -> bool:
        """It will not be sent. False: it was attempted or closed; an attempted row is resolved, not cancelled."""
        return await self._give_up(row, (OutboxState.PENDING.value,), OutboxState.CANCELLED, reason)

    def _this(self, row: OutboxRow) -> sa.ColumnElement[bool]:
        # Not by its place: its group may become a supergroup while it is being sent.
        return outbox.c.random_id == row.random_id

    async def _give_up(self, row: OutboxRow, from_states: tuple[str, ...], state: OutboxState, reason: str) -> bool:
        """A disclosure that this row (or one stored with it or later) was to make does not count: it is made once more."""
        undisclosed = (
            sa.update(chats)
            .where(self.mine(chats, peer_id=row.peer_id), chats.c.disclosed_at >= row.created_at)
            .values(disclosed_at=None)
        )
        return await self._change(
            row, from_states, None, undisclosed, state=state.value, reason=reason, closed_at=now(), **kept_text()
        )

    async def _change(
        self,
        row: OutboxRow,
        from_states: tuple[str, ...],
        when: sa.ColumnElement[bool] | None,
        and_then: sa.Update | None = None,
        **values: Any,
    ) -> bool:
        statement = (
            sa.update(outbox)
            .where(
                self.mine(outbox), self._this(row), outbox.c.state.in_(from_states), sa.true() if when is None else when
            )
            .values(**values)
            .returning(outbox.c.position)
        )
        async with self.store.begin() as connection:
            await self.fence(connection)
            changed = (await connection.execute(statement)).first() is not None
            if changed and and_then is not None:
                await connection.execute(and_then)
        return changed

    async def _one(self, statement: sa.Select[Any], **given: int) -> OutboxRow | None:
        rows = await self.fetch(statement, **given)
        return OutboxRow(*rows[0]) if rows else None
