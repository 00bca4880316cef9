"""Why: what a person or a chat has decided: opted out, was told, cannot be written to. It never holds what was said."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from botfleet.store.fence import Fenced, now, of_account
from botfleet.store.rows import ChatRow
from botfleet.store.tables import chats, opt_outs

_CHAT = sa.select(chats.c.disclosed_at, chats.c.closed_reason, chats.c.not_before).where(of_account(chats, "peer_id"))
_OPTED_OUT = sa.select(opt_outs.c.person_id).where(of_account(opt_outs, "person_id"))


class PeopleRepository(Fenced):
    """Chats and opt-outs."""

    async def chat(self, peer_id: int) -> ChatRow:
        """What is kept of a chat."""
        rows = await self.fetch(_CHAT, peer_id=peer_id)
        return ChatRow(*rows[0]) if rows else ChatRow()

    async def close_chat(self, peer_id: int, reason: str) -> None:
        """Telegram lets us not write here (USER_IS_BLOCKED …). A message that a person writes there opens it again."""
        await self._set(peer_id, closed_reason=reason)

    async def set_not_before(self, peer_id: int, until: datetime | None) -> None:
        """Nothing goes to this chat before (slow mode)."""
        await self._set(peer_id, not_before=until)

    async def opt_out(self, person_id: int) -> None:
        """The person wants to hear nothing; the first such moment is kept."""
        statement = self.insert(opt_outs).values(**self.keys, person_id=person_id, since=now()).on_conflict_do_nothing()
        await self._write(statement)

    async def opt_in(self, person_id: int) -> None:
        """The person wants to hear again."""
        await self._write(sa.delete(opt_outs).where(self.mine(opt_outs, person_id=person_id)))

    async def opted_out(self, person_id: int) -> bool:
        """Whether nothing may be said to this person."""
        return bool(await self.fetch(_OPTED_OUT, person_id=person_id))

    async def _set(self, peer_id: int, **values: Any) -> None:
        statement = (
            self.insert(chats)
            .values(**self.keys, peer_id=peer_id, **values)
            .on_conflict_do_update(index_elements=[chats.c.bot_id, chats.c.account_id, chats.c.peer_id], set_=values)
        )
        await self._write(statement)

    async def _write(self, statement: sa.Executable) -> None:
        async with self.store.begin() as connection:
            await self.fence(connection)
            await connection.execute(statement)
