"""Why: a person has taken a chat over, so the bot is silent there. What the bot had begun ends in the transaction that begins this.

A takeover stays stored when it is over: a message that was written before its end is the person's to answer, whenever it comes.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.events import EventType, new_event_id
from botfleet.store.fence import Fenced, now
from botfleet.store.history import Said, note, until_placed
from botfleet.store.proof import record_sent
from botfleet.store.rows import OwnMessage
from botfleet.store.tables import InboxState, OutboxState, Role, chats, events, inbox, messages, outbox, takeovers

TAKEN_OVER = "TakenOver"
_TELEGRAMS_SECOND = timedelta(seconds=1)
_COMMANDS = "command:%"  # what people told the bot itself is obeyed and confirmed in a chat that is taken over, too


class TakeoverRepository(Fenced):
    """Chats in the hands of a person. `on_handed_over` is told how many messages a takeover has closed."""

    on_handed_over: Callable[[int], None] = staticmethod(lambda _: None)

    async def begin_takeover(self, peer_id: int, until: datetime, by: int) -> None:
        """The chat is a person's until then (if it is already: at least until then)."""

        async def transaction() -> int:
            async with self.store.begin() as connection:
                await self.fence(connection)
                closed = await _hand_over(self, connection, peer_id, inbox.c.date < until)
                await _cancel_waiting(self, connection, peer_id)
                await _begin(self, connection, peer_id, now(), until, by)
            return closed

        self.on_handed_over(await until_placed(transaction))

    async def end_takeover(self, peer_id: int) -> bool:
        """The bot answers there again. False: nobody had the chat."""
        async with self.store.begin() as connection:
            await self.fence(connection)
            at = now()
            return await _end(self, connection, at, takeovers.c.peer_id == peer_id, takeovers.c.until > at)

    async def end_expired_takeovers(self) -> None:
        """Tell the end of those whose time is over."""
        async with self.store.begin() as connection:
            await self.fence(connection)
            at = now()
            await _end(self, connection, at, takeovers.c.until <= at)

    async def hand_over(self, peer_id: int, message_ids: Sequence[int]) -> None:
        """Close what a person will answer; the conversation keeps it, so that the model knows later what was said."""

        async def transaction() -> None:
            async with self.store.begin() as connection:
                await self.fence(connection)
                await _hand_over(self, connection, peer_id, inbox.c.message_id.in_(message_ids), commands_too=True)

        await until_placed(transaction)


async def take_in_own(repository: Fenced, connection: AsyncConnection, own: OwnMessage) -> int:
    """Inside a fenced transaction: a message of the account itself. The outbox is the proof whether the runner sent it.

    Returns:
        How many messages were closed because the owner answers.
    """
    if await _is_ours(repository, connection, own):
        return 0
    if own.until is None:
        here = takeovers.c.peer_id == own.peer_id
        # Telegram's dates are whole seconds: what begins within one is over with a message of the same second.
        under_way = sa.and_(takeovers.c.since < own.date + _TELEGRAMS_SECOND, takeovers.c.until > own.date)
        await _end(repository, connection, own.date, here, under_way)
        return 0
    # Whoever types has seen what came before; with what came later it is as with any takeover.
    theirs = sa.or_(inbox.c.message_id < own.message_id, inbox.c.date < own.until)
    closed = await _hand_over(repository, connection, own.peer_id, theirs)
    if own.text:
        said = Said(Role.ASSISTANT, own.text, own.message_id, repository.account_id, own.date)
        await note(repository, connection, own.peer_id, [said])
    if own.until > now():
        await _cancel_waiting(repository, connection, own.peer_id)
    await _begin(repository, connection, own.peer_id, own.date, own.until, repository.account_id)
    return closed


async def _is_ours(repository: Fenced, connection: AsyncConnection, own: OwnMessage) -> bool:
    """Whether the runner sent it, or it is known already.

    By its id; or it is what was attempted in this chat and has no id yet: sent, and killed before that was marked, or
    answered without an id. Such a row is proved by it, as by an answer.
    """
    chat = repository.mine(outbox, peer_id=own.peer_id)
    by_id = sa.select(outbox.c.position).where(chat, outbox.c.sent_message_id == own.message_id).limit(1)
    if (await connection.execute(by_id)).first() is not None:
        return True
    known = repository.mine(messages, peer_id=own.peer_id, role=Role.ASSISTANT.value, message_id=own.message_id)
    if (await connection.execute(sa.select(messages.c.position).where(known))).first() is not None:
        return True
    attempted = (
        sa.select(outbox.c.position, outbox.c.text)
        .where(chat, outbox.c.attempted_at.is_not(None), outbox.c.sent_message_id.is_(None))
        .order_by(outbox.c.position)
    )
    for row in (await connection.execute(attempted)).all():
        if row.text.strip() == own.text.strip():
            this = sa.and_(outbox.c.peer_id == own.peer_id, outbox.c.position == row.position)
            if not await record_sent(repository, connection, this, own.message_id):
                late = sa.update(outbox).where(repository.mine(outbox), this).values(sent_message_id=own.message_id)
                await connection.execute(late)
            return True
    return False


