"""Answers: stored with what they answer, once, in order; and what the sender does with them."""

from datetime import UTC, datetime, timedelta

import pytest

from botfleet.store.engine import Store
from botfleet.store.events import EventRepository
from botfleet.store.lease import Lease
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Deletion, Intake, NewerPending, Situation, Stored
from botfleet.store.tables import InboxState
from tests.contracts.store.samples import (
    ACCOUNT,
    GROUP,
    OTHER,
    PERSON,
    answered,
    draft,
    edit,
    event_types,
    incoming,
    snapshot,
    taken_in,
    texts,
)


async def _open_ids(path: MessagePath, peer_id: int = PERSON) -> list[int]:
    """The random ids of a chat's open rows, sending each."""
    result = []
    while (row := await path.next_outgoing(peer_id)) is not None:
        result.append(row.random_id)
        await path.mark_sent(row, None)
    return result


async def test_an_answer_closes_its_messages_and_joins_the_history(path: MessagePath) -> None:
    rows = await taken_in(path, 1, 2)
    stored = await path.store_answer(PERSON, rows, [draft(10), draft(11, part=1)], replies_are_final=False)
    assert stored == Stored(closed=2, queued=2)
    assert await path.pending(PERSON) == []
    assert await texts(path) == [
        ("user", "message 1"),
        ("user", "message 2"),
        ("assistant", "answer 10"),
        ("assistant", "answer 11"),
    ]
    assert await _open_ids(path) == [10, 11]


async def test_a_draft_is_kept_as_it_is(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    given = draft(-(2**63) + 1, "text", part=2, entities=[{"type": "bold", "offset": 0}], access_hash=-5)
    await path.store_answer(PERSON, rows, [given], replies_are_final=False)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    for name in ("random_id", "text", "part", "entities", "access_hash", "cause", "trace_id", "reply_to_message_id"):
        assert getattr(row, name) == getattr(given, name)
    assert (row.state, row.attempted_at, row.not_before) == ("pending", None, None)


async def test_a_newer_pending_message_sends_the_answer_back(store: Store, path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    await taken_in(path, 2)
    before = await snapshot(store)
    assert await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=False) == NewerPending()
    assert await snapshot(store) == before


async def test_an_edit_of_what_was_read_sends_the_answer_back_and_a_final_one_is_stored(
    store: Store, path: MessagePath
) -> None:
    rows = await taken_in(path, 1, 2)
    await path.take_in(Intake(edits=(edit(1, "otherwise"),)))
    before = await snapshot(store)
    assert await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=False) == NewerPending()
    assert await snapshot(store) == before
    assert await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=True) == Stored(closed=2, queued=1)


async def test_an_edit_that_changes_no_word_or_was_read_already_is_no_matter(path: MessagePath) -> None:
    (row,) = await taken_in(path, 1)
    await path.take_in(Intake(edits=(edit(1, row.text),)))
    assert await path.store_answer(PERSON, [row], [draft(10)], replies_are_final=False) == Stored(closed=1, queued=1)
    await taken_in(path, 2)
    await path.take_in(Intake(edits=(edit(2, "otherwise"),)))
    rows = await path.pending(PERSON)
    assert await path.store_answer(PERSON, rows, [draft(11)], replies_are_final=False) == Stored(closed=1, queued=1)


async def test_a_final_answer_is_stored_although_newer_messages_wait(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    await taken_in(path, 2)
    assert await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=True) == Stored(closed=1, queued=1)
    assert [row.message_id for row in await path.pending(PERSON)] == [2]


async def test_a_newer_message_of_another_chat_is_no_matter(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    await taken_in(path, 2, peer_id=OTHER)
    assert await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=False) == Stored(closed=1, queued=1)


