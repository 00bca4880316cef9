"""Taking in: a message and the pts that passed it together, each message once."""

import pytest

from botfleet.store.engine import Store
from botfleet.store.lease import Lease, LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Deletion, Intake, PeerRow, UpdateState
from tests.contracts.store.samples import (
    ACCOUNT,
    CHANNEL,
    GROUP,
    OTHER,
    PERSON,
    answered,
    draft,
    edit,
    event_types,
    incoming,
    later,
    snapshot,
    taken_in,
    texts,
)


async def test_messages_wait_in_the_order_of_their_ids(path: MessagePath) -> None:
    arrived = await path.take_in(Intake(messages=(incoming(2), incoming(1), incoming(7, peer_id=OTHER))))
    assert arrived == {PERSON, OTHER}
    assert [row.message_id for row in await path.pending(PERSON)] == [1, 2]
    assert await path.pending_chats() == [PERSON, OTHER]


async def test_a_row_keeps_everything_that_came_with_it(path: MessagePath) -> None:
    given = incoming(
        1, "text", sender_id=8, access_hash=None, edit_date=later(1), grouped_id=3, reply_to_message_id=4, trace_id="x"
    )
    await path.take_in(Intake(messages=(given,)))
    (row,) = await path.pending(PERSON)
    for name in ("sender_id", "access_hash", "text", "date", "edit_date", "grouped_id", "reply_to_message_id"):
        assert getattr(row, name) == getattr(given, name)
    assert (row.trace_id, row.state, row.reason) == ("x", "pending", None)


async def test_an_intake_replayed_after_a_kill_writes_nothing_twice(store: Store, path: MessagePath) -> None:
    intake = Intake(messages=(incoming(1), incoming(2)), states={0: UpdateState(pts=7)}, peers=(PeerRow(PERSON, 99),))
    assert await path.take_in(intake) == {PERSON}
    before = await snapshot(store)
    assert await path.take_in(intake) == set()
    assert await snapshot(store) == before
    assert await event_types(store) == [("message.received", 1), ("message.received", 2)]


async def test_a_replay_does_not_reopen_what_was_answered(path: MessagePath) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    assert await path.take_in(Intake(messages=(incoming(1), incoming(2)))) == {PERSON}
    assert [row.message_id for row in await path.pending(PERSON)] == [2]


async def test_events_name_ids_and_never_text(store: Store, path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "a planted secret"),)))
    rows = (await snapshot(store)).tables["events"]
    assert len(rows) == 1
    assert "planted" not in repr(rows)
    assert f"'account_id': {ACCOUNT}" in repr(rows)


async def test_a_pts_never_goes_back(path: MessagePath) -> None:
    await path.take_in(Intake(states={0: UpdateState(10, 2, later(0), 3), CHANNEL: UpdateState(100)}))
    await path.take_in(Intake(states={0: UpdateState(9, 1, later(5), 1), CHANNEL: UpdateState(101)}))
    assert await path.states() == {0: UpdateState(10, 2, later(0), 3), CHANNEL: UpdateState(101)}
    await path.take_in(Intake(states={0: UpdateState(10, 4, later(6), 5)}))
    assert (await path.states())[0] == UpdateState(10, 4, later(6), 5)


async def test_a_baseline_does_not_replace_a_stored_state(path: MessagePath) -> None:
    await path.set_baseline(UpdateState(5))
    await path.set_baseline(UpdateState(50))
    assert await path.states() == {0: UpdateState(5)}


async def test_a_baseline_is_replaced_also_backwards_if_it_is_still_the_one_that_was_compared(
    path: MessagePath,
) -> None:
    await path.take_in(Intake(states={0: UpdateState(1000, 7, later(0), 3), CHANNEL: UpdateState(1000)}))
    assert not await path.replace_baseline(UpdateState(5), was=UpdateState(999))
    assert (await path.states())[0] == UpdateState(1000, 7, later(0), 3)
    assert await path.replace_baseline(UpdateState(5, 0, later(9), 1), was=UpdateState(1000))
    assert await path.states() == {0: UpdateState(5, 0, later(9), 1), CHANNEL: UpdateState(1000)}


