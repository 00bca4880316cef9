"""Why: an account that is served by another bot now brings along what belongs to the account: how far it was taken in, whom it may
reach, who wants to hear nothing of it, and what is under way. What was said stays with the bot that said it; of the last of it the
numbers are copied, by which the account's own messages are known when they come again.

What is under way are words of people: they go to a bot that has shown the operator the very credential that the account had, since
that Telegram takes another one is the word of a runner. Else they are closed.

The operator's role alone can do this, and only after Telegram has accepted the credential: an id is public and proves nothing.
It moves rows without reading what people wrote: its rights are on keys and states (privileges.py).
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.engine import Store
from botfleet.store.fence import now
from botfleet.store.lease import database_now
from botfleet.store.rows import ACCOUNT_STATE
from botfleet.store.tables import (
    InboxState,
    OutboxState,
    accounts,
    bindings,
    blocks,
    bots,
    inbox,
    leases,
    opt_outs,
    outbox,
    peers,
    update_states,
)

ACCOUNT_MOVED = "AccountMoved"
SENT_ELSEWHERE = "moved"
"""The cause of a row that stands for what another bot has sent with the account."""
SENT_WITHIN = timedelta(days=1)
"""How long before the last one a message was sent that the next bot knows. States lie behind by seconds; a bot may be gone for weeks."""

_MOVED = (update_states, peers)
_COPIED = (opt_outs, blocks)
"""The bot that had the account keeps them too: if the other one's data are erased, they are not forgotten."""
_ENDS = {OutboxState.PENDING: OutboxState.CANCELLED, OutboxState.ATTEMPTED: OutboxState.FAILED}
_OPEN = tuple(state.value for state in _ENDS)


class StillServedError(Exception):
    """The bot that had the account may still be connected with it."""


def account_id_of(account_key: str) -> int | None:
    """Of a binding's key; None: a session, of which nobody knows yet whose it is."""
    kind, _, number = account_key.partition(":")
    return int(number) if kind in ("bot", "user") and number.isascii() and number.isdigit() else None


async def served_before(connection: AsyncConnection, account_id: int, bot_id: str) -> str | None:
    """The other bot with this account's newest state; None: no other one has any, or this one's is as new."""
    state = sa.select(update_states.c.bot_id).where(
        update_states.c.account_id == account_id, update_states.c.channel_id == ACCOUNT_STATE
    )
    newest = state.order_by(update_states.c.pts.desc(), update_states.c.bot_id != bot_id).limit(1)
    found = (await connection.execute(newest)).scalar_one_or_none()
    return None if found in (None, bot_id) else str(found)


async def check_free(store: Store, connection: AsyncConnection, bot_id: str) -> None:
    """That a bot serves the account no more: its runner is gone, or another account of it is proved since.

    Raises:
        StillServedError: it may serve it.
    """
    free = sa.or_(leases.c.holder.is_(None), leases.c.expires_at <= database_now(store))
    other = sa.exists(sa.select(bindings.c.bot_id).where(bindings.c.bot_id == bot_id, bindings.c.proved))
    living = sa.exists(sa.select(bots.c.id).where(bots.c.id == bot_id, bots.c.deleted_at.is_(None)))
    statement = sa.select(sa.or_(free, sa.and_(living, other))).where(leases.c.bot_id == bot_id)
    if not (await connection.execute(statement)).scalar_one_or_none():
        raise StillServedError("the bot that had the account may still be connected with it")


async def knows_credential(connection: AsyncConnection, account_id: int, source: str, digest: str) -> bool:
    """Whether this is the credential that a bot had for the account: the digest is the operator's own, of the Secret."""
    bound = sa.select(bots.c.id).where(bots.c.id == source, bots.c.credential_digest == digest)
    used = sa.select(accounts.c.bot_id).where(
        *_of(accounts, source, account_id), accounts.c.credential_digest == digest
    )
    return bool((await connection.execute(sa.select(sa.or_(sa.exists(bound), sa.exists(used))))).scalar_one())


async def bring_along(
    connection: AsyncConnection, account_id: int, source: str, target: str, *, under_way: bool
) -> None:
    """Within the transaction that proves the account: all that follows it from one bot to another.

    Args:
        under_way: what nobody has answered and what is not sent yet goes along too; else it is closed as AccountMoved.
    """
    for table in _MOVED:
        await connection.execute(sa.delete(table).where(*_of(table, target, account_id)))
        await connection.execute(sa.update(table).where(*_of(table, source, account_id)).values(bot_id=target))
    for table in _COPIED:
        await _copy(connection, table, account_id, source, target)
    await _copy_sent(connection, account_id, source, target)
    if under_way:
        await _move_inbox(connection, account_id, source, target)
        await _move_outbox(connection, account_id, source, target)
    await _close_what_is_left(connection, account_id, source)


