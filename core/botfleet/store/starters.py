"""Why: to write first one must know who was silent for how long, without reading all chats again and again.

`starters` is the agenda: a row for each person with a conversation, with the time at which it is worth looking at them. It is a
hint; what is decided is decided from the chat's own rows. It never decides, and knows of private chats alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from botfleet.store.answers import AnswerRepository
from botfleet.store.fence import is_one_of, now, of_account
from botfleet.store.folding import clean
from botfleet.store.history import Said, note, until_placed
from botfleet.store.proof import OPEN
from botfleet.store.rows import Draft, OutboxRow
from botfleet.store.tables import (
    IS_STARTER,
    InboxState,
    OutboxState,
    Role,
    UtcDateTime,
    blocks,
    chats,
    inbox,
    messages,
    opt_outs,
    outbox,
    peers,
    starters,
    takeovers,
)

_ONE: sa.ColumnElement[int] = sa.literal_column("1")
_LIMIT = sa.bindparam("limit", type_=sa.Integer)


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """What is known of somebody to whom the bot may write first.

    `wrote_at`: their last message in the conversation, None: there is none (any more); `heard_at`, `heard_date`, `heard_id`: the
    last of the inbox, whatever became of it: when it was taken in, Telegram's date, its id; `said_at`: the last message of the
    conversation, of either side; `waiting`: something of theirs is not answered yet; `queued`: something for them is not sent
    yet; `closed`: Telegram has refused a message to them since they last wrote; `started_at`, `unanswered`: when the bot last
    wrote first, and so often in a row, counted then.
    """

    peer_id: int
    wrote_at: datetime | None = None
    heard_at: datetime | None = None
    heard_date: datetime | None = None
    heard_id: int | None = None
    said_at: datetime | None = None
    waiting: bool = False
    queued: bool = False
    opted_out: bool = False
    blocked: bool = False
    taken_until: datetime | None = None
    closed: bool = False
    disclosed_at: datetime | None = None
    access_hash: int | None = None
    started_at: datetime | None = None
    unanswered: int = 0


def _theirs(table: sa.Table, column: str = "peer_id") -> sa.ColumnElement[bool]:
    return sa.and_(of_account(table), table.c[column] == starters.c.peer_id)


def _has(person: sa.Column[Any], *which: sa.ColumnElement[bool]) -> sa.Exists:
    return sa.exists(sa.select(person).where(_theirs(person.table, person.name), *which))


def _last_heard(column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    return sa.select(column).where(_theirs(inbox)).order_by(inbox.c.message_id.desc()).limit(_ONE).scalar_subquery()


def _last_said(*which: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
    last = sa.select(messages.c.date).where(_theirs(messages), *which).order_by(messages.c.position.desc())
    return last.limit(_ONE).scalar_subquery()


_KNOWN = (
    sa.select(
        starters.c.peer_id,
        _last_said(messages.c.role == sa.literal_column(f"'{Role.USER}'")),
        _last_heard(inbox.c.received_at),
        _last_heard(inbox.c.date),
        _last_heard(inbox.c.message_id),
        _last_said(),
        _has(inbox.c.peer_id, is_one_of(inbox.c.state, [InboxState.PENDING])),
        _has(outbox.c.peer_id, is_one_of(outbox.c.state, OPEN)),
        _has(opt_outs.c.person_id),
        _has(blocks.c.person_id),
        sa.select(takeovers.c.until).where(_theirs(takeovers)).scalar_subquery(),
        _has(chats.c.peer_id, chats.c.closed_reason.is_not(None)),
        sa.select(chats.c.disclosed_at).where(_theirs(chats)).scalar_subquery(),
        sa.select(peers.c.access_hash).where(_theirs(peers)).scalar_subquery(),
        starters.c.started_at,
        starters.c.unanswered,
    )
    .select_from(starters)
    .where(of_account(starters))
)
_DUE = (
    _KNOWN.where(starters.c.next_at <= sa.bindparam("at", type_=UtcDateTime()))
    .order_by(starters.c.next_at, starters.c.peer_id)
    .limit(_LIMIT)
)
_THIS = _KNOWN.where(starters.c.peer_id == sa.bindparam("peer_id", type_=sa.BigInteger))
_SINCE = (
    sa.select(sa.func.count())
    .select_from(outbox)
    .where(
        of_account(outbox),
        sa.text(IS_STARTER),
        outbox.c.created_at >= sa.bindparam("at", type_=UtcDateTime()),
        outbox.c.state != sa.literal_column(f"'{OutboxState.CANCELLED}'"),
    )
)


def _next_chat(after: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    following = sa.select(messages.c.peer_id).where(of_account(messages), messages.c.peer_id > after)
    return following.order_by(messages.c.peer_id).limit(_ONE).scalar_subquery()


# From one chat to the next by the key of `messages`: a step costs the same however much was said in a chat.
_walk = sa.select(_next_chat(sa.bindparam("after", type_=sa.BigInteger)).label("peer_id"), _ONE.label("step")).cte(
    "walk", recursive=True
)
_walk = _walk.union_all(
    sa.select(_next_chat(_walk.c.peer_id), _walk.c.step + 1).where(_walk.c.peer_id.is_not(None), _walk.c.step < _LIMIT)
)
_CHATS = (
    sa.select(
        _walk.c.peer_id,
        sa.exists(sa.select(starters.c.peer_id).where(of_account(starters), starters.c.peer_id == _walk.c.peer_id)),
    )
    .where(_walk.c.peer_id.is_not(None))
    .order_by(_walk.c.peer_id)
)


class StarterRepository(AnswerRepository):
    """The agenda of those to whom the bot may write first, and what it has written so."""

    async def enlist(self, after: int, at: datetime, limit: int = 200) -> int | None:
        """Put the next people with a conversation on the agenda who are not on it, a page of chats at a time.

        Args:
            after: the last page's result; 0 for the first.
            at: from when on it is worth looking at them.

        Returns:
            Where to go on; None: that were all.
        """
        found = await self.fetch(_CHATS, after=after, limit=limit)
        new = [row[0] for row in found if not row[1]]
        if new:
            rows = [{**self.keys, "peer_id": peer_id, "next_at": at} for peer_id in new]
            async with self.store.begin() as connection:
                await self.fence(connection)
                await connection.execute(self.insert(starters).values(rows).on_conflict_do_nothing())
        return found[-1][0] if len(found) == limit else None

    async def due_to_start(self, at: datetime, limit: int = 20) -> list[Acquaintance]:
        """Those at whom it is time to look, the longest due first."""
        return [_acquaintance(row) for row in await self.fetch(_DUE, at=at, limit=limit)]

    async def acquaintance(self, peer_id: int) -> Acquaintance | None:
        """One of those on the agenda as things stand now; None: not on it."""
        rows = await self.fetch(_THIS, peer_id=peer_id)
        return _acquaintance(rows[0]) if rows else None

    async def started_since(self, at: datetime) -> int:
        """How many messages of the bot's own accord were stored since then and not cancelled."""
        return int((await self.fetch(_SINCE, at=at))[0][0])

    async def look_later(self, when: Mapping[int, datetime]) -> None:
        """By chat, when to look again."""
        if not when:
            return
        async with self.store.begin() as connection:
            await self.fence(connection)
            for peer_id, at in sorted(when.items()):
                later = sa.update(starters).where(self.mine(starters, peer_id=peer_id)).values(next_at=at)
                await connection.execute(later)

    async def store_starter(self, person: Acquaintance, draft: Draft, unanswered: int, next_at: datetime) -> bool:
        """Queue what the bot writes first, note it in the history and on the agenda, in one transaction.

        Args:
            person: as they were when it was decided.
            unanswered: how many have no answer, with this one.

        Returns:
            False: the person has written since, and nothing was stored. The same draft again changes nothing and is True.
        """
        return await until_placed(lambda: self._store_starter(person, draft, unanswered, next_at))

    async def cancel_starter(self, row: OutboxRow, reason: str) -> bool:
        """It is not said: it leaves the history, counts for no cap and as no disclosure. False: it was attempted or closed."""
        this = sa.and_(self.mine(outbox, peer_id=row.peer_id, position=row.position))
        cancelled = (
            sa.update(outbox)
            .where(this, outbox.c.state == OutboxState.PENDING.value)
            .values(state=OutboxState.CANCELLED.value, reason=reason, closed_at=now(), history_position=None)
            .returning(outbox.c.position)
        )
        fewer = sa.case((starters.c.unanswered > 0, starters.c.unanswered - 1), else_=0)
        effects: list[sa.Executable] = [
            sa.delete(messages).where(
                self.mine(messages, peer_id=row.peer_id, position=row.history_position, role=Role.ASSISTANT.value)
            ),
            sa.update(chats)
            .where(self.mine(chats, peer_id=row.peer_id), chats.c.disclosed_at >= row.created_at)
            .values(disclosed_at=None),
            sa.update(starters).where(self.mine(starters, peer_id=row.peer_id)).values(unanswered=fewer),
        ]
        async with self.store.begin() as connection:
            await self.fence(connection)
            if (await connection.execute(cancelled)).first() is None:
                return False
            for effect in effects:
                await connection.execute(effect)
        return True

    async def _store_starter(self, person: Acquaintance, draft: Draft, unanswered: int, next_at: datetime) -> bool:
        peer_id = person.peer_id
        newer = sa.or_(inbox.c.state == InboxState.PENDING.value, inbox.c.message_id > (person.heard_id or 0))
        wrote = sa.select(inbox.c.message_id).where(self.mine(inbox, peer_id=peer_id), newer).limit(1)
        async with self.store.begin() as connection:
            await self.fence(connection)
            if not await self._unknown(connection, [draft]):
                return True
            if (await connection.execute(wrote)).first() is not None:
                return False
            position = await note(self, connection, peer_id, [Said(Role.ASSISTANT, clean(draft.text))])
            await self._queue(connection, peer_id, [draft], position)
            if draft.discloses:
                await self._disclosed(connection, peer_id)
            row = self.mine(starters, peer_id=peer_id)
            values = {"started_at": now(), "unanswered": unanswered, "next_at": next_at}
            await connection.execute(sa.update(starters).where(row).values(**values))
        return True


def _acquaintance(row: Any) -> Acquaintance:
    person = Acquaintance(*row)
    return replace(  # SQLite knows numbers only
        person,
        waiting=bool(person.waiting),
        queued=bool(person.queued),
        opted_out=bool(person.opted_out),
        blocked=bool(person.blocked),
        closed=bool(person.closed),
    )
