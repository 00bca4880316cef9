"""Why: a runner learns which bot it is from the database, by its own role; alone, it makes its bot. It never sees another's."""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.errors import StoreError
from botfleet.store.fence import now
from botfleet.store.tables import bots, leases

COLUMNS = (
    bots.c.id,
    bots.c.namespace,
    bots.c.name,
    bots.c.credential_digest,
    bots.c.session_key_generation,
    bots.c.created_at,
)


@dataclass(frozen=True, slots=True)
class BotRow:
    """A bot, as its own runner sees it."""

    id: str
    namespace: str
    name: str
    credential_digest: str | None
    session_key_generation: int
    created_at: datetime


def new_bot_id() -> str:
    """A fresh key: 32 hex digits, random."""
    return uuid.uuid4().hex


def new_installation_id() -> str:
    """8 hex digits, random; they are in the names of roles, Redis users and keys."""
    return secrets.token_hex(4)


async def own_bot(store: Store) -> BotRow:
    """The one bot that this role may see.

    Raises:
        StoreError: there is none, or more than one: the role is not a bot's.
    """
    async with store.read() as connection:
        rows = (await connection.execute(sa.select(*COLUMNS).limit(2))).all()
    if len(rows) != 1:
        raise StoreError("this database role is not a bot's: it must see exactly one row of bots")
    return BotRow(*rows[0])


async def ensure_standalone_bot(store: Store, namespace: str, name: str) -> BotRow:
    """The bot of a store of its own; made at the first start. Another name in the same folder is refused.

    Raises:
        StoreError: the store belongs to a bot of another name.
    """
    async with store.begin() as connection:
        found = (await connection.execute(sa.select(*COLUMNS).limit(2))).all()
        if not found:
            bot_id = new_bot_id()
            await connection.execute(
                sa.insert(bots).values(id=bot_id, namespace=namespace, name=name, created_at=now())
            )
            await connection.execute(sa.insert(leases).values(bot_id=bot_id))
            found = (await connection.execute(sa.select(*COLUMNS))).all()
    row = BotRow(*found[0])
    if len(found) > 1 or (row.namespace, row.name) != (namespace, name):
        raise StoreError(
            f"this data folder belongs to the bot {row.namespace}/{row.name}; give {namespace}/{name} a folder of its own"
        )
    return row
