"""Why: what a message's media says is paid for once: it is stored with the message, together with what it cost.

Bytes of media are never stored. It decides nothing: an empty text says that somebody has found nothing to read in it.
"""

# ruff: noqa: S608 - put together from constants; every value is a parameter

from collections.abc import Sequence

import sqlalchemy as sa

from botfleet.store.engine import SCHEMA
from botfleet.store.fence import Fenced
from botfleet.store.folding import clean
from botfleet.store.rows import Spending
from botfleet.store.statements import run, statement
from botfleet.store.tables import InboxState, inbox
from botfleet.store.usage import count_in, counting, spent_rows

_MESSAGE = "i.bot_id = l.bot_id and i.account_id = %(account_id)s and i.peer_id = %(peer_id)s and i.message_id = %(message_id)s"
_NOTE = statement(
    [
        f"""noted as (
  update {SCHEMA}.inbox i set words = %(words)s from l
  where {_MESSAGE} and i.words is null and i.state = '{InboxState.PENDING}'
  returning i.message_id
)""",
        # Said again because its answer was lost, it was counted the first time.
        *counting(f"not exists (select from {SCHEMA}.inbox i where {_MESSAGE} and i.words is not null)"),
    ],
    "(select count(*) from noted)",
)


class MediaRepository(Fenced):
    """What messages carry besides their text."""

    async def note_words(self, peer_id: int, message_id: int, words: str, spent: Sequence[Spending] = ()) -> bool:
        """What the message's media says; empty: it cannot be read. A message that is closed keeps nothing of it: it may have been
        closed because the person wants it forgotten. What it cost is counted all the same, once.

        Returns:
            False: it stood already, or the message does not wait any more.

        Raises:
            LeaseLost: nothing was written.
        """
        text = clean(words)
        if self.store.is_postgresql:
            values = {"peer_id": peer_id, "message_id": message_id, "words": text, "spent": spent_rows(spent)}
            (noted,) = await run(self, _NOTE, values)
            return bool(noted)
        message = self.mine(inbox, peer_id=peer_id, message_id=message_id)
        unread = sa.and_(message, inbox.c.words.is_(None), inbox.c.state == InboxState.PENDING.value)
        async with self.store.begin() as connection:
            await self.fence(connection)
            known = sa.select(inbox.c.message_id).where(message, inbox.c.words.is_not(None))
            if (await connection.execute(known)).first() is None:
                await count_in(self, connection, spent)
            noted = sa.update(inbox).where(unread).values(words=text).returning(inbox.c.message_id)
            return (await connection.execute(noted)).first() is not None
