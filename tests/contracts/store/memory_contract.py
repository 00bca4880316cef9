"""Promises of a chat's memory in the store."""

import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Deletion, Intake, Remembered
from botfleet.store.tables import facts
from tests.contracts.store.samples import OTHER, PERSON, answered, taken_in


async def talked(path: MessagePath, count: int, peer_id: int = PERSON) -> None:
    for number in range(1, count + 1):
        await taken_in(path, number, peer_id=peer_id)
        await answered(path, 100 * peer_id + number, peer_id=peer_id)


async def test_a_chat_without_messages_remembers_nothing(path: MessagePath) -> None:
    await talked(path, 1, OTHER)
    assert await path.remembered(PERSON, 10) == Remembered()
    assert await path.remembered(OTHER, 0) == Remembered()


async def test_the_last_messages_come_with_the_summary_of_what_was_before(path: MessagePath) -> None:
    await talked(path, 3)
    await talked(path, 1, OTHER)
    before = await path.remembered(PERSON, 4)
    assert ([row.position for row in before.messages], before.summary, before.summarized_to) == ([3, 4, 5, 6], None, 0)
    assert await path.save_summary(PERSON, "notes", 2)
    after = await path.remembered(PERSON, 4)
    assert (after.messages, after.summary, after.summarized_to) == (before.messages, "notes", 2)
    assert (await path.remembered(OTHER, 4)).summary is None


async def test_what_is_to_be_summed_up_is_read_from_its_beginning(path: MessagePath) -> None:
    await talked(path, 3)
    assert [row.position for row in await path.history_between(PERSON, 1, 6, 3)] == [2, 3, 4]
    assert [row.position for row in await path.history_between(PERSON, 4, 6, 3)] == [5]
    assert await path.history_between(PERSON, 6, 7, 3) == []


async def test_a_summary_is_replaced_by_a_later_one_and_never_by_an_earlier(path: MessagePath) -> None:
    await talked(path, 3)
    assert await path.save_summary(PERSON, "two", 2)
    assert await path.save_summary(PERSON, "four\x00", 4)
    assert not await path.save_summary(PERSON, "three", 3)
    remembered = await path.remembered(PERSON, 1)
    assert (remembered.summary, remembered.summarized_to) == ("four", 4)


async def test_no_summary_is_kept_of_what_was_erased_while_it_was_written(path: MessagePath) -> None:
    await talked(path, 2)
    await path.take_in(Intake(deletions=(Deletion(message_id=1),)))  # position 1, the question
    assert not await path.save_summary(PERSON, "what it was about", 1)
    assert (await path.remembered(PERSON, 10)).summary is None


async def test_facts_are_kept_as_a_history_and_the_last_is_valid(store: Store, path: MessagePath) -> None:
    await talked(path, 3)
    assert await path.save_summary(PERSON, "notes", 1, {"likes": "tea", "city": "Osh"})
    assert await path.save_summary(PERSON, "notes", 2, {"likes": "tea"})  # nothing new
    assert await path.save_summary(PERSON, "notes", 3, {"likes": "coffee\x00"})
    assert await path.facts(PERSON) == {"city": "Osh", "likes": "coffee"}
    assert await path.facts(OTHER) == {}
    assert await versions(store) == [
        ("city", 1, "Osh", False),
        ("likes", 1, "tea", True),
        ("likes", 2, "coffee", False),
    ]


async def test_an_erased_fact_leaves_its_name_and_none_of_its_values(store: Store, path: MessagePath) -> None:
    await talked(path, 3)
    assert await path.save_summary(PERSON, "notes", 1, {"likes": "tea"})
    assert await path.save_summary(PERSON, "notes", 2, {"likes": "coffee"})
    assert await path.save_summary(PERSON, "notes", 3, {"likes": None, "never_known": None})
    assert await path.facts(PERSON) == {}
    assert await versions(store) == [("likes", 1, None, True), ("likes", 2, None, True)]
    assert await path.save_summary(PERSON, "notes", 4, {"likes": "water"})  # said again, it is known again
    assert await path.facts(PERSON) == {"likes": "water"}


async def test_facts_of_a_summary_that_is_not_kept_are_not_kept_either(path: MessagePath) -> None:
    await talked(path, 2)
    assert await path.save_summary(PERSON, "two", 2)
    assert not await path.save_summary(PERSON, "one", 1, {"likes": "tea"})
    assert await path.facts(PERSON) == {}


async def versions(store: Store) -> list[tuple[str, int, str | None, bool]]:
    """Every row: name, version, value, whether it has ended."""
    columns = (facts.c.name, facts.c.version, facts.c.value, facts.c.ended_at.is_not(None))
    async with store.read() as connection:
        return [
            tuple(row) for row in await connection.execute(sa.select(*columns).order_by(facts.c.name, facts.c.version))
        ]
