"""Why: a person says /forget, and what they said and were told is gone from the store, in one transaction.

Ids and states stay, so that nothing is taken in, answered or sent twice; so do an opt-out, a block and a takeover.

Others write meanwhile, and a statement sees what was committed before it began. So what is written from is erased before what is
written from it: the inbox, then the conversation, then its summary and facts. Whoever was first is waited for and erased after;
whoever comes later finds nothing to write from.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.fence import Fenced, now
from botfleet.store.proof import FORGOTTEN, OPEN
from botfleet.store.tables import InboxState, OutboxState, chats, facts, inbox, messages, outbox, summaries

_NO_MEDIA: dict[str, Any] = {"words": None, "media": sa.null()}


class ForgettingRepository(Fenced):
    """What a person may have erased."""

    async def forget(self, peer_id: int, message_id: int) -> None:
        """Erase the conversation, its summary, the facts and every text of a person's chat; in groups what the person wrote.

        Done again, it changes nothing more. A group's summary may tell of the person, so it goes, and is written anew from what
        is left: of each group whose conversation, or inbox, has a message of theirs.

        What was stored to be said and never attempted is not said, but answers to commands: they hold nothing of theirs.
        What was attempted may have to be sent again as it was: its text goes when it is closed, for which its reason
        stands (proof.py, statement_sent.py).

        Args:
            message_id: of the command, which is still pending; nothing but its word stays.
        """
        async with self.store.begin() as connection:
            await self.fence(connection)
            for statement in self._in_private(peer_id, message_id):
                await connection.execute(statement)
            await self._in_groups(connection, peer_id)

    def _in_private(self, peer_id: int, message_id: int) -> list[sa.Executable]:
        inboxes, outboxes = self.mine(inbox, peer_id=peer_id), self.mine(outbox, peer_id=peer_id)
        return [
            sa.update(inbox)
            .where(inboxes, inbox.c.state != InboxState.PENDING.value)
            .values(text="", sender_name=None, **_NO_MEDIA),
            sa.update(inbox)
            .where(inboxes, inbox.c.message_id == message_id, inbox.c.state == InboxState.PENDING.value)
            .values(text="/forget", sender_name=None, **_NO_MEDIA),
            sa.update(outbox)
            .where(outboxes, outbox.c.state == OutboxState.PENDING.value, sa.not_(outbox.c.cause.like("command:%")))
            .values(state=OutboxState.CANCELLED.value, reason=FORGOTTEN, closed_at=now()),
            sa.update(outbox).where(outboxes, outbox.c.state == OutboxState.ATTEMPTED.value).values(reason=FORGOTTEN),
            sa.update(outbox).where(outboxes).values(history_position=None),
            sa.update(outbox).where(outboxes, outbox.c.state.not_in(OPEN)).values(text="", entities=sa.null()),
            sa.delete(messages).where(self.mine(messages, peer_id=peer_id)),
            sa.delete(summaries).where(self.mine(summaries, peer_id=peer_id)),
            sa.delete(facts).where(self.mine(facts, peer_id=peer_id)),
            sa.update(chats).where(self.mine(chats, peer_id=peer_id)).values(disclosed_at=None),
        ]

    async def _in_groups(self, connection: AsyncConnection, person_id: int) -> None:
        def theirs(table: sa.Table) -> sa.ColumnElement[bool]:
            return sa.and_(self.mine(table, sender_id=person_id), table.c.peer_id < 0)

        pending = inbox.c.state == InboxState.PENDING.value
        skipped = {"state": InboxState.SKIPPED.value, "reason": FORGOTTEN, "closed_at": now()}
        await connection.execute(sa.update(inbox).where(theirs(inbox), pending).values(**skipped))
        emptied = sa.update(inbox).where(theirs(inbox)).values(text="", sender_name=None, **_NO_MEDIA)
        gone = sa.delete(messages).where(theirs(messages))
        # What they deleted themselves is not in the conversation any more, and may be in its summary.
        spoke = {
            *(await connection.execute(emptied.returning(inbox.c.peer_id))).scalars(),
            *(await connection.execute(gone.returning(messages.c.peer_id))).scalars(),
        }
        await connection.execute(sa.delete(summaries).where(self.mine(summaries), summaries.c.peer_id.in_(spoke)))
