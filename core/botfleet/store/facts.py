"""Why: what a bot has learned of the person it chats with, as a history: a fact that changes is a new row, the old one ends.

It never decides what is a fact. Of an erased fact the row stays without its value: that it was erased is known, what it was is not.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.fence import Fenced, now, of_account
from botfleet.store.folding import clean
from botfleet.store.rows import InboxRow
from botfleet.store.tables import InboxState, facts, inbox

_CURRENT = (
    sa.select(facts.c.name, facts.c.value)
    .where(of_account(facts, "peer_id"), facts.c.ended_at.is_(None))
    .order_by(facts.c.name)
)


class FactRepository(Fenced):
    """The facts of a chat."""

    async def facts(self, peer_id: int) -> dict[str, str]:
        """What is known now."""
        return {row[0]: row[1] for row in await self.fetch(_CURRENT, peer_id=peer_id)}

    async def correct_facts(
        self, peer_id: int, changes: Mapping[str, str | None], command: InboxRow, left: str
    ) -> None:
        """An admin's word: these names have these values from now on; None: erased, in the history too.

        Args:
            command: what the admin said, which is still pending.
            left: what stays of it: neither a value that was erased nor one that was put right stays in the admin's chat.
        """
        said = self.mine(inbox, peer_id=command.peer_id, message_id=command.message_id, state=InboxState.PENDING.value)
        async with self.store.begin() as connection:
            await self.fence(connection)
            await change_facts(self, connection, peer_id, changes)
            await connection.execute(sa.update(inbox).where(said).values(text=left))


async def change_facts(
    repository: Fenced, connection: AsyncConnection, peer_id: int, changes: Mapping[str, str | None]
) -> None:
    """Inside a fenced transaction: each name has this value from now on. None: it is erased, in its history too."""
    for name, value in sorted(changes.items()):
        same = repository.mine(facts, peer_id=peer_id, name=name)
        known = (
            await connection.execute(
                sa.select(facts.c.version, facts.c.value, facts.c.ended_at)
                .where(same)
                .order_by(facts.c.version.desc())
                .limit(1)
            )
        ).first()
        if value is not None and known is not None and known.ended_at is None and known.value == clean(value):
            continue
        ended: dict[str, Any] = {
            "ended_at": sa.func.coalesce(facts.c.ended_at, sa.literal(now(), facts.c.ended_at.type))
        }
        if value is None:
            ended["value"] = None
        await connection.execute(sa.update(facts).where(same).values(**ended))
        if value is not None:
            row = {"peer_id": peer_id, "name": name, "value": clean(value), "learned_at": now()}
            version = known.version + 1 if known is not None else 1
            await connection.execute(sa.insert(facts).values(**repository.keys, **row, version=version))
