"""Why: before and after each send a row changes; both on the hot path. The same as outgoing.py's way, in one statement."""

# ruff: noqa: S608 - put together from constants; every value is a parameter

from datetime import datetime

from botfleet.store.engine import SCHEMA
from botfleet.store.events import EventType, new_event_id
from botfleet.store.fence import Fenced
from botfleet.store.proof import PASSING
from botfleet.store.rows import OutboxRow, earlier_id
from botfleet.store.statements import run, statement
from botfleet.store.tables import OutboxState, Role

OPEN = f"('{OutboxState.PENDING}', '{OutboxState.ATTEMPTED}')"
_PASSING = "(" + ", ".join(f"'{reason}'" for reason in PASSING) + ")"
# Not by its place: its group may become a supergroup while it is being sent.
_THIS = "o.account_id = %(account_id)s and o.random_id = %(random_id)s"
_SENT_ID = f"""case when o.peer_id = %(peer_id)s then %(message_id)s::bigint
    else %(message_id)s::bigint + ({earlier_id(0)}) end"""

_ATTEMPTED = statement(
    [
        f"""attempted as (
  update {SCHEMA}.outbox o set state = '{OutboxState.ATTEMPTED}', attempted_at = %(at)s
  from l where o.bot_id = l.bot_id and {_THIS} and o.peer_id = %(peer_id)s and o.state in {OPEN}
  and (%(always)s::boolean or not exists (
    select from {SCHEMA}.opt_outs p
    where p.bot_id = l.bot_id and p.account_id = %(account_id)s and p.person_id in (o.peer_id, %(asker_id)s::bigint)
  ) and not exists (
    select from {SCHEMA}.blocks p
    where p.bot_id = l.bot_id and p.account_id = %(account_id)s and p.person_id in (o.peer_id, %(asker_id)s::bigint)
  ) and not exists (
    select from {SCHEMA}.takeovers p
    where p.bot_id = l.bot_id and p.account_id = %(account_id)s and p.peer_id = o.peer_id and p.until > %(at)s
  ))
  returning o.position
)"""
    ],
    "(select count(*) from attempted)",
)


_ITS_PLACE = "m.peer_id = (select peer_id from sent) and m.position = (select history_position from sent)"
"""Of the one row that was sent, before `messages` is read: it costs the same however much was said, and whatever a planner knows."""


def closing(which: str, source: str, message_id: str, event_id: str, at: str, *, place: str = "true") -> list[str]:
    """Parts that close open rows as sent, note their ids in the history and write their events; for intakes too.

    Args:
        which: condition on the outbox row `o`.
        source: what else is needed in `from`, with a comma before it.
        message_id, event_id, at: expressions.
        place: what else is known of the message `m` in the history.
    """
    return [
        f"""sent as (
  update {SCHEMA}.outbox o set state = '{OutboxState.SENT}', sent_message_id = {message_id}, closed_at = {at},
    text = case when o.reason in {_PASSING} then '' else o.text end,
    entities = case when o.reason in {_PASSING} then null else o.entities end
  from l{source} where o.bot_id = l.bot_id and {which} and o.state in {OPEN}
  returning o.peer_id, o.history_position, o.part, o.trace_id, o.sent_message_id, {event_id} as event_id
)""",
        # An id that Telegram gave twice must not undo the proof.
        f"""noted as (
  update {SCHEMA}.messages m set message_id = s.sent_message_id
  from (
    select distinct on (sent.peer_id, sent.sent_message_id) sent.*, l.bot_id from sent, l
    where sent.sent_message_id is not null
  ) s
  where m.bot_id = s.bot_id and m.account_id = %(account_id)s and m.peer_id = s.peer_id
    and m.position = s.history_position and {place} and (
      select other.position from {SCHEMA}.messages other
      where other.bot_id = s.bot_id and other.account_id = %(account_id)s and other.peer_id = s.peer_id
        and other.role = '{Role.ASSISTANT}' and other.message_id = s.sent_message_id
    ) is null
)""",
        f"""told as (
  insert into {SCHEMA}.events (bot_id, id, type, time, data)
  select l.bot_id, sent.event_id, '{EventType.REPLY_SENT}', {at}, jsonb_build_object(
    'account_id', %(account_id)s::bigint, 'peer_id', sent.peer_id, 'message_id', sent.sent_message_id,
    'part', sent.part, 'trace_id', sent.trace_id
  ) from sent, l
)""",
    ]


_SENT = statement(
    closing(_THIS, "", _SENT_ID, "%(event_id)s::text", "%(at)s::timestamptz", place=_ITS_PLACE),
    "(select count(*) from sent)",
)


async def mark_attempted(
    repository: Fenced, row: OutboxRow, at: datetime, *, always: bool, asker_id: int | None
) -> bool:
    """See OutgoingRepository."""
    values = {"peer_id": row.peer_id, "random_id": row.random_id, "at": at, "always": always, "asker_id": asker_id}
    (changed,) = await run(repository, _ATTEMPTED, values)
    return bool(changed)


async def mark_sent(repository: Fenced, row: OutboxRow, message_id: int | None, at: datetime) -> bool:
    """See OutgoingRepository."""
    values = {
        "peer_id": row.peer_id,
        "random_id": row.random_id,
        "message_id": message_id,
        "event_id": new_event_id(),
        "at": at,
    }
    (changed,) = await run(repository, _SENT, values)
    return bool(changed)
