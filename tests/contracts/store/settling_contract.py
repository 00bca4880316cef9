"""What changes what stands already: a group that becomes a supergroup, answers of a run that the store has forgotten."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.errors import LeaseLost
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Deletion, Edit, Intake, Migration, UpdateState, Written, earlier_id
from botfleet.store.tables import facts, metadata, summaries
from tests.contracts.store.samples import (
    GROUP,
    OTHER,
    PERSON,
    SENT_AT,
    draft,
    incoming,
    later,
    snapshot,
    take_over,
    taken_in,
    texts,
)

SUPER = -1_000_000_000_700
MOVE = Migration(GROUP, SUPER)


async def in_group(path: MessagePath, *message_ids: int, peer_id: int = GROUP) -> None:
    await path.take_in(Intake(messages=tuple(incoming(one, peer_id=peer_id, sender_id=PERSON) for one in message_ids)))


async def said(path: MessagePath, random_id: int, peer_id: int = GROUP) -> None:
    """What waits is answered with one text, as an answer to its last message."""
    rows = await path.pending(peer_id)
    last = rows[-1].message_id
    one = draft(random_id, reply_to_message_id=last, access_hash=0)
    await path.store_answer(peer_id, rows, [one], replies_are_final=True)


async def migrated(path: MessagePath) -> None:
    await path.settle(Intake(), migrations=[MOVE])


async def test_what_waits_in_a_group_waits_in_its_supergroup_before_what_is_said_there(path: MessagePath) -> None:
    await in_group(path, 17, 18)
    await in_group(path, 17, peer_id=SUPER)
    settled = await path.settle(Intake(), migrations=[MOVE])
    assert settled.pending == {SUPER}
    assert await path.pending_chats() == [SUPER]
    rows = await path.pending(SUPER)
    assert [row.message_id for row in rows] == [earlier_id(17), earlier_id(18), 17]
    assert [row.access_hash for row in rows] == [None, None, 99]


async def test_the_news_and_what_waits_come_in_one_transaction(store: Store, path: MessagePath, bot_id: str) -> None:
    await in_group(path, 17)
    before = await snapshot(store)
    await take_over(store, bot_id)
    with pytest.raises(LeaseLost):
        await path.settle(Intake(states={0: UpdateState(7)}), migrations=[MOVE])
    after = await snapshot(store)
    assert {name: rows for name, rows in after.tables.items() if name != "leases"} == {
        name: rows for name, rows in before.tables.items() if name != "leases"
    }


async def test_news_of_a_supergroup_that_comes_again_changes_nothing(store: Store, path: MessagePath) -> None:
    await in_group(path, 17)
    await said(path, 10)
    await in_group(path, 18)
    await path.set_not_before(GROUP, later(5))
    await migrated(path)
    before = await snapshot(store)
    assert (await path.settle(Intake(), migrations=[MOVE])).pending == set()
    assert await snapshot(store) == before


async def test_history_and_summary_follow_and_what_was_said_in_the_supergroup_comes_after_them(
    store: Store, path: MessagePath
) -> None:
    await in_group(path, 17)
    await said(path, 10)
    await in_group(path, 1, peer_id=SUPER)
    await said(path, 11, SUPER)
    assert await path.save_summary(GROUP, "they met", 2)
    await migrated(path)
    assert await texts(path, GROUP) == []
    assert await texts(path, SUPER) == [
        ("user", "message 17"),
        ("assistant", "answer 10"),
        ("user", "message 1"),
        ("assistant", "answer 11"),
    ]
    assert (await path.remembered(SUPER, 1)).summary == "they met"
    assert await count(store, summaries) == 1
    first = await path.next_outgoing(SUPER)
    assert first is not None
    await path.mark_sent(first, 900)
    second = await path.next_outgoing(SUPER)
    assert second is not None
    assert second.random_id == 11
    await path.mark_sent(second, 2)
    quoted = await path.quoted(SUPER, [2], overheard="")
    assert quoted[2].text == "answer 11"


async def test_a_summary_of_the_supergroup_alone_does_not_hide_what_was_said_in_the_group(path: MessagePath) -> None:
    await in_group(path, 17)
    await said(path, 10)
    await in_group(path, 1, peer_id=SUPER)
    await said(path, 11, SUPER)
    assert await path.save_summary(SUPER, "later", 2)
    await migrated(path)
    remembered = await path.remembered(SUPER, 4)
    assert (remembered.summary, remembered.summarized_to) == (None, 0)


async def test_facts_follow_and_what_the_supergroup_knows_stands(store: Store, path: MessagePath) -> None:
    rows = [
        (GROUP, "city", "Osh"),
        (GROUP, "meets on", "Mondays"),
        (SUPER, "city", "Bishkek"),
    ]
    async with store.begin() as connection:
        for peer_id, name, value in rows:
            row = {**path.keys, "peer_id": peer_id, "name": name, "version": 1, "value": value, "learned_at": SENT_AT}
            await connection.execute(sa.insert(facts).values(**row))
    await migrated(path)
    assert await path.facts(SUPER) == {"city": "Bishkek", "meets on": "Mondays"}
    assert await path.facts(GROUP) == {}


async def test_an_answer_that_waits_goes_out_in_the_supergroup_and_answers_no_number_of_the_group(
    path: MessagePath,
) -> None:
    await in_group(path, 17)
    rows = await path.pending(GROUP)
    one = draft(10, access_hash=0, reply_to_message_id=17)
    await path.store_answer(GROUP, rows, [one, draft(11)], replies_are_final=True)
    before = await path.next_outgoing(GROUP)
    assert before is not None
    await migrated(path)
    assert await path.outgoing_chats() == [SUPER]
    assert not await path.mark_attempted(before), "it is not to be sent to the group any more"
    row = await path.next_outgoing(SUPER)
    assert row is not None
    assert (row.random_id, row.reply_to_message_id, row.access_hash, row.attempted_in) == (10, None, None, None)
    assert row.cause == f"reply:{earlier_id(1)}"
    assert await path.sender_of(SUPER, earlier_id(17)) == PERSON
    assert await path.mark_attempted(row)


async def test_a_send_that_is_under_way_is_recorded_wherever_its_row_is_by_then(path: MessagePath) -> None:
    await in_group(path, 17)
    await said(path, 10)
    row = await path.next_outgoing(GROUP)
    assert row is not None
    await path.mark_attempted(row)
    await migrated(path)
    assert await path.mark_sent(row, 18)
    assert await path.outgoing_chats() == []
    assert await path.ours(SUPER, [18]) == frozenset(), "the supergroup's own 18 is another message"
    assert await path.ours(SUPER, [earlier_id(18)]) == {earlier_id(18)}


async def test_an_attempt_in_the_group_is_never_repeated_in_the_supergroup(path: MessagePath) -> None:
    await in_group(path, 17)
    await said(path, 10)
    row = await path.next_outgoing(GROUP)
    assert row is not None
    await path.mark_attempted(row)
    await migrated(path)
    moved = await path.next_outgoing(SUPER)
    assert moved is not None
    assert (moved.state, moved.attempted_in) == ("attempted", GROUP)
    assert await path.give_up_uncertain(moved, "Migrated")
    assert await path.next_outgoing(SUPER) is None


async def test_an_attempt_that_the_group_refused_goes_out_in_the_supergroup(path: MessagePath) -> None:
    await in_group(path, 17)
    await said(path, 10)
    row = await path.next_outgoing(GROUP)
    assert row is not None
    await path.mark_attempted(row)
    await migrated(path)
    assert await path.defer(row, SENT_AT, never_reached=True)
    moved = await path.next_outgoing(SUPER)
    assert moved is not None
    assert (moved.state, moved.attempted_in) == ("pending", None)
    assert not await path.give_up_uncertain(moved, "Migrated")


async def test_what_was_stored_for_the_group_too_late_follows_when_it_is_asked_for(path: MessagePath) -> None:
    assert await path.follow_migration(GROUP) is None
    await migrated(path)
    assert await path.migrations() == {GROUP: SUPER}
    await path.store_answer(GROUP, [], [draft(10)], replies_are_final=True)
    assert await path.follow_migration(GROUP) == SUPER
    assert await path.outgoing_chats() == [SUPER]


async def test_the_groups_own_opt_out_its_limits_and_its_disclosure_follow_and_its_peoples_stay(
    path: MessagePath,
) -> None:
    await in_group(path, 17)
    rows = await path.pending(GROUP)
    await path.store_answer(GROUP, rows, [draft(10, discloses=True)], replies_are_final=True)
    row = await path.next_outgoing(GROUP)
    assert row is not None
    await path.mark_sent(row, 18)
    await path.opt_out(GROUP)
    await path.opt_out(OTHER)
    await path.block(GROUP, 42)
    await path.begin_takeover(GROUP, datetime(2100, 1, 1, tzinfo=UTC), 42)
    await path.set_not_before(GROUP, later(30))
    await path.close_chat(GROUP, "WriteForbidden")
    await in_group(path, 19)
    before = await path.situation(GROUP)
    assert before is not None
    await migrated(path)
    silenced = await path.silenced_of([GROUP, SUPER, OTHER])
    assert silenced.opted_out == {SUPER, OTHER}
    assert silenced.blocked == {SUPER}
    silence = await path.silence(SUPER, None)
    assert silence.taken_until == datetime(2100, 1, 1, tzinfo=UTC)
    chat = await path.chat(SUPER)
    assert chat.not_before == later(30)
    assert chat.disclosed_at is not None
    assert chat.closed_reason is None
    after = await path.situation(SUPER)
    assert after is not None
    assert after.answered_at == before.answered_at
    assert after.answered_at is not None
    assert (await path.chat(GROUP)).closed_reason == "Migrated"


async def test_messages_of_the_group_that_come_again_are_known_in_the_supergroup(path: MessagePath) -> None:
    await in_group(path, 17)
    await said(path, 10)
    await migrated(path)
    again = incoming(earlier_id(17), peer_id=SUPER)
    edited = Edit(SUPER, earlier_id(17), "corrected", later(9))
    assert await path.take_in(Intake(messages=(again,), edits=(edited,))) == set()
    assert ("user", "corrected") in await texts(path, SUPER)
    await path.take_in(Intake(deletions=(Deletion(earlier_id(17), SUPER),)))
    assert await texts(path, SUPER) == [("assistant", "answer 10")]


# -- answers of a run that is forgotten


def own(message_id: int, text: str = "it was said", peer_id: int = PERSON, **fields: Any) -> Written:
    return Written(peer_id, message_id, text, later(60), **fields)


async def test_what_was_answered_by_a_forgotten_run_is_closed_and_stands_in_the_history(
    store: Store, path: MessagePath
) -> None:
    intake = Intake(messages=(incoming(1), incoming(2), incoming(4)))
    settled = await path.settle(intake, own=[own(3)])
    assert settled.answered_before == 2
    assert [row.message_id for row in await path.pending(PERSON)] == [4]
    assert await texts(path) == [("user", "message 1"), ("user", "message 2"), ("assistant", "it was said")]
    before = await snapshot(store)
    assert (await path.settle(intake, own=[own(3)])).answered_before == 0
    assert await snapshot(store) == before


async def test_an_answer_that_the_store_accounts_for_closes_nothing(path: MessagePath) -> None:
    await taken_in(path, 1)
    await path.store_answer(PERSON, await path.pending(PERSON), [draft(10)], replies_are_final=True)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    # It was sent, and not recorded yet; what was asked meanwhile still waits.
    await path.mark_attempted(row)
    assert (await path.settle(Intake(messages=(incoming(2),)), own=[own(3, "answer 10")])).answered_before == 0
    await path.mark_sent(row, 3)
    assert (await path.settle(Intake(), own=[own(3, "answer 10")])).answered_before == 0
    assert [row.message_id for row in await path.pending(PERSON)] == [2]


async def test_in_a_group_only_who_was_answered_is_closed_and_only_in_that_topic(path: MessagePath) -> None:
    messages = (
        incoming(1, peer_id=SUPER, sender_id=PERSON),
        incoming(2, peer_id=SUPER, sender_id=OTHER),
        incoming(3, peer_id=SUPER, sender_id=PERSON, topic_id=9),
        incoming(4, peer_id=SUPER, sender_id=PERSON),
        incoming(6, peer_id=SUPER, sender_id=PERSON),
    )
    ours = [own(5, peer_id=SUPER, reply_to_message_id=4), own(7, peer_id=SUPER)]
    assert (await path.settle(Intake(messages=messages), own=ours)).answered_before == 2
    assert [row.message_id for row in await path.pending(SUPER)] == [2, 3, 6]


async def test_a_command_of_a_forgotten_run_waits_to_be_done_again(path: MessagePath) -> None:
    messages = (incoming(1), incoming(2, "/stop"), incoming(3))
    assert (await path.settle(Intake(messages=messages), own=[own(4)])).answered_before == 2
    assert [row.text for row in await path.pending(PERSON)] == ["/stop"]


async def test_what_the_account_wrote_to_others_closes_nothing_here(path: MessagePath) -> None:
    await path.settle(Intake(messages=(incoming(1),)), own=[own(3, peer_id=OTHER)])
    assert [row.message_id for row in await path.pending(PERSON)] == [1]


async def count(store: Store, table: sa.Table) -> int:
    assert table.name in {metadata.tables[name].name for name in metadata.tables}
    async with store.read() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())