async def _hand_over(
    repository: Fenced,
    connection: AsyncConnection,
    peer_id: int,
    which: sa.ColumnElement[bool],
    *,
    commands_too: bool = False,
) -> int:
    """Close pending messages as the person's who took over, and note them in the conversation.

    Without `commands_too` what may be a command stays: whether it is one is not the store's to know.
    """
    where = [repository.mine(inbox, peer_id=peer_id, state=InboxState.PENDING.value), which]
    if not commands_too:
        where.append(sa.not_(sa.func.ltrim(inbox.c.text).like("/%")))
    closed = (
        sa.update(inbox)
        .where(*where)
        .values(state=InboxState.SKIPPED.value, reason=TAKEN_OVER, closed_at=now())
        .returning(
            inbox.c.text, inbox.c.message_id, inbox.c.sender_id, inbox.c.date, inbox.c.sender_name, inbox.c.topic_id
        )
    )
    rows = sorted((await connection.execute(closed)).all(), key=lambda row: int(row.message_id))
    said = [Said(Role.USER, *row) for row in rows if row.text]
    await note(repository, connection, peer_id, said)
    return len(rows)


async def _cancel_waiting(repository: Fenced, connection: AsyncConnection, peer_id: int) -> None:
    """What was stored and never attempted is not said; nor does the conversation, or a disclosure, count it as said."""
    cancelled = (
        sa.update(outbox)
        .where(
            repository.mine(outbox, peer_id=peer_id, state=OutboxState.PENDING.value),
            sa.not_(outbox.c.cause.like(_COMMANDS)),
        )
        .values(state=OutboxState.CANCELLED.value, reason=TAKEN_OVER, closed_at=now())
        .returning(outbox.c.history_position, outbox.c.created_at)
    )
    rows = (await connection.execute(cancelled)).all()
    if not rows:
        return
    unsaid = [row.history_position for row in rows if row.history_position is not None]
    await connection.execute(
        sa.delete(messages).where(repository.mine(messages, peer_id=peer_id), messages.c.position.in_(unsaid))
    )
    await connection.execute(
        sa.update(chats)
        .where(repository.mine(chats, peer_id=peer_id), chats.c.disclosed_at >= min(row.created_at for row in rows))
        .values(disclosed_at=None)
    )


async def _begin(
    repository: Fenced, connection: AsyncConnection, peer_id: int, since: datetime, until: datetime, by: int
) -> None:
    here = repository.mine(takeovers, peer_id=peer_id)
    known = (await connection.execute(sa.select(takeovers.c.until, takeovers.c.ended_at).where(here))).first()
    if known is not None and known.ended_at is None:
        until = max(until, known.until)
        await connection.execute(sa.update(takeovers).where(here).values(until=until, by=by))
        return
    if known is not None and until <= known.until:
        return  # a repetition of what has ended
    values = {"since": since, "until": until, "by": by, "ended_at": None}
    begun = (
        repository.insert(takeovers)
        .values(**repository.keys, peer_id=peer_id, **values)
        .on_conflict_do_update(
            index_elements=[takeovers.c.bot_id, takeovers.c.account_id, takeovers.c.peer_id], set_=values
        )
    )
    await connection.execute(begun)
    await _tell(repository, connection, EventType.TAKEOVER_STARTED, peer_id, by, now())


async def _end(repository: Fenced, connection: AsyncConnection, at: datetime, *which: sa.ColumnElement[bool]) -> bool:
    ended = (
        sa.update(takeovers)
        .where(repository.mine(takeovers), takeovers.c.ended_at.is_(None), *which)
        .values(
            until=sa.case((takeovers.c.until < at, takeovers.c.until), else_=sa.literal(at, takeovers.c.until.type)),
            ended_at=at,
        )
        .returning(takeovers.c.peer_id, takeovers.c.by)
    )
    rows = (await connection.execute(ended)).all()
    for row in rows:
        await _tell(repository, connection, EventType.TAKEOVER_ENDED, row.peer_id, row.by, at)
    return bool(rows)


async def _tell(
    repository: Fenced, connection: AsyncConnection, kind: EventType, peer_id: int, by: int, at: datetime
) -> None:
    data = {"account_id": repository.account_id, "peer_id": peer_id, "by": by}
    event = {"bot_id": repository.lease.bot_id, "id": new_event_id(), "type": kind.value, "time": at, "data": data}
    await connection.execute(sa.insert(events).values(**event))
