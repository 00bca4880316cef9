"""A stale token writes nothing, whatever it tries to write."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from botfleet.store.account import AccountRepository
from botfleet.store.engine import Store
from botfleet.store.errors import LeaseLost
from botfleet.store.events import EventRepository
from botfleet.store.lease import Lease
from botfleet.store.messages import MessagePath
from botfleet.store.retention import RetentionRepository
from botfleet.store.rows import (
    Deletion,
    InboxRow,
    Intake,
    Migration,
    OutboxRow,
    OwnMessage,
    PeerRow,
    Spending,
    UpdateState,
)
from botfleet.store.starters import Acquaintance
from botfleet.store.tables import InboxState
from tests.contracts.store.samples import (
    ACCOUNT,
    GROUP,
    OTHER,
    PERSON,
    answered,
    draft,
    edit,
    incoming,
    snapshot,
    take_over,
    taken_in,
)


@dataclass
class Stale:
    path: MessagePath
    account: AccountRepository
    events: EventRepository
    finished: RetentionRepository
    event_ids: list[str]
    pending: list[InboxRow]
    outgoing: OutboxRow


_EVERYTHING = Intake(
    messages=(incoming(50),),
    edits=(edit(1, "edited"), edit(9, "edited", peer_id=OTHER)),
    deletions=(Deletion(2),),
    states={0: UpdateState(pts=1000)},
    peers=(PeerRow(PERSON, 1), PeerRow(60, 2)),
    sent=((10, 900),),
)
_MIGRATION = Migration(GROUP, -1_000_000_000_700)
_SPENT = Spending(date(2026, 11, 1), "m", 1, 2, 3)
_SOON = datetime(2030, 1, 1, tzinfo=UTC)

WRITES: dict[str, Callable[[Stale], Awaitable[Any]]] = {
    "take_in": lambda s: s.path.take_in(_EVERYTHING),
    "take_in, nothing new": lambda s: s.path.take_in(Intake()),
    "settle": lambda s: s.path.settle(_EVERYTHING, migrations=[_MIGRATION]),
    "follow_migration": lambda s: s.path.follow_migration(GROUP),
    "set_baseline": lambda s: s.path.set_baseline(UpdateState(1), channel_id=5),
    "replace_baseline": lambda s: s.path.replace_baseline(UpdateState(1), was=UpdateState(5)),
    "store_answer": lambda s: s.path.store_answer(
        PERSON, s.pending, [draft(20, discloses=True)], replies_are_final=True, spent=[_SPENT]
    ),
    "store_answer, newer pending": lambda s: s.path.store_answer(
        PERSON, s.pending[:1], [draft(20)], replies_are_final=False
    ),
    "store_answer, no messages": lambda s: s.path.store_answer(PERSON, [], [draft(20)], replies_are_final=True),
    "close_inbox": lambda s: s.path.close_inbox(PERSON, [1], InboxState.SKIPPED, "TooOld"),
    "mark_attempted": lambda s: s.path.mark_attempted(s.outgoing),
    "mark_sent": lambda s: s.path.mark_sent(s.outgoing, 900),
    "mark_failed": lambda s: s.path.mark_failed(s.outgoing, "Blocked"),
    "give_up_uncertain": lambda s: s.path.give_up_uncertain(s.outgoing, "Migrated"),
    "defer": lambda s: s.path.defer(s.outgoing, _SOON),
    "cancel": lambda s: s.path.cancel(s.outgoing, "OptedOut"),
    "save_summary": lambda s: s.path.save_summary(OTHER, "notes", 1),
    "opt_out": lambda s: s.path.opt_out(OTHER),
    "opt_in": lambda s: s.path.opt_in(PERSON),
    "close_chat": lambda s: s.path.close_chat(PERSON, "Blocked"),
    "set_not_before": lambda s: s.path.set_not_before(PERSON, _SOON),
    "take_in, of the account itself": lambda s: s.path.take_in(
        Intake(own=(OwnMessage(PERSON, 51, "mine", _SOON, _SOON), OwnMessage(PERSON, 52, "/release", _SOON, None)))
    ),
    "begin_takeover": lambda s: s.path.begin_takeover(PERSON, _SOON, 42),
    "end_takeover": lambda s: s.path.end_takeover(61),
    "end_expired_takeovers": lambda s: s.path.end_expired_takeovers(),
    "correct_facts": lambda s: s.path.correct_facts(PERSON, {"likes": "tea"}, s.pending[0], "/facts"),
    "hand_over": lambda s: s.path.hand_over(PERSON, [1]),
    "forget": lambda s: s.path.forget(PERSON, 1),
    "pause": lambda s: s.path.pause(42),
    "resume": lambda s: s.path.resume(),
    "set_commands_digest": lambda s: s.path.set_commands_digest("d"),
    "block": lambda s: s.path.block(OTHER, 42),
    "unblock": lambda s: s.path.unblock(PERSON),
    "enlist": lambda s: s.path.enlist(0, _SOON),
    "look_later": lambda s: s.path.look_later({PERSON: _SOON}),
    "store_starter": lambda s: s.path.store_starter(Acquaintance(PERSON), draft(20), 1, _SOON),
    "cancel_starter": lambda s: s.path.cancel_starter(s.outgoing, "Wrote"),
    "save_session": lambda s: s.account.save_session(b"other", "digest"),
    "mark_authorized": lambda s: s.account.mark_authorized("name"),
    "note_token_login": lambda s: s.account.note_token_login(),
    "discard": lambda s: s.account.discard(),
    "note_spent": lambda s: s.path.note_spent([_SPENT]),
    "note_words": lambda s: s.path.note_words(PERSON, 1, "heard", (_SPENT,)),
    "remove_finished": lambda s: s.finished.remove_finished(_SOON, _SOON),
    "mark_relayed": lambda s: s.events.mark_relayed(s.event_ids),
}


@pytest.fixture
async def stale(store: Store, bot_id: str, lease: Lease, path: MessagePath) -> Stale:
    """A runner with everything under way, whose lease has passed on."""
    await taken_in(path, 9, peer_id=OTHER)
    (outgoing,) = await answered(path, 10, peer_id=OTHER)
    pending = await taken_in(path, 1, 2)
    await path.take_in(Intake(states={0: UpdateState(pts=5)}, peers=(PeerRow(PERSON, 99),)))
    await path.settle(Intake(), migrations=[_MIGRATION])
    await path.opt_out(PERSON)
    await path.block(PERSON, 42)
    await path.begin_takeover(61, _SOON, 42)
    account = AccountRepository(store, lease, ACCOUNT)
    await account.save_session(b"sealed", "digest")
    events = EventRepository(store, lease)
    waiting = [event.id for event in await events.unrelayed()]
    await take_over(store, bot_id)
    finished = RetentionRepository(store, lease)
    return Stale(path, account, events, finished, waiting, pending, outgoing)


@pytest.mark.parametrize("write", WRITES)
async def test_a_stale_token_writes_nothing_and_says_so(store: Store, stale: Stale, write: str) -> None:
    before = await snapshot(store)
    with pytest.raises(LeaseLost):
        await WRITES[write](stale)
    assert await snapshot(store) == before


def test_every_write_is_tried_with_a_stale_token() -> None:
    reads = {
        "states",
        "migrations",
        "access_hash",
        "channel_hashes",
        "pending_chats",
        "pending",
        "situation",
        "history",
        "remembered",
        "facts",
        "history_between",
        "chat",
        "outgoing_chats",
        "next_outgoing",
        "first_outgoing",
    }
    reads |= {
        "find_open_by_random_id",
        "silenced_of",
        "ours",
        "quoted",
        "is_queued",
        "sender_of",
        "opted_out",
        "counts",
        "spent_on",
        "silence",
        "paused_at",
        "commands_digest",
        "due_to_start",
        "acquaintance",
        "started_since",
        "on_handed_over",
        "load",
        "unrelayed",
        "fence",
        "insert",
        "mine",
        "keys",
        "fetch",
    }
    methods = {
        name
        for owner in (MessagePath, AccountRepository, EventRepository, RetentionRepository)
        for name in dir(owner)
        if not name.startswith("_")
    }
    assert methods - reads == {write.split(",")[0] for write in WRITES}