async def _copy(connection: AsyncConnection, table: sa.Table, account_id: int, source: str, target: str) -> None:
    names = [column.name for column in table.columns]
    given = [sa.literal(target) if name == "bot_id" else table.c[name] for name in names]
    await connection.execute(sa.delete(table).where(*_of(table, target, account_id)))
    rows = sa.select(*given).where(*_of(table, source, account_id))
    await connection.execute(sa.insert(table).from_select(names, rows))


async def _copy_sent(connection: AsyncConnection, account_id: int, source: str, target: str) -> None:
    """What was sent last, without a word of it. A state may lie behind it, and a difference brings it again: without a row that
    accounts for it, it would be the answer of a forgotten run, or the owner's typing, and end what waits."""
    sent = [*_of(outbox, source, account_id), outbox.c.sent_message_id.is_not(None)]
    last = (await connection.execute(sa.select(sa.func.max(outbox.c.closed_at)).where(*sent))).scalar_one()
    if last is None:
        return
    there = outbox.alias()
    here = _of(there, target, account_id)
    known = sa.exists(sa.select(there.c.random_id).where(*here, there.c.random_id == outbox.c.random_id))
    after = sa.select(sa.func.coalesce(sa.func.max(there.c.position), 0)).where(
        *here, there.c.peer_id == outbox.c.peer_id
    )
    kept = ("account_id", "peer_id", "random_id", "part", "created_at", "closed_at", "sent_message_id")
    row: dict[str, sa.ColumnElement[object]] = {
        **{name: outbox.c[name] for name in kept},
        "bot_id": sa.literal(target),
        "position": outbox.c.position + after.scalar_subquery(),
        "cause": sa.literal(SENT_ELSEWHERE),
        "state": sa.literal(OutboxState.SENT.value),
        "text": sa.literal(""),
        "trace_id": sa.literal(""),
    }
    copies = sa.select(*row.values()).where(*sent, outbox.c.closed_at > last - SENT_WITHIN, sa.not_(known))
    await connection.execute(sa.insert(outbox).from_select(list(row), copies))


async def _move_inbox(connection: AsyncConnection, account_id: int, source: str, target: str) -> None:
    """What nobody has answered was written to the account. Its state has passed it, so that it would not come again."""
    there = inbox.alias()
    known = sa.exists(
        sa.select(there.c.message_id).where(
            *_of(there, target, account_id),
            there.c.peer_id == inbox.c.peer_id,
            there.c.message_id == inbox.c.message_id,
        )
    )
    waiting = [*_of(inbox, source, account_id), inbox.c.state == InboxState.PENDING.value]
    await connection.execute(sa.update(inbox).where(*waiting, sa.not_(known)).values(bot_id=target))


async def _move_outbox(connection: AsyncConnection, account_id: int, source: str, target: str) -> None:
    """What is not sent yet is owed to somebody whose question is closed; with its random_id it is said once, by whomever."""
    there = outbox.alias()
    known = sa.exists(
        sa.select(there.c.random_id).where(*_of(there, target, account_id), there.c.random_id == outbox.c.random_id)
    )
    unsent = [*_of(outbox, source, account_id), outbox.c.state.in_(_OPEN)]
    chats = sa.select(outbox.c.peer_id).where(*unsent).distinct()
    for peer_id in (await connection.execute(chats)).scalars().all():
        last = sa.select(sa.func.coalesce(sa.func.max(outbox.c.position), 0)).where(
            *_of(outbox, target, account_id), outbox.c.peer_id == peer_id
        )
        after = int((await connection.execute(last)).scalar_one())
        # Its place in the history is in that of the other bot.
        moved = {"bot_id": target, "position": outbox.c.position + after, "history_position": None}
        here = [*unsent, outbox.c.peer_id == peer_id]
        await connection.execute(sa.update(outbox).where(*here, sa.not_(known)).values(**moved))


async def _close_what_is_left(connection: AsyncConnection, account_id: int, source: str) -> None:
    """What may not go, and on the way back what the other bot has already."""
    closed = {"reason": ACCOUNT_MOVED, "closed_at": now()}
    waiting = [*_of(inbox, source, account_id), inbox.c.state == InboxState.PENDING.value]
    await connection.execute(sa.update(inbox).where(*waiting).values(state=InboxState.SKIPPED.value, **closed))
    for before, after in _ENDS.items():
        unsent = [*_of(outbox, source, account_id), outbox.c.state == before.value]
        await connection.execute(sa.update(outbox).where(*unsent).values(state=after.value, **closed))


def _of(table: sa.FromClause, bot_id: str, account_id: int) -> Sequence[sa.ColumnElement[bool]]:
    return (table.c.bot_id == bot_id, table.c.account_id == account_id)
