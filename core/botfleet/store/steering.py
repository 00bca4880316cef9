"""Why: what admins have decided from within a chat: a pause, people who are not answered. It holds no text."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from botfleet.store.fence import Fenced, now, of_account
from botfleet.store.rows import Silence
from botfleet.store.tables import blocks, controls, opt_outs, takeovers

_PEOPLE = (sa.bindparam("peer_id", type_=sa.BigInteger), sa.bindparam("person_id", type_=sa.BigInteger))
_SILENCE = sa.select(
    sa.exists(sa.select(opt_outs.c.person_id).where(of_account(opt_outs), opt_outs.c.person_id.in_(_PEOPLE))),
    sa.exists(sa.select(blocks.c.person_id).where(of_account(blocks), blocks.c.person_id.in_(_PEOPLE))),
    sa.select(takeovers.c.until).where(of_account(takeovers, "peer_id")).scalar_subquery(),
)
_CONTROLS = sa.select(controls.c.paused_at, controls.c.commands_digest).where(of_account(controls))


class SteeringRepository(Fenced):
    """The pause and the blocks of an account, and what silences the bot towards a person."""

    async def silence(self, peer_id: int, asker_id: int | None = None) -> Silence:
        """Why the bot may not speak in this chat, to whom it answers there. A person's chat has the person's id.

        Args:
            asker_id: who is answered, if that is another one than the chat.
        """
        person_id = peer_id if asker_id is None else asker_id
        ((opted_out, blocked, until),) = await self.fetch(_SILENCE, person_id=person_id, peer_id=peer_id)
        return Silence(bool(opted_out), bool(blocked), until)

    async def paused_at(self) -> datetime | None:
        """Since when the bot answers nobody; None: it answers."""
        rows = await self.fetch(_CONTROLS)
        return rows[0][0] if rows else None

    async def pause(self, by: int) -> None:
        """The bot answers nobody, over restarts; the first such moment is kept."""
        if await self.paused_at() is None:
            await self._control(paused_at=now(), paused_by=by)

    async def resume(self) -> None:
        """The bot answers again."""
        await self._control(paused_at=None, paused_by=None)

    async def commands_digest(self) -> str | None:
        """Of the commands that Telegram was told to show; None: it was told none."""
        rows = await self.fetch(_CONTROLS)
        return rows[0][1] if rows else None

    async def set_commands_digest(self, digest: str) -> None:
        """Telegram shows these commands now."""
        await self._control(commands_digest=digest)

    async def block(self, person_id: int, by: int) -> None:
        """The person is not answered any more; the first such moment is kept."""
        blocked = self.insert(blocks).values(**self.keys, person_id=person_id, since=now(), by=by)
        await self._execute(blocked.on_conflict_do_nothing())

    async def unblock(self, person_id: int) -> None:
        """The person is answered again."""
        await self._execute(sa.delete(blocks).where(self.mine(blocks, person_id=person_id)))

    async def _control(self, **values: Any) -> None:
        statement = (
            self.insert(controls)
            .values(**self.keys, **values)
            .on_conflict_do_update(index_elements=[controls.c.bot_id, controls.c.account_id], set_=values)
        )
        await self._execute(statement)

    async def _execute(self, statement: sa.Executable) -> None:
        async with self.store.begin() as connection:
            await self.fence(connection)
            await connection.execute(statement)