async def test_two_edits_of_one_message_in_one_batch_leave_the_newer(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "first"),), edits=(edit(1, "third", 2), edit(1, "second", 1))))
    assert [row.text for row in await path.pending(PERSON)] == ["third"]
    await path.take_in(Intake(edits=(edit(1, "fifth", 9), edit(1, "fourth", 8))))
    assert [row.text for row in await path.pending(PERSON)] == ["fifth"]


async def test_of_two_edits_within_a_second_the_later_in_the_batch_stands(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1),), edits=(edit(1, "one", 1), edit(1, "two", 1))))
    assert [row.text for row in await path.pending(PERSON)] == ["two"]


async def test_of_two_edits_within_a_second_the_later_stands_whenever_it_comes(path: MessagePath) -> None:
    """Telegram counts whole seconds, so both have one date."""
    await path.take_in(Intake(messages=(incoming(1, "zero", edit_date=later(1)),), edits=(edit(1, "one", 1),)))
    assert [row.text for row in await path.pending(PERSON)] == ["one"]
    await path.take_in(Intake(edits=(edit(1, "two", 1),)))
    assert [row.text for row in await path.pending(PERSON)] == ["two"]
    await answered(path, 10)
    await path.take_in(Intake(edits=(edit(1, "three", 1),)))
    assert await texts(path) == [("user", "three"), ("assistant", "answer 10")]


async def test_an_edit_that_comes_again_changes_nothing(store: Store, path: MessagePath) -> None:
    edited = Intake(messages=(incoming(1, "edited", edit_date=later(1)), incoming(2)), edits=(edit(2, "too", 1),))
    await path.take_in(edited)
    before = await snapshot(store)
    assert await path.take_in(edited) == set()
    assert await snapshot(store) == before
    await answered(path, 10)
    before = await snapshot(store)
    assert await path.take_in(edited) == set()
    assert await snapshot(store) == before


async def test_an_edit_that_comes_again_brings_back_nothing_that_was_forgotten(store: Store, path: MessagePath) -> None:
    edited = Intake(messages=(incoming(1, "planted words", edit_date=later(1)), incoming(2, "/forget")))
    await path.take_in(edited)
    await path.close_inbox(PERSON, [1], "skipped", "Forgotten")
    await path.forget(PERSON, 2)
    await path.take_in(edited)
    assert "planted" not in repr(await snapshot(store))


async def test_an_older_edit_changes_nothing(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1),), edits=(edit(1, "newer", 5),)))
    await path.take_in(Intake(edits=(edit(1, "older", 4),)))
    assert [row.text for row in await path.pending(PERSON)] == ["newer"]


async def test_a_known_message_that_comes_again_edited_is_an_edit(path: MessagePath) -> None:
    await taken_in(path, 1)
    assert await path.take_in(Intake(messages=(incoming(1, "edited", edit_date=later(3)),))) == set()
    assert [row.text for row in await path.pending(PERSON)] == ["edited"]


async def test_an_edit_of_an_answered_message_changes_the_history_alone(path: MessagePath) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    assert await path.take_in(Intake(edits=(edit(1, "edited"),))) == set()
    assert await path.pending(PERSON) == []
    assert await texts(path) == [("user", "edited"), ("assistant", "answer 10")]
    await path.take_in(Intake(edits=(edit(1, "older", 0.5),)))
    assert (await texts(path))[0] == ("user", "edited")


async def test_an_edit_touches_its_own_chat_only(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "mine"), incoming(1, "channel's", peer_id=CHANNEL))))
    await path.take_in(Intake(edits=(edit(1, "edited", peer_id=CHANNEL),)))
    assert [row.text for row in await path.pending(PERSON)] == ["mine"]


async def test_an_album_is_stored_with_its_grouped_id(path: MessagePath) -> None:
    await path.take_in(Intake(messages=tuple(incoming(number, grouped_id=44) for number in (1, 2, 3))))
    assert {row.grouped_id for row in await path.pending(PERSON)} == {44}
    assert len(await path.pending(PERSON)) == 3


async def test_a_deleted_message_is_not_answered(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1, 2)
    await path.take_in(Intake(deletions=(Deletion(1),)))
    assert [row.message_id for row in await path.pending(PERSON)] == [2]
    assert "'skipped', 'Deleted'" in repr((await snapshot(store)).tables["inbox"])


