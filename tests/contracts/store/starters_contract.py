"""Writing first: whom it is time to look at, from their own rows; stored once, and not over what the person wrote."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from botfleet.store.engine import Store
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Draft, Intake, PeerRow
from botfleet.store.starters import _DUE, _SINCE, Acquaintance
from tests.contracts.store.samples import (
    ACCOUNT,
    GROUP,
    OTHER,
    PERSON,
    SENT_AT,
    answered,
    event_types,
    incoming,
    snapshot,
    taken_in,
    texts,
)

HOUR = timedelta(hours=1)


def starter(random_id: int = 50, **fields: Any) -> Draft:
    return Draft(f"starter:{random_id}", random_id, f"starter {random_id}", "t", **fields)


def soon() -> datetime:
    return datetime.now(UTC) + HOUR


async def conversation(path: MessagePath, peer_id: int = PERSON, message_id: int = 1) -> None:
    """Somebody wrote and was answered, and the answer arrived."""
    await taken_in(path, message_id, peer_id=peer_id)
    (row,) = await answered(path, 1000 + peer_id + message_id, peer_id=peer_id)
    await path.mark_attempted(row)
    await path.mark_sent(row, 900 + message_id)


async def known(path: MessagePath, peer_id: int = PERSON) -> Acquaintance:
    person = await path.acquaintance(peer_id)
    assert person is not None
    return person


async def started(path: MessagePath, random_id: int = 50, unanswered: int = 1, **fields: Any) -> Acquaintance:
    """A conversation to which the bot has written first."""
    await conversation(path)
    await path.enlist(0, SENT_AT)
    person = await known(path)
    assert await path.store_starter(person, starter(random_id, **fields), unanswered, soon())
    return person


async def test_who_has_a_conversation_is_put_on_the_agenda_once_and_groups_are_not(
    store: Store, path: MessagePath
) -> None:
    for peer_id in (PERSON, OTHER, 7):
        await conversation(path, peer_id)
    await conversation(path, GROUP)
    await path.take_in(Intake(messages=(incoming(1, "/start", 8),)))
    assert await path.enlist(0, SENT_AT, limit=2) == OTHER
    assert [person.peer_id for person in await path.due_to_start(soon())] == [PERSON, OTHER]
    assert await path.enlist(OTHER, SENT_AT, limit=2) is None
    before = await snapshot(store)
    assert await path.enlist(0, SENT_AT) is None
    assert await snapshot(store) == before
    assert [person.peer_id for person in await path.due_to_start(soon())] == [PERSON, OTHER, 7]


async def test_those_who_are_due_come_in_the_order_of_their_time_and_no_others(path: MessagePath) -> None:
    for peer_id in (PERSON, OTHER, 7):
        await conversation(path, peer_id)
    await path.enlist(0, SENT_AT)
    now = datetime.now(UTC)
    await path.look_later({PERSON: now, OTHER: now - HOUR, 7: now + HOUR})
    assert [person.peer_id for person in await path.due_to_start(now)] == [OTHER, PERSON]
    assert [person.peer_id for person in await path.due_to_start(now, limit=1)] == [OTHER]


async def test_what_is_known_of_a_person_is_read_from_their_own_rows(path: MessagePath) -> None:
    await conversation(path, OTHER)
    await path.opt_out(OTHER)
    await path.block(OTHER, 42)
    await conversation(path)
    await path.enlist(0, SENT_AT)
    person = await known(path)
    assert person.said_at is not None
    assert person.heard_at is not None
    blank = replace(person, said_at=None, heard_at=None)
    assert blank == Acquaintance(PERSON, wrote_at=SENT_AT, heard_date=SENT_AT, heard_id=1)
    await path.take_in(Intake(messages=(incoming(2, date=SENT_AT + HOUR),), peers=(PeerRow(PERSON, 99),)))
    await path.opt_out(PERSON)
    await path.block(PERSON, 42)
    until = soon()
    person = await known(path)
    assert (person.wrote_at, person.heard_date, person.heard_id) == (SENT_AT, SENT_AT + HOUR, 2)
    assert (person.waiting, person.queued, person.opted_out, person.blocked) == (True, False, True, True)
    assert person.access_hash == 99
    await path.begin_takeover(PERSON, until, 42)
    await path.close_chat(PERSON, "Blocked")
    person = await known(path)
    assert (person.taken_until, person.closed, person.waiting) == (until, True, False)
    assert await path.acquaintance(60) is None


async def test_who_has_said_forget_has_no_conversation_any_more(path: MessagePath) -> None:
    await conversation(path)
    await path.enlist(0, SENT_AT)
    await path.forget(PERSON, 0)
    person = await known(path)
    assert (person.wrote_at, person.said_at) == (None, None)


async def test_what_the_bot_writes_first_is_queued_and_part_of_the_conversation(
    store: Store, path: MessagePath
) -> None:
    await started(path, discloses=True)
    assert await texts(path) == [("user", "message 1"), ("assistant", "answer 1006"), ("assistant", "starter 50")]
    row = await path.next_outgoing(PERSON)
    assert row is not None
    assert (row.cause, row.random_id, row.text) == ("starter:50", 50, "starter 50")
    person = await known(path)
    assert (person.queued, person.unanswered) == (True, 1)
    assert person.started_at is not None
    assert person.disclosed_at is not None
    assert await path.due_to_start(datetime.now(UTC)) == []
    await path.mark_attempted(row)
    await path.mark_sent(row, 950)
    assert not (await known(path)).queued
    assert (await event_types(store))[-1] == ("reply.sent", 950)


async def test_stored_again_it_changes_nothing(store: Store, path: MessagePath) -> None:
    person = await started(path)
    before = await snapshot(store)
    assert await path.store_starter(person, starter(), 2, soon())
    assert await snapshot(store) == before


@pytest.mark.parametrize("answered_meanwhile", [False, True])
async def test_nothing_is_stored_for_who_has_written_since(
    store: Store, path: MessagePath, answered_meanwhile: bool
) -> None:
    await conversation(path)
    await path.enlist(0, SENT_AT)
    person = await known(path)
    if answered_meanwhile:
        await conversation(path, message_id=2)
    else:
        await taken_in(path, 2)
    before = await snapshot(store)
    assert not await path.store_starter(person, starter(), 1, soon())
    assert await snapshot(store) == before


async def test_what_is_cancelled_was_never_said(store: Store, path: MessagePath) -> None:
    person = await started(path, discloses=True, unanswered=2)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    assert await path.cancel_starter(row, "Wrote")
    assert not await path.cancel_starter(row, "Wrote")
    assert await texts(path) == [("user", "message 1"), ("assistant", "answer 1006")]
    after = await known(path)
    assert (after.unanswered, after.queued, after.disclosed_at) == (1, False, None)
    assert await path.started_since(SENT_AT) == 0
    assert await path.store_starter(person, starter(51), 2, soon()), "another may be written"


async def test_what_was_attempted_is_not_cancelled(store: Store, path: MessagePath) -> None:
    await started(path)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    await path.mark_attempted(row)
    before = await snapshot(store)
    assert not await path.cancel_starter(row, "Wrote")
    assert await snapshot(store) == before


async def test_the_cap_counts_what_was_stored_since_and_no_answers(path: MessagePath) -> None:
    begin = datetime.now(UTC)
    await started(path)
    await conversation(path, OTHER)
    assert await path.started_since(begin) == 1
    assert await path.started_since(soon()) == 0


@pytest.mark.parametrize(("look", "index"), [(_DUE, "ix_starters_next"), (_SINCE, "ix_outbox_starters")])
async def test_a_look_goes_by_an_index_and_not_over_all_chats(
    store: Store, path: MessagePath, look: sa.Select[Any], index: str
) -> None:
    bound = look.params(bot_id=path.lease.bot_id, account_id=ACCOUNT, at=SENT_AT, limit=20)
    async with store.begin() as connection:
        if store.is_postgresql:  # which reads tables as small as these whole, if it may
            await connection.exec_driver_sql("set local enable_seqscan = off")
        plan = (await connection.execute(Explain(bound))).all()
    assert index in repr(plan)


class Explain(sa.Executable, sa.ClauseElement):
    """How the server would go about a statement."""

    inherit_cache = False

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement


@compiles(Explain)
def explained(element: Explain, compiler: Any, **named: Any) -> str:
    how = "explain" if compiler.dialect.name == "postgresql" else "explain query plan"
    return f"{how} {compiler.process(element.statement, **named)}"