async def test_an_answer_stored_again_after_a_kill_is_there_once(store: Store, path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    drafts = [draft(10, discloses=True), draft(11, part=1)]
    await path.store_answer(PERSON, rows, drafts, replies_are_final=False)
    before = await snapshot(store)
    assert await path.store_answer(PERSON, rows, drafts, replies_are_final=False) == Stored(closed=0, queued=0)
    assert await path.store_answer(PERSON, rows, drafts, replies_are_final=True) == Stored(closed=0, queued=0)
    assert await snapshot(store) == before


async def test_a_random_id_is_queued_once_whatever_asks_for_it(path: MessagePath) -> None:
    assert await path.store_answer(PERSON, [], [draft(10)], replies_are_final=True) == Stored(closed=0, queued=1)
    assert await path.store_answer(PERSON, [], [draft(10), draft(11)], replies_are_final=True) == Stored(0, 1)
    assert await _open_ids(path) == [10, 11]
    assert await texts(path) == [("assistant", "answer 10"), ("assistant", "answer 11")]


async def test_nothing_is_said_to_messages_that_were_all_deleted_meanwhile(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    await path.take_in(Intake(deletions=(Deletion(1),)))
    assert await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=False) == Stored(closed=0, queued=0)
    assert await path.next_outgoing(PERSON) is None


async def test_the_history_has_the_text_as_it_was_edited_during_generation(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    await path.take_in(Intake(edits=(edit(1, "edited"),)))
    await path.store_answer(PERSON, rows, [draft(10)], replies_are_final=True)
    assert (await texts(path))[0] == ("user", "edited")


async def test_a_command_and_its_answer_are_no_part_of_the_conversation(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    await path.store_answer(PERSON, rows, [draft(10, in_history=False)], replies_are_final=True)
    assert await texts(path) == []
    row = await path.next_outgoing(PERSON)
    assert row is not None
    assert row.history_position is None


async def test_a_notice_before_the_answer_keeps_its_place(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    drafts = [draft(10, in_history=False, discloses=True), draft(11)]
    await path.store_answer(PERSON, rows, drafts, replies_are_final=False)
    first = await path.next_outgoing(PERSON)
    assert first is not None
    assert (first.random_id, first.history_position) == (10, None)
    assert await _open_ids(path) == [10, 11]
    assert await texts(path) == [("user", "message 1"), ("assistant", "answer 11")]


async def test_a_disclosure_is_remembered_for_its_chat(path: MessagePath) -> None:
    rows = await taken_in(path, 1)
    assert (await path.chat(PERSON)).disclosed_at is None
    await path.set_not_before(PERSON, datetime(2030, 1, 1, tzinfo=UTC))
    await path.store_answer(PERSON, rows, [draft(10, discloses=True)], replies_are_final=False)
    chat = await path.chat(PERSON)
    assert chat.disclosed_at is not None
    assert chat.not_before == datetime(2030, 1, 1, tzinfo=UTC)
    assert (await path.chat(OTHER)).disclosed_at is None


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_a_disclosure_that_was_never_sent_does_not_count(path: MessagePath, how: str) -> None:
    await path.store_answer(PERSON, await taken_in(path, 1), [draft(10, discloses=True)], replies_are_final=False)
    await path.store_answer(OTHER, [], [draft(20, discloses=True)], replies_are_final=False)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    await (path.mark_failed(row, "PeerFlood") if how == "failed" else path.cancel(row, "OptedOut"))
    assert (await path.chat(PERSON)).disclosed_at is None
    assert (await path.chat(OTHER)).disclosed_at is not None


async def test_a_failed_message_takes_back_no_disclosure_that_was_made_before_it(path: MessagePath) -> None:
    await path.store_answer(PERSON, await taken_in(path, 1), [draft(10, discloses=True)], replies_are_final=False)
    disclosed = await path.next_outgoing(PERSON)
    assert disclosed is not None
    await path.mark_sent(disclosed, 900)
    await path.store_answer(PERSON, await taken_in(path, 2), [draft(11)], replies_are_final=False)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    await path.mark_failed(row, "TooLong")
    assert (await path.chat(PERSON)).disclosed_at is not None


async def test_answers_go_out_in_the_order_in_which_they_were_stored(path: MessagePath) -> None:
    for number in (1, 2, 3):
        rows = await taken_in(path, number)
        await path.store_answer(PERSON, rows, [draft(100 - number), draft(50 + number)], replies_are_final=False)
    assert await _open_ids(path) == [99, 51, 98, 52, 97, 53]


async def test_a_chat_waits_behind_its_first_row_and_other_chats_do_not(path: MessagePath) -> None:
    await taken_in(path, 1)
    await answered(path, 10, 11)
    await taken_in(path, 2, peer_id=OTHER)
    await answered(path, 12, peer_id=OTHER)
    first = await path.next_outgoing(PERSON)
    assert first is not None
    await path.defer(first, datetime.now(UTC) + timedelta(hours=1))
    waiting, other = await path.next_outgoing(PERSON), await path.next_outgoing(OTHER)
    assert waiting is not None
    assert other is not None
    assert (waiting.random_id, other.random_id) == (10, 12)
    assert waiting.not_before is not None
    assert await path.outgoing_chats() == [PERSON, OTHER]


async def test_the_history_is_the_last_messages_oldest_first(path: MessagePath) -> None:
    for number in (1, 2, 3):
        await taken_in(path, number)
        await answered(path, number * 10)
        assert await _open_ids(path) == [number * 10]
    rows = await path.history(PERSON, 3)
    assert [row.text for row in rows] == ["answer 20", "message 3", "answer 30"]


async def test_a_sent_row_is_proved_once_and_its_id_joins_the_history(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    assert await path.mark_attempted(row)
    assert await path.mark_sent(row, 900)
    before = await snapshot(store)
    assert not await path.mark_sent(row, 900)
    assert not await path.mark_attempted(row)
    assert await snapshot(store) == before
    assert await event_types(store) == [("message.received", 1), ("reply.sent", 900)]
    assert "'assistant', 900" in repr(before.tables["messages"])


async def test_two_rows_proved_with_one_id_are_both_sent(path: MessagePath) -> None:
    await taken_in(path, 1)
    (first,) = await answered(path, 10, 11)
    assert await path.mark_sent(first, 900)
    second = await path.next_outgoing(PERSON)
    assert second is not None
    assert await path.mark_sent(second, 900)
    assert await path.next_outgoing(PERSON) is None


async def test_an_attempted_row_stays_first_until_it_is_resolved(path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10, 11)
    await path.mark_attempted(row)
    again = await path.next_outgoing(PERSON)
    assert again is not None
    assert (again.random_id, again.state) == (10, "attempted")
    assert again.attempted_at is not None
    assert not await path.cancel(again, "OptedOut")
    assert await path.mark_failed(again, "Blocked")
    following = await path.next_outgoing(PERSON)
    assert following is not None
    assert following.random_id == 11


async def test_a_row_that_never_reached_telegram_can_be_cancelled_again(path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    await path.mark_attempted(row)
    await path.defer(row, datetime.now(UTC), never_reached=True)
    assert await path.cancel(row, "OptedOut")
    assert await path.next_outgoing(PERSON) is None
    assert not await path.mark_sent(row, 900)


async def test_an_open_row_is_found_by_its_random_id(path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    assert await path.find_open_by_random_id(10) == row
    await path.mark_sent(row, 900)
    assert await path.find_open_by_random_id(10) is None


async def test_skipped_messages_are_closed_with_their_reason(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1, 2, 3)
    await path.close_inbox(PERSON, [1, 2], InboxState.SKIPPED, "TooOld")
    await path.close_inbox(PERSON, [1], InboxState.FAILED, "Later")
    await path.close_inbox(PERSON, [], InboxState.FAILED, "Nothing")
    assert [row.message_id for row in await path.pending(PERSON)] == [3]
    assert repr((await snapshot(store)).tables["inbox"]).count("'skipped', 'TooOld'") == 2
    assert await texts(path) == []


async def test_an_opt_out_holds_until_the_person_opts_in(path: MessagePath) -> None:
    assert not await path.opted_out(PERSON)
    await path.opt_out(PERSON)
    await path.opt_out(PERSON)
    assert await path.opted_out(PERSON)
    assert not await path.opted_out(OTHER)
    await path.opt_in(PERSON)
    assert not await path.opted_out(PERSON)


async def test_what_waits_is_read_with_all_that_it_is_decided_by(path: MessagePath) -> None:
    assert await path.situation(PERSON) is None
    rows = await taken_in(path, 1)
    assert await path.situation(PERSON) == Situation(rows, opted_out=False, disclosed_at=None, last_said_at=None)
    await path.store_answer(PERSON, rows, [draft(10, discloses=True)], replies_are_final=False)
    await path.opt_out(PERSON)
    assert await path.situation(PERSON) is None  # decided by nothing when nothing waits
    rows = await taken_in(path, 2, 3)
    said, told = (await path.history(PERSON, 1))[0].date, (await path.chat(PERSON)).disclosed_at
    assert told is not None
    row = await path.next_outgoing(PERSON)
    assert row is not None
    assert await path.situation(PERSON) == Situation(
        rows, opted_out=True, disclosed_at=told, last_said_at=said, answered_at=row.created_at
    )
    others = await taken_in(path, 4, peer_id=OTHER)
    assert await path.situation(OTHER) == Situation(others, opted_out=False, disclosed_at=None, last_said_at=None)


async def test_nothing_is_begun_to_be_sent_to_who_has_opted_out_unless_it_must_be(path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    await path.opt_out(OTHER)
    await path.opt_out(PERSON)
    assert not await path.mark_attempted(row, always=False)
    assert (await path.next_outgoing(PERSON)) == row
    assert await path.mark_attempted(row, always=True)
    assert not await path.cancel(row, "OptedOut")
    await path.opt_in(PERSON)
    assert await path.mark_attempted(row, always=False)


async def test_a_chat_that_cannot_be_written_to_is_remembered(path: MessagePath) -> None:
    await path.close_chat(PERSON, "Blocked")
    assert (await path.chat(PERSON)).closed_reason == "Blocked"


async def test_who_writes_can_be_written_to_again_and_nobody_else(
    store: Store, lease: Lease, path: MessagePath
) -> None:
    elsewhere = MessagePath(store, lease, ACCOUNT + 1)
    await path.take_in(Intake(messages=(incoming(1),)))
    for peer_id in (PERSON, OTHER, GROUP):
        await path.close_chat(peer_id, "Blocked")
    await elsewhere.close_chat(PERSON, "Blocked")
    await path.take_in(Intake(messages=(incoming(1), incoming(2, peer_id=GROUP, sender_id=OTHER))))
    assert (await path.chat(PERSON)).closed_reason == "Blocked", "it was taken in before the chat was closed"
    await path.take_in(Intake(messages=(incoming(3),)))
    assert (await path.chat(PERSON)).closed_reason is None
    assert [(await path.chat(peer_id)).closed_reason for peer_id in (OTHER, GROUP)] == ["Blocked"] * 2
    assert (await elsewhere.chat(PERSON)).closed_reason == "Blocked"


async def test_events_are_relayed_in_order_and_marked_once(store: Store, lease: Lease, path: MessagePath) -> None:
    await path.take_in(Intake(messages=tuple(incoming(number) for number in range(1, 8))))
    events = EventRepository(store, lease)
    waiting = await events.unrelayed(limit=5)
    assert [event.data["message_id"] for event in waiting] == [1, 2, 3, 4, 5]
    await events.mark_relayed([event.id for event in waiting])
    assert [event.data["message_id"] for event in await events.unrelayed()] == [6, 7]
    await events.mark_relayed([])
