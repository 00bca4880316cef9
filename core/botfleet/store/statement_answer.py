"""Why: storing an answer is on the way of every message. The same as answers.py's short transaction, in one statement."""

# ruff: noqa: S608 - put together from constants; every value is a parameter

import json
from collections.abc import Sequence
from datetime import datetime

from botfleet.store.engine import SCHEMA
from botfleet.store.fence import Fenced
from botfleet.store.folding import clean
from botfleet.store.proof import UNKEPT
from botfleet.store.rows import Draft, InboxRow, NewerPending, Spending, Stored
from botfleet.store.statements import all_words, rowset, run, statement
from botfleet.store.tables import InboxState, Role
from botfleet.store.usage import counting, spent_rows


def _chat(alias: str) -> str:
    return f"{alias}.bot_id = l.bot_id and {alias}.account_id = %(account_id)s and {alias}.peer_id = %(peer_id)s"


def _last(table: str, alias: str) -> str:
    """The chat's last position, read from the end of its key: the same cost however much was said."""
    newest = f"select {alias}.position from {SCHEMA}.{table} {alias} where {_chat(alias)} order by {alias}.position desc limit 1"
    return f"(select coalesce(({newest}), 0) as position from l)"


# Looked up a draft: as a join, a planner that takes drafts for a hundred reads all that the bot ever sent.
_QUEUED_BEFORE = f"""(
    select o.position from {SCHEMA}.outbox o
    where o.bot_id = l.bot_id and o.account_id = %(account_id)s and o.random_id = d.random_id
  ) is not null"""

_PARTS = [
    """d as (
  select * from jsonb_to_recordset(%(drafts)s::jsonb) as given (
    place bigint, cause text, part integer, random_id bigint, text text, entities jsonb, access_hash bigint,
    reply_to_message_id bigint, trace_id text, in_history boolean, discloses boolean, topic_id bigint, reason text
  )
)""",
    # %(newest)s is null, and %(read)s empty, when what came since does not matter.
    f"""go as (
  select l.bot_id from l where not exists (
    select from {SCHEMA}.inbox i where {_chat("i")} and i.state = '{InboxState.PENDING}' and i.message_id > %(newest)s::bigint
  ) and not exists (
    select from jsonb_to_recordset(%(read)s::jsonb) as given (message_id bigint, text text)
    join {SCHEMA}.inbox i on {_chat("i")} and i.message_id = given.message_id and i.state = '{InboxState.PENDING}'
    where i.text <> given.text
  )
)""",
    f"""closed as (
  update {SCHEMA}.inbox i set state = '{InboxState.ANSWERED}', closed_at = %(at)s
  from go l
  where {_chat("i")} and i.state = '{InboxState.PENDING}'
    and i.message_id in (select value::bigint from jsonb_array_elements_text(%(answered)s::jsonb))
  returning i.message_id, i.sender_id, i.sender_name, {all_words("i.text", "i.words")} as text, i.date, i.topic_id
)""",
    "heard as (select count(*) as number from closed)",
    # Messages that are closed already make nothing happen: a replay, or all of them were deleted meanwhile.
    """may as (
  select go.bot_id, heard.number as heard from go, heard
  where heard.number > 0 or jsonb_array_length(%(answered)s::jsonb) = 0
)""",
    f"""fresh as (
  select l.bot_id, l.heard, d.*, row_number() over (order by d.place) as nth,
    count(*) filter (where d.in_history) over (order by d.place) as said
  from may l, d where not {_QUEUED_BEFORE}
)""",
    f"last_said as {_last('messages', 'm')}",
    f"last_queued as {_last('outbox', 'o')}",
    f"""noted_heard as (
  insert into {SCHEMA}.messages (
    bot_id, account_id, peer_id, position, role, message_id, sender_id, text, date, sender_name, topic_id
  )
  select may.bot_id, %(account_id)s, %(peer_id)s, last_said.position + row_number() over (order by closed.message_id),
    '{Role.USER}', closed.message_id, closed.sender_id, closed.text, closed.date,
    closed.sender_name, closed.topic_id
  from may, closed, last_said where exists (select from fresh where in_history)
)""",
    f"""noted_said as (
  insert into {SCHEMA}.messages (bot_id, account_id, peer_id, position, role, text, date, topic_id)
  select fresh.bot_id, %(account_id)s, %(peer_id)s, last_said.position + fresh.heard + fresh.said,
    '{Role.ASSISTANT}', fresh.text, %(at)s, fresh.topic_id
  from fresh, last_said where fresh.in_history
)""",
    f"""queued as (
  insert into {SCHEMA}.outbox (
    bot_id, account_id, peer_id, position, random_id, cause, part, text, entities, access_hash, reply_to_message_id,
    trace_id, created_at, history_position, topic_id, reason
  )
  select fresh.bot_id, %(account_id)s, %(peer_id)s, last_queued.position + fresh.nth, fresh.random_id, fresh.cause,
    fresh.part, fresh.text, fresh.entities, fresh.access_hash, fresh.reply_to_message_id, fresh.trace_id, %(at)s,
    case when fresh.in_history then last_said.position + fresh.heard + fresh.said end, fresh.topic_id,
    fresh.reason
  from fresh, last_said, last_queued
  returning position
)""",
    f"""disclosed as (
  insert into {SCHEMA}.chats (bot_id, account_id, peer_id, disclosed_at)
  select may.bot_id, %(account_id)s, %(peer_id)s, %(at)s
  from may where exists (select from fresh where discloses)
  on conflict (bot_id, account_id, peer_id) do update set disclosed_at = excluded.disclosed_at
)""",
    # Also what is thrown away was paid for; but a replay (the text stands already) was counted when it was stored.
    *counting(f"not exists (select from d where {_QUEUED_BEFORE})"),
]
_STORE = statement(_PARTS, "(select count(*) from go), (select number from heard), (select count(*) from queued)")


async def store_answer(
    repository: Fenced,
    peer_id: int,
    answered: Sequence[InboxRow],
    drafts: Sequence[Draft],
    final: bool,
    at: datetime,
    spent: Sequence[Spending],
) -> Stored | NewerPending:
    """See AnswerRepository."""
    values = {
        "peer_id": peer_id,
        "newest": max(row.message_id for row in answered) if answered and not final else None,
        "read": rowset([] if final else ({"message_id": row.message_id, "text": row.text} for row in answered)),
        "answered": json.dumps([row.message_id for row in answered]),
        "drafts": rowset(
            {
                "place": place,
                "cause": draft.cause,
                "part": draft.part,
                "random_id": draft.random_id,
                "text": clean(draft.text),
                "entities": draft.entities,
                "access_hash": draft.access_hash,
                "reply_to_message_id": draft.reply_to_message_id,
                "trace_id": draft.trace_id,
                "in_history": draft.in_history,
                "discloses": draft.discloses,
                "topic_id": draft.topic_id,
                "reason": None if draft.kept else UNKEPT,
            }
            for place, draft in enumerate(drafts)
        ),
        "at": at,
        "spent": spent_rows(spent),
    }
    went, closed, queued = await run(repository, _STORE, values)
    return Stored(closed=closed, queued=queued) if went else NewerPending()
