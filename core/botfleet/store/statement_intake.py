"""Why: taking in is on the way of every message. The same as intake.py's short transaction, in one statement.

A statement has the parts that its intake needs, so a common one stays small; each combination is put together once.
All parts see the rows as they were before the statement: what meets in one row has been folded before.
"""

# ruff: noqa: S608 - put together from constants; every value is a parameter

from datetime import datetime
from functools import cache
from typing import Any

from botfleet.store.engine import SCHEMA
from botfleet.store.events import EventType, new_event_id
from botfleet.store.fence import Fenced
from botfleet.store.folding import DELETED, Folded
from botfleet.store.rows import CHANNELS_BELOW
from botfleet.store.statement_sent import closing
from botfleet.store.statements import all_words, rowset, run, statement
from botfleet.store.tables import InboxState, Role

_MESSAGES = [
    """m as (
  select * from jsonb_to_recordset(%(messages)s::jsonb) as given (
    peer_id bigint, message_id bigint, sender_id bigint, access_hash bigint, text text, date timestamptz,
    edit_date timestamptz, grouped_id bigint, reply_to_message_id bigint, trace_id text, state text, reason text,
    closed_at timestamptz, event_id text, sender_name text, sender_kind text, mentioned boolean, topic_id bigint,
    media jsonb
  )
)""",
    f"""arrived as (
  insert into {SCHEMA}.inbox (
    bot_id, account_id, peer_id, message_id, sender_id, access_hash, text, date, edit_date, grouped_id,
    reply_to_message_id, trace_id, received_at, state, reason, closed_at, sender_name, sender_kind, mentioned, topic_id,
    media
  )
  select l.bot_id, %(account_id)s, m.peer_id, m.message_id, m.sender_id, m.access_hash, m.text, m.date, m.edit_date,
    m.grouped_id, m.reply_to_message_id, m.trace_id, %(at)s, m.state, m.reason, m.closed_at, m.sender_name,
    m.sender_kind, m.mentioned, m.topic_id, m.media
  from l, m
  on conflict do nothing
  returning peer_id, message_id, state
)""",
    f"""told_arrived as (
  insert into {SCHEMA}.events (bot_id, id, type, time, data)
  select l.bot_id, m.event_id, '{EventType.MESSAGE_RECEIVED}', %(at)s, jsonb_build_object(
    'account_id', %(account_id)s::bigint, 'peer_id', m.peer_id, 'message_id', m.message_id, 'trace_id', m.trace_id
  )
  from l, m join arrived on arrived.peer_id = m.peer_id and arrived.message_id = m.message_id
)""",
    # Who writes to the bot can be written to.
    f"""reopened as (
  update {SCHEMA}.chats c set closed_reason = null
  from l
  where c.bot_id = l.bot_id and c.account_id = %(account_id)s and c.closed_reason is not null
    and c.peer_id in (select peer_id from arrived where peer_id > 0)
)""",
]
_EDITS = [
    """e as (
  select * from jsonb_to_recordset(%(edits)s::jsonb) as given (
    peer_id bigint, message_id bigint, text text, edit_date timestamptz
  )
)""",
    f"""edited as (
  update {SCHEMA}.inbox i set edit_date = e.edit_date,
    text = case when i.state = '{InboxState.PENDING}' then e.text else i.text end
  from l, e
  where i.bot_id = l.bot_id and i.account_id = %(account_id)s and i.peer_id = e.peer_id
    and i.message_id = e.message_id and (i.edit_date is null or i.edit_date <= e.edit_date)
  returning i.bot_id, i.peer_id, i.message_id, i.state, {all_words("e.text", "i.words")} as text
)""",
    f"""rewritten as (
  update {SCHEMA}.messages h set text = edited.text
  from edited
  where edited.state <> '{InboxState.PENDING}' and h.bot_id = edited.bot_id and h.account_id = %(account_id)s
    and h.peer_id = edited.peer_id and h.role = '{Role.USER}' and h.message_id = edited.message_id
)""",
]


def _gone(table: str) -> str:
    return (
        f"{table}.bot_id = l.bot_id and {table}.account_id = %(account_id)s and {table}.message_id = d.message_id "
        f"and ({table}.peer_id = d.peer_id or (d.peer_id is null and {table}.peer_id > {CHANNELS_BELOW}))"
    )


