"""Why: a message and the update state that passed it are stored together or not at all. No path may move a pts without this.

This is the way of short transactions, for SQLite; intake_statement.py does the same in one statement on PostgreSQL.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.events import EventType, new_event_id
from botfleet.store.fence import Fenced, now
from botfleet.store.folding import Folded, Key, fold
from botfleet.store.proof import record_sent
from botfleet.store.rows import ACCOUNT_STATE, CHANNELS_BELOW, Deletion, Edit, Incoming, Intake, PeerRow, UpdateState
from botfleet.store.tables import InboxState, Role, events, inbox, messages, outbox, peers, update_states

DELETED = "Deleted"


class IntakeRepository(Fenced):
    """What comes in, and how far it was taken in."""

    async def states(self) -> dict[int, UpdateState]:
        """By channel id; `ACCOUNT_STATE` is the account's own."""
        table = update_states
        statement = sa.select(table.c.channel_id, table.c.pts, table.c.qts, table.c.date, table.c.seq)
        async with self.store.read() as connection:
            rows = (await connection.execute(statement.where(self.mine(table)))).all()
        return {row[0]: UpdateState(*row[1:]) for row in rows}

    async def set_baseline(self, state: UpdateState, channel_id: int = ACCOUNT_STATE) -> None:
        """Where taking in begins, if nothing was taken in yet; a stored state stands."""
        async with self.store.begin() as connection:
            await self.fence(connection)
            await connection.execute(
                self.insert(update_states).values(**self._state_row(channel_id, state)).on_conflict_do_nothing()
            )

    async def peers(self) -> list[PeerRow]:
        """Every access hash that is known."""
        statement = sa.select(peers.c.peer_id, peers.c.access_hash).where(self.mine(peers))
        async with self.store.read() as connection:
            return [PeerRow(*row) for row in (await connection.execute(statement)).all()]

    async def take_in(self, intake: Intake) -> set[int]:
        """Store everything of an intake in one transaction. A repeated message is stored, and becomes an event, once.

        Returns:
            The peers that have a message now that they did not have before and that waits for an answer.

        Raises:
            LeaseLost: nothing was written.
            StoreUnavailable: not known whether it was; build client and session anew from the store.
        """
        batch = fold(intake)
        async with self.store.begin() as connection:
            await self.fence(connection)
            arrived = await self._insert_messages(connection, batch.messages)
            for edit in batch.edits:
                await self._apply_edit(connection, edit)
            await self._apply_deletions(connection, batch.deletions)
            await self._move(connection, batch)
            for random_id, message_id in batch.sent:
                await record_sent(self, connection, outbox.c.random_id == random_id, message_id)
            deleted = await self._deleted_now(connection, arrived) if batch.deletions else set()
        return {peer_id for peer_id, message_id in arrived - deleted}

    async def _insert_messages(self, connection: AsyncConnection, rows: Sequence[Incoming]) -> set[Key]:
        if not rows:
            return set()
        at = now()
        values = [
            {
                **self.keys,
                "peer_id": row.peer_id,
                "message_id": row.message_id,
                "sender_id": row.sender_id,
                "access_hash": row.access_hash,
                "text": row.text,
                "date": row.date,
                "edit_date": row.edit_date,
                "grouped_id": row.grouped_id,
                "reply_to_message_id": row.reply_to_message_id,
                "trace_id": row.trace_id,
                "received_at": at,
            }
            for row in rows
        ]
        statement = (
            self.insert(inbox).values(values).on_conflict_do_nothing().returning(inbox.c.peer_id, inbox.c.message_id)
        )
        arrived = {(row[0], row[1]) for row in (await connection.execute(statement)).all()}
        trace_ids = {(row.peer_id, row.message_id): row.trace_id for row in rows}
        heard = [
            {
                "bot_id": self.lease.bot_id,
                "id": new_event_id(),
                "type": EventType.MESSAGE_RECEIVED.value,
                "time": at,
                "data": {
                    "account_id": self.account_id,
                    "peer_id": peer_id,
                    "message_id": message_id,
                    "trace_id": trace_ids[peer_id, message_id],
                },
            }
            for peer_id, message_id in sorted(arrived)
        ]
        if heard:
            await connection.execute(sa.insert(events), heard)
        return arrived

    async def _apply_edit(self, connection: AsyncConnection, edit: Edit) -> None:
        row = self.mine(inbox, peer_id=edit.peer_id, message_id=edit.message_id)
        older = sa.or_(inbox.c.edit_date.is_(None), inbox.c.edit_date < edit.edit_date)
        pending = inbox.c.state == InboxState.PENDING.value
        await connection.execute(
            sa.update(inbox).where(row, older, pending).values(text=edit.text, edit_date=edit.edit_date)
        )
        closed = sa.update(inbox).where(row, older, sa.not_(pending)).values(edit_date=edit.edit_date)
        if (await connection.execute(closed.returning(inbox.c.message_id))).first() is not None:
            said = self.mine(messages, peer_id=edit.peer_id, message_id=edit.message_id, role=Role.USER.value)
            await connection.execute(sa.update(messages).where(said).values(text=edit.text))

    async def _apply_deletions(self, connection: AsyncConnection, deletions: Sequence[Deletion]) -> None:
        for deletion in deletions:
            gone = [table.c.message_id == deletion.message_id for table in (inbox, messages)]
            if deletion.peer_id is None:
                where = [table.c.peer_id > CHANNELS_BELOW for table in (inbox, messages)]
            else:
                where = [table.c.peer_id == deletion.peer_id for table in (inbox, messages)]
            await connection.execute(
                sa.update(inbox)
                .where(self.mine(inbox, state=InboxState.PENDING.value), gone[0], where[0])
                .values(state=InboxState.SKIPPED.value, reason=DELETED, closed_at=now())
            )
            await connection.execute(
                sa.delete(messages).where(self.mine(messages, role=Role.USER.value), gone[1], where[1])
            )

    async def _deleted_now(self, connection: AsyncConnection, arrived: set[Key]) -> set[Key]:
        if not arrived:
            return set()
        statement = sa.select(inbox.c.peer_id, inbox.c.message_id).where(
            self.mine(inbox, state=InboxState.SKIPPED.value),
            sa.tuple_(inbox.c.peer_id, inbox.c.message_id).in_(sorted(arrived)),
        )
        return {(row[0], row[1]) for row in (await connection.execute(statement)).all()}

    async def _move(self, connection: AsyncConnection, batch: Folded) -> None:
        if batch.states:
            moved = self.insert(update_states).values(
                [self._state_row(channel_id, state) for channel_id, state in batch.states.items()]
            )
            new = moved.excluded
            await connection.execute(
                moved.on_conflict_do_update(
                    index_elements=[update_states.c.bot_id, update_states.c.account_id, update_states.c.channel_id],
                    set_={"pts": new.pts, "qts": new.qts, "date": new.date, "seq": new.seq},
                    where=update_states.c.pts <= new.pts,
                )
            )
        if batch.peers:
            known = self.insert(peers).values(
                [{**self.keys, "peer_id": peer.peer_id, "access_hash": peer.access_hash} for peer in batch.peers]
            )
            await connection.execute(
                known.on_conflict_do_update(
                    index_elements=[peers.c.bot_id, peers.c.account_id, peers.c.peer_id],
                    set_={"access_hash": known.excluded.access_hash},
                    where=peers.c.access_hash != known.excluded.access_hash,
                )
            )

    def _state_row(self, channel_id: int, state: UpdateState) -> dict[str, object]:
        return {
            **self.keys,
            "channel_id": channel_id,
            "pts": state.pts,
            "qts": state.qts,
            "date": state.date,
            "seq": state.seq,
        }
