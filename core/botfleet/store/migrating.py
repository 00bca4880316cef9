"""Why: a group that becomes a supergroup is the same chat to its people. Telegram gives it another id, with a count of its own.

All that was the group's goes to the supergroup, in the transaction that takes in the news. Run again it moves what is left, so
it may come by several ways, and twice. A role of a bot may not change a key, so rows are taken out and put in.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.fence import Fenced, now
from botfleet.store.rows import Migration, earlier_id
from botfleet.store.tables import (
    InboxState,
    OutboxState,
    blocks,
    chats,
    facts,
    inbox,
    messages,
    opt_outs,
    outbox,
    summaries,
    takeovers,
)

MIGRATED = "Migrated"

Row = dict[str, Any]


async def migrate(repository: Fenced, connection: AsyncConnection, migration: Migration) -> bool:
    """Inside a fenced transaction. True: messages wait in the supergroup that waited in the group."""
    old, new = migration.old, migration.new
    # The inbox first: whoever stores an answer to one of these rows waits here, and finds none of them afterwards.
    waiting = await _move_inbox(repository, connection, migration)
    await _make_room(repository, connection, migration)
    await _move_outbox(repository, connection, migration)
    moved = await _put(repository, connection, messages, old, lambda row: _said(row, new))
    if moved:
        # What is summed up is never past what comes before it; what it was made of is still there to be summed up anew.
        await connection.execute(sa.delete(summaries).where(repository.mine(summaries, peer_id=new)))
    await _put(repository, connection, summaries, old, lambda row: {**row, "peer_id": new})
    known = sa.select(facts.c.name).where(repository.mine(facts, peer_id=new))
    await connection.execute(sa.delete(facts).where(repository.mine(facts, peer_id=old), facts.c.name.in_(known)))
    await _put(repository, connection, facts, old, lambda row: {**row, "peer_id": new})
    await _move_wishes(repository, connection, migration)
    await _move_takeover(repository, connection, migration)
    await _move_chat(repository, connection, migration)
    return waiting


async def _move_inbox(repository: Fenced, connection: AsyncConnection, migration: Migration) -> bool:
    def moved(row: Row) -> Row:
        answers = row["reply_to_message_id"]
        return {
            **row,
            "peer_id": migration.new,
            "message_id": earlier_id(row["message_id"]),
            "reply_to_message_id": None if answers is None else earlier_id(answers),
            "access_hash": None,  # a group has none; that of the supergroup is known by itself
        }

    rows = await _put(repository, connection, inbox, migration.old, moved)
    return any(row["state"] == InboxState.PENDING.value for row in rows)


async def _make_room(repository: Fenced, connection: AsyncConnection, migration: Migration) -> None:
    """What the supergroup has already comes after all that was the group's."""
    said = await _last(repository, connection, messages, migration.old)
    sent = await _last(repository, connection, outbox, migration.old)
    if said:
        await _put(
            repository, connection, messages, migration.new, lambda row: {**row, "position": row["position"] + said}
        )
    if said or sent:

        def later(row: Row) -> Row:
            place = row["history_position"]
            return {
                **row,
                "position": row["position"] + sent,
                "history_position": None if place is None else place + said,
            }

        await _put(repository, connection, outbox, migration.new, later)


async def _move_outbox(repository: Fenced, connection: AsyncConnection, migration: Migration) -> None:
    def moved(row: Row) -> Row:
        sent, attempted = row["sent_message_id"], row["state"] == OutboxState.ATTEMPTED.value
        return {
            **row,
            "peer_id": migration.new,
            "cause": _caused(row["cause"]),
            "access_hash": None,
            "reply_to_message_id": None,  # the message is the other chat's
            "sent_message_id": None if sent is None else earlier_id(sent),
            "attempted_in": migration.old if attempted else row["attempted_in"],
        }

    await _put(repository, connection, outbox, migration.old, moved)


