"""What was finished long ago is removed; what is not finished, and what was said, stays."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from botfleet.store import retention
from botfleet.store.engine import Store
from botfleet.store.events import EventRepository
from botfleet.store.lease import Lease
from botfleet.store.messages import MessagePath
from botfleet.store.retention import Removed, RetentionRepository
from botfleet.store.rows import Intake
from botfleet.store.tables import InboxState, events, inbox, outbox
from tests.contracts.store.samples import OTHER, PERSON, answered, draft, incoming, snapshot, taken_in, texts

LATER = timedelta(minutes=1)


@pytest.fixture
def finished(store: Store, lease: Lease) -> RetentionRepository:
    return RetentionRepository(store, lease)


async def conversation(path: MessagePath, store: Store, lease: Lease) -> None:
    """Answered, skipped, failed and cancelled; and in another chat, all that is still to be done."""
    await taken_in(path, 1)
    (row,) = await answered(path, 11, 12, 13)
    await path.mark_attempted(row)
    await path.mark_sent(row, 900)
    second = await path.next_outgoing(PERSON)
    assert second is not None
    await path.mark_failed(second, "Blocked")
    third = await path.next_outgoing(PERSON)
    assert third is not None
    await path.cancel(third, "OptedOut")
    await taken_in(path, 2)
    await path.close_inbox(PERSON, [2], InboxState.SKIPPED, "TooOld")
    relay = EventRepository(store, lease)
    await relay.mark_relayed([event.id for event in await relay.unrelayed()])
    await taken_in(path, 5, peer_id=OTHER)
    await path.store_answer(OTHER, await path.pending(OTHER), [draft(21)], replies_are_final=True)
    await taken_in(path, 6, peer_id=OTHER)


async def test_finished_work_that_is_old_enough_is_removed_and_what_waits_stays(
    store: Store, lease: Lease, path: MessagePath, finished: RetentionRepository
) -> None:
    await conversation(path, store, lease)
    said = await texts(path)
    now = datetime.now(UTC)
    assert await finished.remove_finished(now - LATER, now - LATER) == Removed(0, 0, 0)
    # Also the answered one of the other chat: that its answer still waits is the outbox's.
    assert await finished.remove_finished(now + LATER, now + LATER) == Removed(inbox=3, outbox=3, events=3)
    async with store.read() as connection:
        left = {
            table.name: (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            for table in (inbox, outbox, events)
        }
    assert left == {"inbox": 1, "outbox": 1, "events": 2}
    assert [row.message_id for row in await path.pending(OTHER)] == [6]
    assert (await path.next_outgoing(OTHER)) is not None
    assert await texts(path) == said


async def test_a_chat_whose_finished_work_was_removed_goes_on_in_order(
    store: Store, lease: Lease, path: MessagePath, finished: RetentionRepository
) -> None:
    await conversation(path, store, lease)
    now = datetime.now(UTC)
    await finished.remove_finished(now + LATER, now + LATER)
    await taken_in(path, 7)
    (row,) = await answered(path, 31, 32)
    assert row.random_id == 31
    await path.mark_sent(row, 901)
    second = await path.next_outgoing(PERSON)
    assert second is not None
    assert second.random_id == 32


async def test_a_batch_is_bounded_and_says_whether_there_is_more(
    path: MessagePath, finished: RetentionRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    await path.take_in(Intake(messages=tuple(incoming(number) for number in range(1, 6))))
    await path.close_inbox(PERSON, [1, 2, 3, 4, 5], InboxState.SKIPPED, "TooOld")
    later = datetime.now(UTC) + LATER
    found = [await finished.remove_finished(later, later) for _ in range(3)]
    assert [(removed.inbox, removed.is_all) for removed in found] == [(2, False), (2, False), (1, True)]


async def test_events_that_nobody_was_told_of_are_never_removed(
    store: Store, path: MessagePath, finished: RetentionRepository
) -> None:
    await taken_in(path, 1)
    before = (await snapshot(store)).tables["events"]
    later = datetime.now(UTC) + LATER
    assert (await finished.remove_finished(later, later)).events == 0
    assert (await snapshot(store)).tables["events"] == before
