"""Why: a message and the update state that passed it are stored together or not at all. No path may move a pts without this.

This is the way of short transactions, for SQLite, and for what is rare: messages of the account itself. statement_intake.py does
the same in one statement on PostgreSQL.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store import statement_intake
from botfleet.store.events import EventType, new_event_id
from botfleet.store.fence import now, of_account
from botfleet.store.folding import DELETED, Folded, all_words, fold
from botfleet.store.history import until_placed
from botfleet.store.proof import record_sent
from botfleet.store.rows import ACCOUNT_STATE, CHANNELS_BELOW, Deletion, Edit, Intake, PeerRow, UpdateState
from botfleet.store.tables import InboxState, Role, chats, events, inbox, messages, outbox, peers, update_states
from botfleet.store.takeovers import TakeoverRepository, take_in_own
from botfleet.store.threads import placed

_HASH = sa.select(peers.c.access_hash).where(of_account(peers, "peer_id"))
_ROWS_AT_ONCE = 500  # of one INSERT: SQLite bounds the parameters of a statement, and a difference may be long


class IntakeRepository(TakeoverRepository):
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

    async def replace_baseline(self, state: UpdateState, *, was: UpdateState) -> bool:
        """Where taking in begins anew, also before where it was: Telegram's count turned out to be another one.

        Returns:
            False: what is stored is no longer `was`; it stands.
        """
        row = self.mine(update_states, channel_id=ACCOUNT_STATE, pts=was.pts)
        values = {"pts": state.pts, "qts": state.qts, "date": state.date, "seq": state.seq}
        async with self.store.begin() as connection:
            await self.fence(connection)
            changed = sa.update(update_states).where(row).values(values).returning(update_states.c.pts)
            return (await connection.execute(changed)).first() is not None

    async def access_hash(self, peer_id: int) -> int | None:
        """Of a peer, as Telegram told it last; None: it never did."""
        rows = await self.fetch(_HASH, peer_id=peer_id)
        return int(rows[0][0]) if rows else None

    async def channel_hashes(self) -> list[PeerRow]:
        """Of every channel: without them its updates cannot be fetched. People are too many to be read at once."""
        statement = sa.select(peers.c.peer_id, peers.c.access_hash).where(
            self.mine(peers), peers.c.peer_id < CHANNELS_BELOW
        )
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
        batch = fold(await placed(self, intake))
        if self.store.is_postgresql and not batch.own:
            return await statement_intake.take_in(self, batch, now())
        waiting, closed = await until_placed(lambda: self._take_in(batch))
        if closed:
            self.on_handed_over(closed)
        return waiting

    async def _take_in(self, batch: Folded) -> tuple[set[int], int]:
        """The peers with a new message, and how many messages the account's owner answers by what they typed."""
        async with self.store.begin() as connection:
            await self.fence(connection)
            return await self._take_in_within(connection, batch)

    async def _take_in_within(self, connection: AsyncConnection, batch: Folded) -> tuple[set[int], int]:
        """The same as a part of a fenced transaction; on both databases."""
        waiting = await self._insert_messages(connection, batch)
        for edit in batch.edits:
            await self._apply_edit(connection, edit)
        await self._apply_deletions(connection, batch.deletions)
        await self._move(connection, batch)
        for random_id, message_id in batch.sent:
            await record_sent(self, connection, outbox.c.random_id == random_id, message_id)
        closed = 0
        for own in batch.own:  # after the proofs: one of them may name just this message
            closed += await take_in_own(self, connection, own)
        return waiting, closed

    async def _insert_messages(self, connection: AsyncConnection, batch: Folded) -> set[int]:
        if not batch.messages:
            return set()
        at = now()
        values = [
            {**self.keys, **row, "received_at": at, "closed_at": None if row["reason"] is None else at}
            for row in batch.message_rows()
        ]
        arrived: list[Any] = []
        for some in _parts(values):
            statement = (
                self.insert(inbox)
                .values(some)
                .on_conflict_do_nothing()
                .returning(inbox.c.peer_id, inbox.c.message_id, inbox.c.state)
            )
            arrived += (await connection.execute(statement)).all()
        people = sorted({row.peer_id for row in arrived if row.peer_id > 0})
        for start in range(0, len(people), _ROWS_AT_ONCE):
            theirs = chats.c.peer_id.in_(people[start : start + _ROWS_AT_ONCE])
            shut = sa.and_(self.mine(chats), theirs, chats.c.closed_reason.is_not(None))
            await connection.execute(sa.update(chats).where(shut).values(closed_reason=None))
        trace_ids = {(row.peer_id, row.message_id): row.trace_id for row in batch.messages}
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
            for peer_id, message_id in sorted((row.peer_id, row.message_id) for row in arrived)
        ]
        if heard:
            await connection.execute(sa.insert(events), heard)
        return {row.peer_id for row in arrived if row.state == InboxState.PENDING.value}

    async def _apply_edit(self, connection: AsyncConnection, edit: Edit) -> None:
        row = self.mine(inbox, peer_id=edit.peer_id, message_id=edit.message_id)
        # Telegram counts whole seconds: what was edited twice within one has two texts of one date, and the later to come stands.
        older = sa.or_(inbox.c.edit_date.is_(None), inbox.c.edit_date <= edit.edit_date)
        pending = inbox.c.state == InboxState.PENDING.value
        await connection.execute(
            sa.update(inbox).where(row, older, pending).values(text=edit.text, edit_date=edit.edit_date)
        )
        closed = sa.update(inbox).where(row, older, sa.not_(pending)).values(edit_date=edit.edit_date)
        if (found := (await connection.execute(closed.returning(inbox.c.words))).first()) is not None:
            said = self.mine(messages, peer_id=edit.peer_id, message_id=edit.message_id, role=Role.USER.value)
            await connection.execute(sa.update(messages).where(said).values(text=all_words(edit.text, found.words)))

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
        for some in _parts(
            [{**self.keys, "peer_id": row.peer_id, "access_hash": row.access_hash} for row in batch.peers]
        ):
            known = self.insert(peers).values(some)
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


def _parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield rows[start : start + _ROWS_AT_ONCE]