async def _move_wishes(repository: Fenced, connection: AsyncConnection, migration: Migration) -> None:
    """The group's own: one of its admins has said /stop as the group, or it is blocked. What is its people's stays with them."""
    for table in (opt_outs, blocks):
        mine = repository.mine(table, person_id=migration.old)
        row = (await connection.execute(sa.select(table).where(mine))).mappings().first()
        if row is not None:
            moved = {**row, "person_id": migration.new}
            await connection.execute(repository.insert(table).values(**moved).on_conflict_do_nothing())
            await connection.execute(sa.delete(table).where(mine))


async def _move_takeover(repository: Fenced, connection: AsyncConnection, migration: Migration) -> None:
    """Who has the group has the supergroup. That of the group has come to its end, which nobody is told."""
    here = repository.mine(takeovers, peer_id=migration.old)
    row = (
        (await connection.execute(sa.select(takeovers).where(here, takeovers.c.ended_at.is_(None)))).mappings().first()
    )
    if row is not None:
        moved = {**row, "peer_id": migration.new}
        await connection.execute(repository.insert(takeovers).values(**moved).on_conflict_do_nothing())
        await connection.execute(sa.update(takeovers).where(here).values(ended_at=now()))


async def _move_chat(repository: Fenced, connection: AsyncConnection, migration: Migration) -> None:
    """What was disclosed, and until when nothing may be sent. That the group could not be written to says nothing of now."""
    kept = sa.select(chats.c.peer_id, chats.c.disclosed_at, chats.c.not_before, chats.c.migrated_to).where(
        repository.mine(chats), chats.c.peer_id.in_((migration.old, migration.new))
    )
    known = {row.peer_id: row for row in (await connection.execute(kept)).all()}
    before, after = known.get(migration.old), known.get(migration.new)
    if before is not None and (before.disclosed_at is not None or before.not_before is not None):
        values = {
            name: _latest(getattr(before, name), getattr(after, name, None)) for name in ("disclosed_at", "not_before")
        }
        await _set(repository, connection, migration.new, values)
    gone = {"disclosed_at": None, "not_before": None, "closed_reason": MIGRATED, "migrated_to": migration.new}
    if before is None or before.migrated_to != migration.new or before.disclosed_at or before.not_before:
        await _set(repository, connection, migration.old, gone)


async def _set(repository: Fenced, connection: AsyncConnection, peer_id: int, values: Row) -> None:
    statement = repository.insert(chats).values(**repository.keys, peer_id=peer_id, **values)
    key = [chats.c.bot_id, chats.c.account_id, chats.c.peer_id]
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))


async def _put(
    repository: Fenced, connection: AsyncConnection, table: sa.Table, peer_id: int, changed: Callable[[Row], Row]
) -> list[Row]:
    """Take a chat's rows out and put them in as they are to be."""
    taken = sa.delete(table).where(repository.mine(table, peer_id=peer_id)).returning(*table.c)
    rows = [changed(dict(row)) for row in (await connection.execute(taken)).mappings().all()]
    for row in rows:
        if "entities" in row and row["entities"] is None:
            row["entities"] = sa.null()
        await connection.execute(sa.insert(table).values(**row))
    return rows


async def _last(repository: Fenced, connection: AsyncConnection, table: sa.Table, peer_id: int) -> int:
    last = sa.select(sa.func.coalesce(sa.func.max(table.c.position), 0)).where(repository.mine(table, peer_id=peer_id))
    return int((await connection.execute(last)).scalar_one())


def _said(row: Row, new: int) -> Row:
    known = row["message_id"]
    return {**row, "peer_id": new, "message_id": None if known is None else earlier_id(known)}


def _caused(cause: str) -> str:
    kind, _, tail = cause.rpartition(":")
    return f"{kind}:{earlier_id(int(tail))}" if kind and tail.isascii() and tail.isdigit() else cause


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    known = [time for time in (one, other) if time is not None]
    return max(known, default=None)
