"""Why: what a decision about a chat asks of its past: who opted out, what is ours, what is quoted.

It only reads. Each question is asked for one chat, and of one page.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from botfleet.store.fence import Fenced, of_account
from botfleet.store.rows import HistoryRow, Silenced
from botfleet.store.tables import Role, blocks, inbox, messages, opt_outs, outbox

_BY_RANDOM_ID = sa.select(outbox.c.position).where(of_account(outbox, "random_id"))
_SENDER = sa.select(inbox.c.sender_id).where(of_account(inbox, "peer_id", "message_id"))


class GlanceRepository(Fenced):
    """Questions about a chat."""

    async def silenced_of(self, person_ids: Collection[int]) -> Silenced:
        """Those of these people who are not answered, wherever they write; asked in one question."""
        left = sa.select(sa.literal("opted_out"), opt_outs.c.person_id)
        not_wanted = sa.select(sa.literal("blocked"), blocks.c.person_id)
        found = sa.union_all(
            left.where(self.mine(opt_outs), opt_outs.c.person_id.in_(person_ids)),
            not_wanted.where(self.mine(blocks), blocks.c.person_id.in_(person_ids)),
        )
        people: dict[str, set[int]] = {"opted_out": set(), "blocked": set()}
        for why, person_id in await self._rows(found, person_ids):
            people[why].add(person_id)
        return Silenced(**{why: frozenset(ids) for why, ids in people.items()})

    async def ours(self, peer_id: int, message_ids: Collection[int]) -> frozenset[int]:
        """Those of these messages that we sent."""
        where = sa.and_(self.mine(outbox, peer_id=peer_id), outbox.c.sent_message_id.in_(message_ids))
        found = sa.select(outbox.c.sent_message_id).where(where)
        return frozenset(row[0] for row in await self._rows(found, message_ids))

    async def quoted(self, peer_id: int, message_ids: Collection[int], *, overheard: str) -> dict[int, HistoryRow]:
        """What these messages say, as far as it is known.

        Args:
            overheard: a message that was skipped for this reason was addressed to somebody else; whoever answers it in words
                to us means it to be read.
        """
        if not message_ids:  # as nearly always: not even the statement is put together
            return {}
        said = sa.select(
            messages.c.message_id,
            messages.c.role,
            messages.c.text,
            messages.c.date,
            messages.c.position,
            messages.c.sender_id,
            messages.c.sender_name,
        ).where(self.mine(messages, peer_id=peer_id), messages.c.message_id.in_(message_ids))
        heard = sa.select(
            inbox.c.message_id,
            sa.literal(Role.USER.value),
            inbox.c.text,
            inbox.c.date,
            sa.literal(0),
            inbox.c.sender_id,
            inbox.c.sender_name,
        ).where(self.mine(inbox, peer_id=peer_id, reason=overheard), inbox.c.message_id.in_(message_ids))
        rows = [*await self._rows(heard, message_ids), *await self._rows(said, message_ids)]
        return {row[0]: HistoryRow(*row[1:]) for row in rows}

    async def is_queued(self, random_id: int) -> bool:
        """Whether this message stands in the outbox, in whatever state."""
        return bool(await self.fetch(_BY_RANDOM_ID, random_id=random_id))

    async def sender_of(self, peer_id: int, message_id: int) -> int | None:
        """Who wrote a message."""
        rows = await self.fetch(_SENDER, peer_id=peer_id, message_id=message_id)
        return rows[0][0] if rows else None

    async def _rows(self, statement: sa.Executable, asked: Collection[int]) -> list[Any]:
        if not asked:
            return []
        async with self.store.read() as connection:
            return list((await connection.execute(statement)).all())