_DELETIONS = [
    "d as (select * from jsonb_to_recordset(%(deletions)s::jsonb) as given (peer_id bigint, message_id bigint))",
    f"""skipped as (
  update {SCHEMA}.inbox i set state = '{InboxState.SKIPPED}', reason = '{DELETED}', closed_at = %(at)s
  from l, d where {_gone("i")} and i.state = '{InboxState.PENDING}'
)""",
    f"""forgotten as (
  delete from {SCHEMA}.messages h using l, d where {_gone("h")} and h.role = '{Role.USER}'
)""",
]
_STATES = [
    f"""moved as (
  insert into {SCHEMA}.update_states as known (bot_id, account_id, channel_id, pts, qts, date, seq)
  select l.bot_id, %(account_id)s, s.channel_id, s.pts, s.qts, s.date, s.seq
  from l, jsonb_to_recordset(%(states)s::jsonb) as s (
    channel_id bigint, pts bigint, qts bigint, date timestamptz, seq bigint
  )
  on conflict (bot_id, account_id, channel_id) do update
  set pts = excluded.pts, qts = excluded.qts, date = excluded.date, seq = excluded.seq
  where known.pts <= excluded.pts
)"""
]
_PEERS = [
    f"""met as (
  insert into {SCHEMA}.peers as known (bot_id, account_id, peer_id, access_hash)
  select l.bot_id, %(account_id)s, p.peer_id, p.access_hash
  from l, jsonb_to_recordset(%(peers)s::jsonb) as p (peer_id bigint, access_hash bigint)
  on conflict (bot_id, account_id, peer_id) do update
  set access_hash = excluded.access_hash where known.access_hash <> excluded.access_hash
)"""
]
_PROOFS = [
    """x as (
  select * from jsonb_to_recordset(%(sent)s::jsonb) as given (random_id bigint, message_id bigint, event_id text)
)""",
    *closing(
        "o.account_id = %(account_id)s and o.random_id = x.random_id",
        ", x",
        "x.message_id",
        "x.event_id",
        "%(at)s::timestamptz",
    ),
]
_PARTS = {
    "messages": _MESSAGES,
    "edits": _EDITS,
    "deletions": _DELETIONS,
    "states": _STATES,
    "peers": _PEERS,
    "sent": _PROOFS,
}


@cache
def _statement(names: tuple[str, ...]) -> str:
    waiting = (
        f"(select array_agg(distinct peer_id) from arrived where state = '{InboxState.PENDING}')"
        if "messages" in names
        else "null"
    )
    return statement([part for name in names for part in _PARTS[name]], waiting)


async def take_in(repository: Fenced, batch: Folded, at: datetime) -> set[int]:
    """See IntakeRepository."""
    values: dict[str, Any] = {name: rowset(rows) for name, rows in _rows(batch, at).items() if rows}
    names = tuple(values)
    # Without a part that names it, its type would be unknown to the server.
    if {"messages", "deletions", "sent"} & set(names):
        values["at"] = at
    (peers,) = await run(repository, _statement(names), values)
    return set(peers or ())


def _rows(batch: Folded, at: datetime) -> dict[str, list[dict[str, Any]]]:
    return {
        "messages": [
            {
                **message,
                "closed_at": None if message["reason"] is None else at,
                "event_id": new_event_id(),
            }
            for message in batch.message_rows()
        ],
        "edits": [
            {
                "peer_id": edit.peer_id,
                "message_id": edit.message_id,
                "text": edit.text,
                "edit_date": edit.edit_date,
            }
            for edit in batch.edits
        ],
        "deletions": [{"peer_id": gone.peer_id, "message_id": gone.message_id} for gone in batch.deletions],
        "states": [
            {
                "channel_id": channel_id,
                "pts": state.pts,
                "qts": state.qts,
                "date": state.date,
                "seq": state.seq,
            }
            for channel_id, state in batch.states.items()
        ],
        "peers": [{"peer_id": peer.peer_id, "access_hash": peer.access_hash} for peer in batch.peers],
        "sent": [
            {"random_id": random_id, "message_id": message_id, "event_id": new_event_id()}
            for random_id, message_id in batch.sent
        ],
    }
