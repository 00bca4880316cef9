"""What a decision asks of a chat's past: each answer is of this chat and account alone."""

from datetime import UTC, datetime

from botfleet.store.engine import Store
from botfleet.store.lease import Lease
from botfleet.store.messages import MessagePath
from botfleet.store.rows import HistoryRow, Intake, Silenced
from botfleet.store.tables import InboxState, Role, Sender
from tests.contracts.store.samples import (
    ACCOUNT,
    CHANNEL,
    OTHER,
    PERSON,
    SENT_AT,
    answered,
    draft,
    edit,
    incoming,
    taken_in,
)


async def test_a_message_of_a_group_keeps_who_wrote_it_and_where(path: MessagePath) -> None:
    of_group = {"sender_name": "Alice B\x00", "sender_kind": Sender.BOT, "mentioned": True, "topic_id": 3}
    await path.take_in(Intake(messages=(incoming(1, "hi", CHANNEL, **of_group), incoming(2, "hi", CHANNEL))))
    first, second = await path.pending(CHANNEL)
    assert (first.sender_name, first.sender_kind, first.mentioned, first.topic_id) == ("Alice B", "bot", True, 3)
    assert (second.sender_name, second.sender_kind, second.mentioned, second.topic_id) == (None, None, False, None)


async def test_a_message_that_came_before_its_edit_keeps_them_too(path: MessagePath) -> None:
    message = incoming(1, "hi", CHANNEL, sender_name="Alice", mentioned=True, topic_id=3)
    await path.take_in(Intake(messages=(message,), edits=(edit(1, "edited", peer_id=CHANNEL),)))
    (row,) = await path.pending(CHANNEL)
    assert (row.text, row.sender_name, row.mentioned, row.topic_id) == ("edited", "Alice", True, 3)


async def test_the_history_of_a_group_says_who_said_what(path: MessagePath) -> None:
    message = incoming(1, "hi", CHANNEL, sender_id=8, sender_name="Alice", topic_id=3)
    await path.take_in(Intake(messages=(message,)))
    rows = await path.pending(CHANNEL)
    await path.store_answer(CHANNEL, rows, [draft(10, "hello", topic_id=3)], replies_are_final=True)
    heard, said = (await path.remembered(CHANNEL, 10, 3)).messages
    assert heard == HistoryRow(Role.USER, "hi", SENT_AT, 1, 8, "Alice", message_id=1)
    assert (said.role, said.sender_id, said.sender_name) == (Role.ASSISTANT, None, None)
    row = await path.next_outgoing(CHANNEL)
    assert row is not None
    assert row.topic_id == 3


async def test_those_who_opted_out_or_are_blocked_are_told_from_the_others(path: MessagePath) -> None:
    for person in (5, 6, 9):
        await path.opt_out(person)
    await path.opt_in(9)
    for person in (5, 7, 8):
        await path.block(person, 42)
    assert await path.silenced_of({5, 7, 9}) == Silenced(frozenset({5}), frozenset({5, 7}))
    assert await path.silenced_of(set()) == Silenced(frozenset(), frozenset())


async def test_our_own_messages_are_known_by_their_ids_once_they_are_sent(path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    assert await path.ours(PERSON, {55}) == set()
    await path.mark_sent(row, 55)
    assert await path.ours(PERSON, {1, 55}) == {55}
    assert await path.ours(OTHER, {55}) == set()


async def test_what_is_quoted_is_what_was_said_here_or_overheard(path: MessagePath) -> None:
    await path.take_in(
        Intake(messages=tuple(incoming(n, peer_id=CHANNEL, sender_id=8, sender_name="Alice") for n in (1, 2, 3)))
    )
    first, *_ = await path.pending(CHANNEL)
    await path.store_answer(CHANNEL, [first], [draft(10, "ours")], replies_are_final=True)
    await path.close_inbox(CHANNEL, [2], InboxState.SKIPPED, "NotMentioned")
    await path.close_inbox(CHANNEL, [3], InboxState.SKIPPED, "OptedOut")
    row = await path.next_outgoing(CHANNEL)
    assert row is not None
    await path.mark_sent(row, 55)
    found = await path.quoted(CHANNEL, {1, 2, 3, 4, 55}, overheard="NotMentioned")
    assert {number: (said.role, said.text, said.sender_name) for number, said in found.items()} == {
        1: ("user", "message 1", "Alice"),
        2: ("user", "message 2", "Alice"),
        55: ("assistant", "ours", None),
    }
    assert await path.quoted(PERSON, {1, 2}, overheard="NotMentioned") == {}


async def test_when_a_chat_was_answered_is_told_by_answers_and_not_by_their_parts(path: MessagePath) -> None:
    before = datetime.now(UTC)
    for number in (1, 2, 3):
        rows = await taken_in(path, number)
        await path.store_answer(
            PERSON, rows, [draft(number * 10), draft(number * 10 + 1, part=1)], replies_are_final=True
        )
    await taken_in(path, 4)
    found = [await path.situation(PERSON, answers=back) for back in (1, 2, 3, 4)]
    newest, second, third, none = [situation and situation.answered_at for situation in found]
    assert newest and second and third
    assert before <= third <= second <= newest <= datetime.now(UTC)
    assert third < newest
    assert none is None
    await path.take_in(Intake(messages=(incoming(1, "hi", OTHER),)))
    other = await path.situation(OTHER)
    assert other
    assert other.answered_at is None


async def test_a_line_that_stands_in_the_outbox_is_known_by_its_random_id(path: MessagePath) -> None:
    assert not await path.is_queued(10)
    await path.store_answer(PERSON, [], [draft(10)], replies_are_final=True)
    assert await path.is_queued(10)


async def test_who_wrote_a_message_is_known_after_it_is_answered(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "hi", CHANNEL, sender_id=8),)))
    await path.close_inbox(CHANNEL, [1], InboxState.SKIPPED, "TooOld")
    assert await path.sender_of(CHANNEL, 1) == 8
    assert await path.sender_of(CHANNEL, 2) is None


async def test_another_account_of_the_bot_knows_nothing_of_it(store: Store, lease: Lease) -> None:
    first, other = MessagePath(store, lease, ACCOUNT), MessagePath(store, lease, ACCOUNT + 1)
    await taken_in(first, 1)
    (row,) = await answered(first, 10)
    await first.mark_sent(row, 55)
    await first.opt_out(PERSON)
    await first.block(PERSON, 42)
    assert await other.silenced_of({PERSON}) == Silenced(frozenset(), frozenset())
    assert await other.ours(PERSON, {55}) == set()
    assert await other.quoted(PERSON, {1, 55}, overheard="NotMentioned") == {}
    assert await other.sender_of(PERSON, 1) is None
    assert not await other.is_queued(10)


async def test_nothing_is_attempted_for_somebody_who_asked_in_a_group_and_opted_out_meanwhile(
    path: MessagePath,
) -> None:
    await path.take_in(Intake(messages=(incoming(1, "hi", CHANNEL, sender_id=8),)))
    (row,) = await answered(path, 10, peer_id=CHANNEL)
    await path.opt_out(8)
    assert not await path.mark_attempted(row, always=False, asker_id=8)
    assert await path.mark_attempted(row, always=False, asker_id=9)
    assert await path.mark_attempted(row, asker_id=8), "attempted again, whatever they want: it may have arrived"
