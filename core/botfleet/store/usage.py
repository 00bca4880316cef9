"""Why: what models cost is counted where a restart does not forget it: a row a day and model. Budgets are read from here.

What an answer cost is stored with it (answers.py); what was thrown away is noted by a statement of its own.
"""

# ruff: noqa: S608 - put together from constants; every value is a parameter

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from botfleet.store.engine import SCHEMA
from botfleet.store.fence import Fenced
from botfleet.store.rows import Spending
from botfleet.store.statements import rowset, run, statement
from botfleet.store.tables import usage

_COUNTED = ("requests", "input_tokens", "output_tokens", "cost_micros")
_SPENT_ON = sa.select(
    sa.func.coalesce(sa.func.sum(usage.c.input_tokens + usage.c.output_tokens), 0),
    sa.func.coalesce(sa.func.sum(usage.c.cost_micros), 0),
).where(usage.c.bot_id == sa.bindparam("bot_id"), usage.c.day == sa.bindparam("day", type_=sa.Date))


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one day, all models together."""

    tokens: int
    micros: int


def counting(condition: str) -> list[str]:
    """The parts of a statement that note `%(spent)s` if a condition holds; in the order of the key, so that none waits for another."""
    added = ", ".join(f"{name} = u.{name} + excluded.{name}" for name in _COUNTED)
    return [
        """spent as (
  select * from jsonb_to_recordset(%(spent)s::jsonb) as given (
    day date, model text, requests bigint, input_tokens bigint, output_tokens bigint, cost_micros bigint
  )
)""",
        f"""counted as (
  insert into {SCHEMA}.usage as u (bot_id, day, model, {", ".join(_COUNTED)})
  select l.bot_id, s.day, s.model, {", ".join(f"s.{name}" for name in _COUNTED)}
  from l, spent s where {condition} order by s.day, s.model
  on conflict (bot_id, day, model) do update set {added}
)""",
    ]


_NOTE = statement(counting("true"), "(select count(*) from spent)")


def folded(spent: Iterable[Spending]) -> list[dict[str, Any]]:
    """One row a day and model, in the order of the key: one statement changes a row once."""
    rows: dict[tuple[date, str], list[int]] = {}
    for one in spent:
        row = rows.setdefault((one.day, one.model), [0, 0, 0, 0])
        for place, number in enumerate((1, one.input_tokens, one.output_tokens, one.cost_micros)):
            row[place] += number
    return [
        {"day": day, "model": model, **dict(zip(_COUNTED, numbers, strict=True))}
        for (day, model), numbers in sorted(rows.items())
    ]


def spent_rows(spent: Iterable[Spending]) -> str:
    """The parameter of `counting`."""
    return rowset({**row, "day": row["day"].isoformat()} for row in folded(spent))


async def count_in(repository: Fenced, connection: AsyncConnection, spent: Iterable[Spending]) -> None:
    """The same within a short transaction, for SQLite."""
    for row in folded(spent):
        insert = repository.insert(usage).values(bot_id=repository.lease.bot_id, **row)
        added = {name: usage.c[name] + insert.excluded[name] for name in _COUNTED}
        await connection.execute(
            insert.on_conflict_do_update(index_elements=[usage.c.bot_id, usage.c.day, usage.c.model], set_=added)
        )


class UsageRepository(Fenced):
    """What the bot's models cost, whichever account it had."""

    async def note_spent(self, spent: Sequence[Spending]) -> None:
        """What was paid for and said to nobody."""
        if not spent:
            return
        if self.store.is_postgresql:
            await run(self, _NOTE, {"spent": spent_rows(spent)})
            return
        async with self.store.begin() as connection:
            await self.fence(connection)
            await count_in(self, connection, spent)

    async def spent_on(self, day: date) -> Spent:
        """Everything that was counted on this day."""
        (row,) = await self.store.fetch(_SPENT_ON, {"bot_id": self.lease.bot_id, "day": day})
        return Spent(int(row[0]), int(row[1]))
