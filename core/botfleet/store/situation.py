"""Why: what is decided about a chat is decided from one reading: what waits, and what the person has said and been told.

It never writes. Read together, the facts belong together; and the way of each message is several readings shorter.
"""

import sqlalchemy as sa

from botfleet.store.fence import Fenced, is_one_of, of_account
from botfleet.store.rows import InboxRow, Situation
from botfleet.store.tables import InboxState, blocks, chats, inbox, messages, opt_outs, outbox, takeovers

_INBOX = (
    inbox.c.peer_id,
    inbox.c.message_id,
    inbox.c.sender_id,
    inbox.c.access_hash,
    inbox.c.text,
    inbox.c.date,
    inbox.c.edit_date,
    inbox.c.grouped_id,
    inbox.c.reply_to_message_id,
    inbox.c.trace_id,
    inbox.c.received_at,
    inbox.c.state,
    inbox.c.reason,
    inbox.c.sender_name,
    inbox.c.sender_kind,
    inbox.c.mentioned,
    inbox.c.topic_id,
    inbox.c.media,
    inbox.c.words,
)
_PENDING = (
    sa.select(*_INBOX)
    .where(of_account(inbox, "peer_id"), is_one_of(inbox.c.state, [InboxState.PENDING]))
    .order_by(inbox.c.message_id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
# A person's marked id is the id of the private chat.
_SAME = sa.bindparam("peer_id", type_=sa.BigInteger)
_OPTED_OUT = sa.exists(sa.select(opt_outs.c.person_id).where(of_account(opt_outs), opt_outs.c.person_id == _SAME))
_BLOCKED = sa.exists(sa.select(blocks.c.person_id).where(of_account(blocks), blocks.c.person_id == _SAME))
_TAKEN_UNTIL = sa.select(takeovers.c.until).where(of_account(takeovers, "peer_id")).scalar_subquery()
_DISCLOSED_AT = sa.select(chats.c.disclosed_at).where(of_account(chats, "peer_id")).scalar_subquery()
_LAST_SAID_AT = (
    sa.select(messages.c.date)
    .where(of_account(messages, "peer_id"))
    .order_by(messages.c.position.desc())
    .limit(sa.literal_column("1"))
    .scalar_subquery()
)
_ANSWERED_AT = (
    sa.select(outbox.c.created_at)
    .where(of_account(outbox, "peer_id"), outbox.c.part == sa.literal_column("0"))
    .order_by(outbox.c.position.desc())
    .limit(sa.literal_column("1"))
    .offset(sa.bindparam("newer_answers", type_=sa.Integer))
    .scalar_subquery()
)
_SITUATION = _PENDING.add_columns(_OPTED_OUT, _DISCLOSED_AT, _LAST_SAID_AT, _BLOCKED, _TAKEN_UNTIL, _ANSWERED_AT)


class SituationRepository(Fenced):
    """What waits in a chat, and what it is decided by."""

    async def pending(self, peer_id: int, limit: int = 200) -> list[InboxRow]:
        """A chat's messages that wait, oldest first."""
        return [InboxRow(*row) for row in await self.fetch(_PENDING, peer_id=peer_id, limit=limit)]

    async def situation(self, peer_id: int, limit: int = 200, *, answers: int = 1) -> Situation | None:
        """The same with what has been said and decided in the chat; None: nothing waits.

        Args:
            answers: how many answers `answered_at` looks back, the newest included.
        """
        found = await self.fetch(_SITUATION, peer_id=peer_id, limit=limit, newer_answers=answers - 1)
        if not found:
            return None
        *_, opted_out, disclosed_at, last_said_at, blocked, taken_until, answered_at = found[0]
        rows = [InboxRow(*row[: len(_INBOX)]) for row in found]
        return Situation(rows, bool(opted_out), disclosed_at, last_said_at, bool(blocked), taken_until, answered_at)
