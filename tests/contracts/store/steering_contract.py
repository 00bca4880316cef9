"""Steering: a takeover ends what the bot had begun, what is forgotten is gone, a pause and a block stay."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Deletion, InboxRow, Intake, OwnMessage, Silence, Stored
from botfleet.store.tables import inbox, outbox, takeovers
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
    snapshot,
    taken_in,
    texts,
)

ADMIN = 42
HOUR = timedelta(hours=1)


def soon() -> datetime:
    return datetime.now(UTC) + HOUR


def own(message_id: int, text: str = "I am here", until: datetime | None = None, **fields: Any) -> OwnMessage:
    given: dict[str, Any] = {"peer_id": PERSON, "date": datetime.now(UTC).replace(microsecond=0)} | fields
    return OwnMessage(message_id=message_id, text=text, until=until, **given)


async def types_own(path: MessagePath, *messages: OwnMessage, **more: Any) -> None:
    await path.take_in(Intake(own=messages, **more))


async def rows(store: Store, *columns: sa.Column[Any]) -> Sequence[tuple[Any, ...]]:
    async with store.read() as connection:
        keys = list(columns[0].table.primary_key)
        return [tuple(row) for row in (await connection.execute(sa.select(*columns).order_by(*keys))).all()]


async def states(store: Store, table: sa.Table) -> list[tuple[str, str | None]]:
    return [(state, reason) for state, reason in await rows(store, table.c.state, table.c.reason)]


async def in_hands(path: MessagePath) -> int:
    return (await path.counts()).takeovers


async def test_a_takeover_closes_what_waits_and_cancels_what_was_never_attempted_at_once(
    store: Store, path: MessagePath
) -> None:
    counted: list[int] = []
    path.on_handed_over = counted.append
    await taken_in(path, 1)
    await answered(path, 10)
    await taken_in(path, 2, 3)
    until = soon()
    await path.begin_takeover(PERSON, until, ADMIN)
    assert await path.silence(PERSON) == Silence(taken_until=until)
    assert await states(store, inbox) == [("answered", None), ("skipped", "TakenOver"), ("skipped", "TakenOver")]
    assert await states(store, outbox) == [("cancelled", "TakenOver")]
    assert await texts(path) == [("user", "message 1"), ("user", "message 2"), ("user", "message 3")]
    assert counted == [2]
    assert await in_hands(path) == 1


async def test_a_reply_in_flight_when_a_takeover_begins_is_not_stored(store: Store, path: MessagePath) -> None:
    turn: list[InboxRow] = await taken_in(path, 1)
    await path.begin_takeover(PERSON, soon(), ADMIN)
    assert await path.store_answer(PERSON, turn, [draft(10)], replies_are_final=True) == Stored(0, 0)
    assert await rows(store, outbox.c.position) == []


async def test_a_takeover_touches_its_own_chat_only(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1, peer_id=OTHER)
    await answered(path, 10, peer_id=OTHER)
    await taken_in(path, 2, peer_id=OTHER)
    await path.begin_takeover(PERSON, soon(), ADMIN)
    assert [row.message_id for row in await path.pending(OTHER)] == [2]
    assert await states(store, outbox) == [("pending", None)]
    assert await path.silence(OTHER) == Silence()


async def test_commands_are_left_for_the_bot_to_obey_when_a_chat_is_taken_over(store: Store, path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "/stop"),)))
    rows = await path.pending(PERSON)
    confirmation = draft(10, in_history=False)
    await path.store_answer(
        PERSON, rows, [type(confirmation)("command:1", 10, "ok", "t", in_history=False)], replies_are_final=True
    )
    await path.take_in(Intake(messages=(incoming(2, " /forget"), incoming(3, "a question"))))
    await path.begin_takeover(PERSON, soon(), ADMIN)
    assert [row.message_id for row in await path.pending(PERSON)] == [2]
    assert await states(store, outbox) == [("pending", None)]


async def test_a_disclosure_that_a_takeover_cancels_does_not_count(path: MessagePath) -> None:
    await path.store_answer(PERSON, await taken_in(path, 1), [draft(10, discloses=True)], replies_are_final=False)
    await path.begin_takeover(PERSON, soon(), ADMIN)
    assert (await path.chat(PERSON)).disclosed_at is None


async def test_a_takeover_is_prolonged_and_never_shortened_and_told_once(store: Store, path: MessagePath) -> None:
    first, later = soon(), soon() + HOUR
    for until in (first, later, first):
        await path.begin_takeover(PERSON, until, ADMIN)
    assert (await path.silence(PERSON)).taken_until == later
    assert await event_types(store) == [("takeover.started", None)]


async def test_a_released_chat_is_the_bots_again(store: Store, path: MessagePath) -> None:
    assert not await path.end_takeover(PERSON)
    await path.begin_takeover(PERSON, soon(), ADMIN)
    assert await path.end_takeover(PERSON)
    assert not await path.end_takeover(PERSON)
    until = (await path.silence(PERSON)).taken_until
    assert until is not None
    assert until <= datetime.now(UTC)
    assert await in_hands(path) == 0
    await path.begin_takeover(PERSON, soon(), ADMIN)
    assert await in_hands(path) == 1
    kinds = [kind for kind, _ in await event_types(store)]
    assert kinds == ["takeover.started", "takeover.ended", "takeover.started"]


async def test_the_end_of_a_takeover_by_time_is_told_once(store: Store, path: MessagePath) -> None:
    await path.begin_takeover(PERSON, datetime.now(UTC) - HOUR, ADMIN)
    await path.begin_takeover(OTHER, soon(), ADMIN)
    before = (await path.silence(PERSON)).taken_until
    await path.end_expired_takeovers()
    await path.end_expired_takeovers()
    kinds = [kind for kind, _ in await event_types(store)]
    assert kinds == ["takeover.started", "takeover.started", "takeover.ended"]
    assert (await path.silence(PERSON)).taken_until == before, "what was written before that stays the person's"


async def test_what_is_handed_over_stays_in_the_conversation(store: Store, path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "one"), incoming(2, "two"), incoming(3, "three"))))
    await path.hand_over(PERSON, [1, 2])
    await path.hand_over(PERSON, [1, 2])
    assert await texts(path) == [("user", "one"), ("user", "two")]
    assert [row.message_id for row in await path.pending(PERSON)] == [3]


async def test_the_owner_typing_takes_the_chat_over_and_is_heard_as_the_bots_side(
    store: Store, path: MessagePath
) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    await taken_in(path, 2)
    until = soon()
    await types_own(path, own(3, until=until))
    assert await texts(path) == [("user", "message 1"), ("user", "message 2"), ("assistant", "I am here")]
    assert await states(store, outbox) == [("cancelled", "TakenOver")]
    assert await path.pending(PERSON) == []
    assert (await path.silence(PERSON)).taken_until == until
    assert await rows(store, takeovers.c.by) == [(ACCOUNT,)]


async def test_what_the_owner_typed_counts_once_and_its_repetition_changes_nothing(
    store: Store, path: MessagePath
) -> None:
    typed = own(3, until=soon())
    await types_own(path, typed)
    before = await snapshot(store)
    await types_own(path, typed, messages=())
    assert await snapshot(store) == before


async def test_what_the_owner_typed_long_ago_answers_what_came_before_it_and_silences_nothing_now(
    store: Store, path: MessagePath
) -> None:
    long_ago = datetime.now(UTC).replace(microsecond=0) - 5 * HOUR
    await path.take_in(
        Intake(
            messages=(incoming(1, date=long_ago), incoming(3, date=long_ago + HOUR / 2), incoming(4, date=soon())),
            own=(own(2, date=long_ago, until=long_ago + HOUR),),
        )
    )
    assert [row.message_id for row in await path.pending(PERSON)] == [4]
    assert await in_hands(path) == 0


async def test_the_owner_gives_a_chat_back_by_a_word_that_is_no_part_of_the_conversation(
    store: Store, path: MessagePath
) -> None:
    await types_own(path, own(3, until=soon()))
    given_back = own(4, "/release")
    await types_own(path, given_back)
    assert (await path.silence(PERSON)).taken_until == given_back.date
    assert await texts(path) == [("assistant", "I am here")]
    assert [kind for kind, _ in await event_types(store)] == ["takeover.started", "takeover.ended"]


async def test_a_repeated_release_does_not_end_a_later_takeover(path: MessagePath) -> None:
    await path.begin_takeover(PERSON, soon(), ADMIN)
    await types_own(path, own(4, "/release", date=datetime.now(UTC) - HOUR))
    assert await in_hands(path) == 1


async def test_a_takeover_is_ended_by_a_release_in_the_second_in_which_it_began(
    store: Store, path: MessagePath
) -> None:
    await path.begin_takeover(PERSON, soon(), ADMIN)
    ((since,),) = await rows(store, takeovers.c.since)
    await types_own(path, own(4, "/release", date=since.replace(microsecond=0)))
    assert await in_hands(path) == 0


async def test_a_message_that_the_runner_sent_is_known_by_its_id(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    await path.mark_attempted(row)
    await path.mark_sent(row, 900)
    before = await snapshot(store)
    await types_own(path, own(900, "whatever it says", until=soon()))
    assert await snapshot(store) == before


async def test_a_message_that_was_sent_and_not_marked_is_proved_by_its_return(store: Store, path: MessagePath) -> None:
    """Killed between send and mark: the own message comes back with an id that nothing knows yet."""
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    await path.mark_attempted(row)
    await types_own(path, own(900, " answer 10 ", until=soon()))
    assert await states(store, outbox) == [("sent", None)]
    assert await rows(store, outbox.c.sent_message_id) == [(900,)]
    assert await event_types(store) == [("message.received", 1), ("reply.sent", 900)]
    assert await rows(store, takeovers.c.peer_id) == []


async def test_a_message_whose_proof_comes_with_it_is_the_runners(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    await types_own(path, own(900, "as Telegram changed it", until=soon()), sent=((10, 900),))
    assert await rows(store, takeovers.c.peer_id) == []


@pytest.mark.parametrize("how", ["sent", "failed"])
async def test_a_message_of_a_row_that_was_closed_without_an_id_is_the_runners(
    store: Store, path: MessagePath, how: str
) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    await path.mark_attempted(row)
    await (path.mark_sent(row, None) if how == "sent" else path.mark_failed(row, "Refused"))
    await types_own(path, own(900, "answer 10", until=soon()))
    await types_own(path, own(900, "answer 10", until=soon()))
    assert await rows(store, takeovers.c.peer_id) == []
    assert await rows(store, outbox.c.sent_message_id) == [(900,)]


async def test_another_text_than_the_one_that_was_attempted_is_the_owners(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    await path.mark_attempted(row)
    await types_own(path, own(900, "my own words", until=soon()))
    assert await in_hands(path) == 1
    assert await states(store, outbox) == [("attempted", None)], "it may have arrived: it is resolved, not cancelled"


async def test_a_row_that_was_never_attempted_proves_nothing(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    await types_own(path, own(900, "answer 10", until=soon()))
    assert await in_hands(path) == 1


async def test_forgetting_erases_every_text_of_the_chat_and_keeps_what_prevents_repetitions(
    store: Store, path: MessagePath
) -> None:
    await path.take_in(Intake(messages=(incoming(1, "planted question", sender_name="planted name"),)))
    (row,) = await answered(path, 10)
    await path.mark_attempted(row)
    await path.mark_sent(row, 900)
    assert await path.save_summary(PERSON, "a planted summary", 2, {"planted name": "planted value"})
    await path.opt_out(PERSON)
    await path.block(PERSON, ADMIN)
    await path.take_in(Intake(messages=(incoming(2, "/forget my planted name", sender_name="planted name"),)))
    (command,) = await path.pending(PERSON)
    await path.forget(PERSON, 2)
    after = await snapshot(store)
    assert "planted" not in repr(after)
    assert "answer 10" not in repr(after)
    assert await texts(path) == []
    assert [row.text for row in await path.pending(PERSON)] == ["/forget"]
    assert await path.silence(PERSON) == Silence(opted_out=True, blocked=True)
    await path.forget(PERSON, 2)
    assert await snapshot(store) == after, "killed in between, it is done again"
    await path.store_answer(PERSON, [command], [draft(11, in_history=False)], replies_are_final=True)
    assert await path.take_in(Intake(messages=(incoming(1, "planted question"),))) == set(), "still known"
    assert "planted" not in repr(await snapshot(store))


async def test_a_summary_of_what_was_forgotten_meanwhile_is_not_saved(store: Store, path: MessagePath) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    await path.forget(PERSON, 0)
    assert not await path.save_summary(PERSON, "a planted summary", 2, {"planted name": "planted value"})
    assert "planted" not in repr(await snapshot(store))


@pytest.mark.parametrize("up_to", [1, 2])
async def test_a_summary_of_what_was_forgotten_is_not_saved_though_as_much_was_said_since(
    store: Store, path: MessagePath, up_to: int
) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    read = await path.history_between(PERSON, 0, up_to + 1, 10)
    await path.forget(PERSON, 0)
    await taken_in(path, 2)  # of the same second
    await answered(path, 11)
    learned = {"likes": "planted tea"}
    assert not await path.save_summary(PERSON, "a planted summary", up_to, learned, after=0, read=read)
    assert "planted" not in repr(await snapshot(store))
    again = await path.history_between(PERSON, 0, up_to + 1, 10)
    assert await path.save_summary(PERSON, "notes", up_to, {"likes": "water"}, after=0, read=again)


async def test_a_summary_is_saved_though_what_it_was_written_from_is_sent_or_edited_meanwhile(
    path: MessagePath,
) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    read = await path.history_between(PERSON, 0, 3, 10)
    await path.mark_attempted(row)
    await path.mark_sent(row, 900)
    await path.take_in(Intake(edits=(edit(1, "edited"),)))
    assert await path.save_summary(PERSON, "notes", 2, after=0, read=read)


async def group_says(path: MessagePath, message_id: int, text: str, sender_id: int, name: str) -> None:
    said = incoming(message_id, text, CHANNEL, sender_id=sender_id, sender_name=name)
    await path.take_in(Intake(messages=(said,)))


async def test_forgetting_erases_what_the_person_wrote_in_groups_and_nobody_elses(
    store: Store, path: MessagePath
) -> None:
    await group_says(path, 1, "planted", PERSON, "planted name")
    await group_says(path, 2, "from another", OTHER, "Bob")
    await answered(path, 10, peer_id=CHANNEL)
    await path.save_summary(CHANNEL, "planted notes", 1)
    await taken_in(path, 1, peer_id=OTHER)
    await answered(path, 11, peer_id=OTHER)
    await path.save_summary(OTHER, "notes of another", 1)
    await group_says(path, 3, "planted and overheard", PERSON, "planted name")
    await path.close_inbox(CHANNEL, [3], "skipped", "NotMentioned")
    await group_says(path, 4, "planted and waiting", PERSON, "planted name")
    await group_says(path, 5, "waiting", OTHER, "Bob")
    await path.forget(PERSON, 0)
    assert "planted" not in repr(await snapshot(store))
    assert await texts(path, CHANNEL) == [("user", "from another"), ("assistant", "answer 10")]
    assert [row.sender_name for row in await path.history(CHANNEL, 10)] == ["Bob", None]
    assert [row.message_id for row in await path.pending(CHANNEL)] == [5]
    assert ("skipped", "Forgotten") in await states(store, inbox)
    assert (await path.remembered(OTHER, 1)).summary == "notes of another"
    after = await snapshot(store)
    await path.forget(PERSON, 0)
    assert await snapshot(store) == after


async def test_a_summary_of_what_was_forgotten_in_a_group_meanwhile_is_not_saved(path: MessagePath) -> None:
    await group_says(path, 1, "planted", PERSON, "Alice")
    await group_says(path, 2, "from another", OTHER, "Bob")
    await answered(path, 10, peer_id=CHANNEL)
    asked, other, reply = await path.history_between(CHANNEL, 0, 4, 10)
    assert await path.save_summary(CHANNEL, "notes", 2, after=0, read=[asked, other])
    await path.forget(PERSON, 0)
    assert not await path.save_summary(CHANNEL, "planted", 3, after=0, read=[asked, other, reply])
    assert not await path.save_summary(CHANNEL, "planted", 3, after=2, read=[reply])
    assert await path.save_summary(CHANNEL, "notes", 3, after=0, read=[other, reply])
    assert (await path.remembered(CHANNEL, 1)).summary == "notes"


async def test_a_groups_summary_goes_though_the_person_has_deleted_there_what_they_wrote(
    store: Store, path: MessagePath
) -> None:
    await group_says(path, 1, "planted", PERSON, "planted name")
    await answered(path, 10, peer_id=CHANNEL)
    (asked,) = await path.history_between(CHANNEL, 0, 2, 10)
    assert await path.save_summary(CHANNEL, "planted notes", 1, after=0, read=[asked])
    await path.take_in(Intake(deletions=(Deletion(1, CHANNEL),)))
    assert await path.save_summary(CHANNEL, "planted notes, gone on with", 2)
    await path.forget(PERSON, 0)
    assert (await path.remembered(CHANNEL, 5)).summary is None
    assert "planted" not in repr(await snapshot(store))


async def test_the_summary_of_a_group_where_the_person_said_nothing_stays(path: MessagePath) -> None:
    await group_says(path, 1, "from another", OTHER, "Bob")
    await answered(path, 10, peer_id=CHANNEL)
    assert await path.save_summary(CHANNEL, "notes", 1)
    await path.take_in(Intake(messages=(incoming(1, "elsewhere", GROUP, sender_id=PERSON),)))
    await path.forget(PERSON, 0)
    assert (await path.remembered(CHANNEL, 5)).summary == "notes"


async def test_forgetting_touches_one_chat_only(store: Store, path: MessagePath) -> None:
    for peer_id in (PERSON, OTHER):
        await taken_in(path, peer_id, peer_id=peer_id)
        await answered(path, peer_id * 10, peer_id=peer_id)
    await path.forget(PERSON, 0)
    assert await texts(path, OTHER) == [("user", "message 6"), ("assistant", "answer 60")]
    assert await states(store, outbox) == [("cancelled", "Forgotten"), ("pending", None)]
    assert [text for (text,) in await rows(store, outbox.c.text)] == ["", "answer 60"]


@pytest.mark.parametrize("how", ["sent", "proved", "failed", "never reached"])
async def test_what_may_have_to_be_sent_again_is_forgotten_once_it_is_closed(
    store: Store, path: MessagePath, how: str
) -> None:
    await taken_in(path, 1)
    await path.store_answer(
        PERSON, await path.pending(PERSON), [draft(10, entities=[{"type": "bold"}])], replies_are_final=True
    )
    row = await path.next_outgoing(PERSON)
    assert row is not None
    await path.mark_attempted(row)
    await path.forget(PERSON, 0)
    again = await path.next_outgoing(PERSON)
    assert again is not None
    assert (again.text, again.history_position) == ("answer 10", None)
    if how == "sent":
        await path.mark_sent(again, 900)
    elif how == "proved":
        await path.take_in(Intake(sent=((10, 900),)))
    elif how == "failed":
        await path.mark_failed(again, "Blocked")
    else:
        await path.defer(again, soon(), never_reached=True)
    assert await path.next_outgoing(PERSON) is None
    assert await rows(store, outbox.c.text, outbox.c.entities) == [("", None)]


async def test_after_forgetting_a_late_proof_changes_no_message_of_the_new_conversation(path: MessagePath) -> None:
    await taken_in(path, 1)
    (row,) = await answered(path, 10)
    await path.mark_attempted(row)
    await path.forget(PERSON, 0)
    await taken_in(path, 2)
    await path.store_answer(PERSON, await path.pending(PERSON), [draft(11)], replies_are_final=True)
    await path.mark_sent(row, 2)  # with a role of its own the id would be taken
    assert await texts(path) == [("user", "message 2"), ("assistant", "answer 11")]


async def test_a_pause_is_kept_from_its_first_moment(path: MessagePath) -> None:
    assert await path.paused_at() is None
    await path.pause(ADMIN)
    first = await path.paused_at()
    assert first is not None
    await path.set_commands_digest("d")
    await path.pause(ADMIN + 1)
    assert await path.paused_at() == first
    await path.resume()
    assert await path.paused_at() is None
    assert await path.commands_digest() == "d"


async def test_a_person_who_is_blocked_stays_so_until_unblocked(path: MessagePath) -> None:
    await path.block(PERSON, ADMIN)
    await path.block(PERSON, ADMIN)
    assert await path.silence(PERSON) == Silence(blocked=True)
    assert await path.silence(OTHER) == Silence()
    await path.unblock(PERSON)
    assert await path.silence(PERSON) == Silence()


async def test_a_block_of_who_is_answered_and_a_takeover_stop_what_was_never_attempted(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "hi", CHANNEL, sender_id=8),)))
    (row,) = await answered(path, 10, peer_id=CHANNEL)
    await path.block(8, ADMIN)
    assert not await path.mark_attempted(row, always=False, asker_id=8)
    assert await path.silence(CHANNEL, 8) == Silence(blocked=True)
    assert await path.silence(CHANNEL, 9) == Silence()
    await path.opt_out(CHANNEL)
    assert (await path.silence(CHANNEL, 9)).opted_out, "an anonymous admin's word is the group's"
    await path.opt_in(CHANNEL)
    await path.begin_takeover(CHANNEL, soon(), ADMIN)
    (other,) = await answered(path, 11, peer_id=CHANNEL)
    assert not await path.mark_attempted(other, always=False, asker_id=9)


async def test_who_wrote_is_known_of_what_a_person_answers(path: MessagePath) -> None:
    for message_id in (1, 2):
        await path.take_in(Intake(messages=(incoming(message_id, "hi", CHANNEL, sender_id=8, sender_name="Alice"),)))
    await path.hand_over(CHANNEL, [1])
    await path.begin_takeover(CHANNEL, soon(), ADMIN)
    assert [row.sender_name for row in await path.history(CHANNEL, 10)] == ["Alice", "Alice"]


async def test_an_admins_word_corrects_and_erases_facts_and_leaves_no_value_in_the_admins_chat(
    store: Store, path: MessagePath
) -> None:
    await taken_in(path, 1)
    await answered(path, 10)
    await path.save_summary(PERSON, "notes", 1, {"likes": "planted tea", "place": "Osh"})
    await path.take_in(Intake(messages=(incoming(5, "/facts 5 forget likes planted", OTHER),)))
    (command,) = await path.pending(OTHER)
    for _ in range(2):
        await path.correct_facts(PERSON, {"likes": None, "place": "Naryn"}, command, left="/facts 5")
    assert await path.facts(PERSON) == {"place": "Naryn"}
    assert [row.text for row in await path.pending(OTHER)] == ["/facts 5"]
    assert "planted" not in repr(await snapshot(store))


@pytest.mark.parametrize("how", ["sent", "proved", "failed", "cancelled"])
async def test_what_tells_an_admin_of_a_person_is_gone_once_it_is_closed(
    store: Store, path: MessagePath, how: str
) -> None:
    said = draft(10, "planted", kept=False, in_history=False)
    await path.store_answer(OTHER, await taken_in(path, 1, peer_id=OTHER), [said], replies_are_final=True)
    row = await path.next_outgoing(OTHER)
    assert row is not None
    assert await path.mark_attempted(row)
    await path.defer(row, datetime.now(UTC), never_reached=True)
    assert (await path.next_outgoing(OTHER) or row).state == "pending", "a flood wait costs no answer"
    assert (await path.next_outgoing(OTHER) or row).text == "planted"
    if how == "cancelled":
        await path.cancel(row, "Blocked")
    elif how == "sent":
        await path.mark_sent(row, 900)
    elif how == "proved":
        await path.take_in(Intake(sent=((10, 900),)))
    else:
        await path.mark_failed(row, "Blocked")
    assert await rows(store, outbox.c.text) == [("",)]