async def test_a_message_deleted_in_its_own_batch_waits_for_nothing(path: MessagePath) -> None:
    arrived = await path.take_in(
        Intake(messages=(incoming(1), incoming(2, peer_id=OTHER)), deletions=(Deletion(1, PERSON),))
    )
    assert arrived == {OTHER}
    assert await path.pending_chats() == [OTHER]


async def test_a_deletion_without_a_peer_leaves_channels_alone(path: MessagePath) -> None:
    await path.take_in(
        Intake(messages=(incoming(1, peer_id=CHANNEL), incoming(1, peer_id=GROUP), incoming(2, peer_id=CHANNEL)))
    )
    await path.take_in(Intake(deletions=(Deletion(1), Deletion(2, CHANNEL))))
    assert await path.pending_chats() == [CHANNEL]
    assert [row.message_id for row in await path.pending(CHANNEL)] == [1]


async def test_a_deleted_message_leaves_the_history(path: MessagePath) -> None:
    await taken_in(path, 1, 2)
    await answered(path, 10)
    await path.take_in(Intake(deletions=(Deletion(2),)))
    assert await texts(path) == [("user", "message 1"), ("assistant", "answer 10")]


async def test_access_hashes_are_kept_and_replaced(path: MessagePath) -> None:
    await path.take_in(Intake(peers=(PeerRow(PERSON, 1), PeerRow(OTHER, 2), PeerRow(PERSON, 3))))
    await path.take_in(Intake(peers=(PeerRow(OTHER, 4),)))
    assert [await path.access_hash(peer_id) for peer_id in (PERSON, OTHER, 12345)] == [3, 4, None]


async def test_an_update_that_proves_a_send_closes_its_row_once(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    await path.take_in(Intake(sent=((10, 900), (12345, 901))))
    assert await path.next_outgoing(PERSON) is None
    before = await snapshot(store)
    await path.take_in(Intake(sent=((10, 900),)))
    assert await snapshot(store) == before
    assert await event_types(store) == [("message.received", 1), ("reply.sent", 900)]


async def test_text_that_a_database_cannot_hold_does_not_stop_the_intake(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "nul\x00 and \ud800"),)))
    assert [row.text for row in await path.pending(PERSON)] == ["nul and ?"]


async def test_chats_come_in_pages(path: MessagePath) -> None:
    await path.take_in(Intake(messages=tuple(incoming(1, peer_id=peer) for peer in (30, 10, 20))))
    assert await path.pending_chats(limit=2) == [10, 20]
    assert await path.pending_chats(limit=2, after=20) == [30]


async def test_an_empty_intake_is_fenced_too(path: MessagePath) -> None:
    assert await path.take_in(Intake()) == set()


async def test_two_accounts_of_one_bot_do_not_mix(store: Store, lease: Lease, path: MessagePath) -> None:
    other = MessagePath(store, lease, ACCOUNT + 1)
    await path.take_in(Intake(messages=(incoming(1),), states={0: UpdateState(5)}))
    assert await other.states() == {}
    assert await other.pending_chats() == []
    await other.take_in(Intake(messages=(incoming(1, "other"),)))
    assert [row.text for row in await path.pending(PERSON)] == ["message 1"]


async def test_only_channels_hashes_are_read_at_once(path: MessagePath) -> None:
    await path.take_in(Intake(peers=(PeerRow(PERSON, 1), PeerRow(CHANNEL, 2), PeerRow(GROUP, 3))))
    assert await path.channel_hashes() == [PeerRow(CHANNEL, 2)]


@pytest.mark.parametrize("size", [300, 1100])
async def test_a_long_backlog_is_one_intake(path: MessagePath, leases: LeaseRepository, size: int) -> None:
    await path.take_in(Intake(messages=tuple(incoming(number) for number in range(1, size + 1))))
    counts = await path.counts()
    assert (counts.pending, counts.outgoing) == (size, 0)
    assert counts.oldest_pending_at is not None
    rows = await path.pending(PERSON, limit=size)
    await path.store_answer(PERSON, rows, [draft(1)], replies_are_final=False)
    assert (await path.counts()).pending == 0
