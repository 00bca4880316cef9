"""Why: under a channel's post people talk in a thread of their own, and of a thread only its first message tells what it is.

A group in which a channel is discussed has other threads too: somebody answers somebody. Those are the group's conversation.
"""

from dataclasses import replace

import sqlalchemy as sa

from botfleet.store.fence import Fenced
from botfleet.store.rows import Incoming, Intake
from botfleet.store.tables import Sender, inbox, outbox


async def placed(repository: Fenced, intake: Intake) -> Intake:
    """The same, and what stands in a thread has it as its topic, unless a person or the bot itself is known to have begun it.

    A bot in privacy mode is not shown the posts: a thread of which it does not know the beginning counts as one under a post.
    """
    asked = {(row.peer_id, row.thread_id) for row in intake.messages if row.thread_id is not None}
    if not asked:
        return intake
    known = {(row.peer_id, row.message_id) for row in intake.messages if row.sender_kind != Sender.CHANNEL}
    for peer_id in {peer_id for peer_id, _ in asked}:
        roots = [root for peer, root in asked if peer == peer_id and root is not None]
        known |= {(peer_id, root) for root in await _begun_by_people(repository, peer_id, roots)}
    return replace(intake, messages=tuple(_placed(row, known) for row in intake.messages))


def _placed(row: Incoming, known: set[tuple[int, int]]) -> Incoming:
    if row.thread_id is None or (row.peer_id, row.thread_id) in known:
        return row
    return replace(row, topic_id=row.thread_id)


async def _begun_by_people(repository: Fenced, peer_id: int, roots: list[int]) -> list[int]:
    heard = sa.select(inbox.c.message_id).where(
        repository.mine(inbox, peer_id=peer_id),
        inbox.c.message_id.in_(roots),
        sa.func.coalesce(inbox.c.sender_kind, "") != Sender.CHANNEL.value,
    )
    said = sa.select(outbox.c.sent_message_id).where(
        repository.mine(outbox, peer_id=peer_id), outbox.c.sent_message_id.in_(roots)
    )
    async with repository.store.read() as connection:
        return list((await connection.execute(sa.union_all(heard, said))).scalars())
