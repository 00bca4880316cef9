"""Why: whoever notes a message of the conversation gives it the next position, which two writers may want at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.engine import is_unique_violation
from botfleet.store.errors import StoreError, StoreUnavailable
from botfleet.store.fence import Fenced, now
from botfleet.store.tables import Role, messages

T = TypeVar("T")

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the conversation. `date` None: now."""

    role: Role
    text: str
    message_id: int | None = None
    sender_id: int | None = None
    date: datetime | None = None
    sender_name: str | None = None
    topic_id: int | None = None


async def note(repository: Fenced, connection: AsyncConnection, peer_id: int, said: Sequence[Said]) -> int:
    """Append to the conversation, in a transaction. Returns the first position that was given."""
    last = sa.select(sa.func.coalesce(sa.func.max(messages.c.position), 0)).where(
        repository.mine(messages, peer_id=peer_id)
    )
    first = int((await connection.execute(last)).scalar_one()) + 1
    if said:
        at = now()
        values = [
            {
                **repository.keys,
                "peer_id": peer_id,
                "position": position,
                "role": one.role.value,
                "message_id": one.message_id,
                "sender_id": one.sender_id,
                "text": one.text,
                "date": one.date or at,
                "sender_name": one.sender_name,
                "topic_id": one.topic_id,
            }
            for position, one in enumerate(said, first)
        ]
        await connection.execute(sa.insert(messages), values)
    return first


async def until_placed(transaction: Callable[[], Awaitable[T]]) -> T:
    """Run a transaction that takes positions; somebody else may take the next one of the same chat: then it reads again.

    Raises:
        StoreUnavailable: others take them again and again.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await transaction()
        except StoreError as error:
            if not is_unique_violation(error):
                raise
    raise StoreUnavailable("the chat's positions are taken by others again and again")
