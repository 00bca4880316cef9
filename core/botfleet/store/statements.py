"""Why: on PostgreSQL each write of the message path is one statement, its own transaction, fenced: one round trip, one commit.

Every data-modifying part takes its rows from `l`, the checked lease: a part that does not would run whatever the token is.
`for key share` makes a takeover wait for a statement under way, and a renewal for none (lease.py); one that met a takeover
finds no row in `l`.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from botfleet.store.engine import SCHEMA
from botfleet.store.errors import LeaseLost
from botfleet.store.fence import Fenced

FENCE = f"""l as materialized (
  select bot_id from {SCHEMA}.leases where bot_id = %(bot_id)s and token = %(token)s for key share
)"""  # noqa: S608 - a constant


def statement(parts: Iterable[str], result: str) -> str:
    """The fence, these parts, and a last select that begins with whether the fence held."""
    return f"with {', '.join([FENCE, *parts])} select (select count(*) from l), {result}"  # noqa: S608 - constants


def all_words(text: str, words: str) -> str:
    """What a message says in whole: its text and what its media says, as `folding.all_words` has it."""
    return f"concat_ws(E'\\n', nullif({text}, ''), nullif({words}, ''))"


async def run(repository: Fenced, text: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The statement's one row, without the fence's column.

    Raises:
        LeaseLost: the fence did not hold; nothing was written.
    """
    known = {
        "bot_id": repository.lease.bot_id,
        "token": repository.lease.token,
        "account_id": repository.account_id,
    }
    rows = await repository.store.run_prepared(text, known | dict(values))
    held, *rest = rows[0]
    if not held:
        raise LeaseLost("the lease's token is stale: another runner has taken over")
    return tuple(rest)


def rowset(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as one parameter, for jsonb_to_recordset: its type is the same whatever is in it."""
    return json.dumps(list(rows), default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a row")
