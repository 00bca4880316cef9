"""Promises of what a message costs PostgreSQL: the same however much was said and sent before."""

from botfleet.store.bots import Bot
from botfleet.store.lease import LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Intake
from tests.contracts.store.samples import ACCOUNT, PERSON, draft, incoming, later
from tests.support.installation import Installation
from tests.waiting import until

SAID = 3_000
READ_AT_MOST = 100
_FILLED = """
insert into botfleet.outbox (
  bot_id, account_id, peer_id, position, random_id, cause, part, text, trace_id, created_at, state, closed_at,
  sent_message_id, history_position
) select %(bot)s, %(account)s, %(peer)s, n, n, 'reply', 0, 'answer', 't', %(at)s, 'sent', %(at)s, 2 * n, 2 * n
from generate_series(1, %(said)s) n;
insert into botfleet.messages (bot_id, account_id, peer_id, position, role, message_id, text, date)
select %(bot)s, %(account)s, %(peer)s, n, case n %% 2 when 0 then 'assistant' else 'user' end, n, 'said', %(at)s
from generate_series(1, 2 * %(said)s) n;
insert into botfleet.inbox (
  bot_id, account_id, peer_id, message_id, sender_id, text, date, trace_id, received_at, state, closed_at
) select %(bot)s, %(account)s, %(peer)s, 2 * n - 1, %(peer)s, 'said', %(at)s, 't', %(at)s, 'answered', %(at)s
from generate_series(1, %(said)s) n;
"""
_READ = """
select sum(seq_tup_read) + (
  select sum(idx_tup_read) from pg_stat_user_indexes where relname = any(%(names)s)
) from pg_stat_user_tables where relname = any(%(names)s)
"""


async def _read(installation: Installation) -> int:
    """Rows and index entries of the message path's large tables read so far, by everybody who is gone: an ended connection has told."""
    with installation.superuser() as connection:
        gone = "select count(*) = 0 from pg_stat_activity where usename like 'bf%%' and usename <> current_user"
        await until(lambda: connection.execute(gone).fetchall()[0][0])
        return int(connection.execute(_READ, {"names": ["inbox", "outbox", "messages"]}).fetchall()[0][0])


async def test_a_message_reads_as_few_rows_however_much_was_said_before(installation: Installation, bot: Bot) -> None:
    assert bot.role_name is not None
    with installation.superuser() as connection:
        values = {"bot": bot.id, "account": ACCOUNT, "peer": PERSON, "said": SAID, "at": later(0)}
        for statement in _FILLED.split(";\n")[:-1]:
            connection.execute(statement, values)
        connection.execute("analyze")  # as autovacuum does within a minute
    before = await _read(installation)
    store = installation.store(bot.role_name)
    lease = await LeaseRepository(store, bot.id).acquire("holder", 60)
    assert lease is not None
    path = MessagePath(store, lease, ACCOUNT)
    await path.take_in(Intake(messages=(incoming(3 * SAID),)))
    waiting = await path.pending(PERSON)
    await path.store_answer(PERSON, waiting, [draft(3 * SAID)], replies_are_final=False)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    assert await path.mark_attempted(row)
    await path.mark_sent(row, 3 * SAID + 1)
    await store.close()
    assert await _read(installation) - before < READ_AT_MOST
