"""Promises of topics in the store: what is said in one is remembered there and nowhere else."""

import sqlalchemy as sa

from botfleet.store.engine import Store
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Intake
from botfleet.store.tables import Sender, summaries
from tests.contracts.store.samples import CHANNEL, draft, incoming


async def talked(path: MessagePath, message_id: int, topic_id: int | None, *, said: str | None = None) -> None:
    await path.take_in(Intake(messages=(incoming(message_id, f"asked {message_id}", CHANNEL, topic_id=topic_id),)))
    rows = await path.pending(CHANNEL)
    answer = draft(1000 + message_id, said or f"answered {message_id}", topic_id=topic_id)
    await path.store_answer(CHANNEL, rows, [answer], replies_are_final=True)


async def remembered(path: MessagePath, topic_id: int | None, limit: int = 10) -> list[str]:
    return [row.text for row in (await path.remembered(CHANNEL, limit, topic_id)).messages]


async def test_each_topic_remembers_what_was_said_in_it_and_so_does_what_is_outside_of_all(path: MessagePath) -> None:
    for message_id, topic_id in ((11, 3), (12, 4), (13, None), (14, 3)):
        await talked(path, message_id, topic_id)
    assert await remembered(path, 3) == ["asked 11", "answered 11", "asked 14", "answered 14"]
    assert await remembered(path, 3, limit=1) == ["answered 14"]
    assert await remembered(path, 4) == ["asked 12", "answered 12"]
    assert await remembered(path, None) == ["asked 13", "answered 13"]
    assert await remembered(path, 5) == []


async def test_topics_have_no_summary_and_are_in_none(store: Store, path: MessagePath) -> None:
    for message_id, topic_id in ((11, None), (12, 4), (13, None)):
        await talked(path, message_id, topic_id)
    assert await path.save_summary(CHANNEL, "notes", 2)
    in_topic, outside = await path.remembered(CHANNEL, 1, 4), await path.remembered(CHANNEL, 1)
    assert (in_topic.summary, outside.summary) == (None, "notes")
    assert in_topic.summarized_to >= in_topic.messages[-1].position, "nothing of it is to be summed up"
    between = await path.history_between(CHANNEL, 0, 100, 10)
    assert [row.text for row in between] == ["asked 11", "answered 11", "asked 13", "answered 13"]
    async with store.read() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(summaries))).scalar_one() == 1


async def test_a_comment_stands_under_its_post_also_when_the_post_was_never_seen(path: MessagePath) -> None:
    post = incoming(20, "news", CHANNEL, sender_id=None, sender_kind=Sender.CHANNEL)
    await path.take_in(Intake(messages=(post, incoming(21, "first!", CHANNEL, thread_id=20))))
    await path.take_in(
        Intake(messages=(incoming(22, "second", CHANNEL, thread_id=20), incoming(23, "x", CHANNEL, thread_id=7)))
    )
    assert {row.message_id: row.topic_id for row in await path.pending(CHANNEL)} == {20: None, 21: 20, 22: 20, 23: 7}


async def test_a_thread_that_a_person_or_the_bot_has_begun_is_the_groups_conversation(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(31, "hello", CHANNEL), incoming(32, "hi", CHANNEL, thread_id=31))))
    rows = await path.pending(CHANNEL)
    await path.store_answer(CHANNEL, rows, [draft(50)], replies_are_final=True)
    sent = await path.next_outgoing(CHANNEL)
    assert sent is not None
    await path.mark_attempted(sent)
    await path.mark_sent(sent, 33)
    again = (incoming(34, "a", CHANNEL, thread_id=31), incoming(35, "b", CHANNEL, thread_id=33))
    await path.take_in(Intake(messages=again))
    assert {row.topic_id for row in (*rows, *await path.pending(CHANNEL))} == {None}


async def test_what_a_person_takes_over_in_a_topic_is_remembered_there(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(41, "help", CHANNEL, topic_id=3), incoming(42, "hm", CHANNEL))))
    await path.hand_over(CHANNEL, [41, 42])
    assert (await remembered(path, 3), await remembered(path, None)) == (["help"], ["hm"])


async def test_who_is_forgotten_is_forgotten_in_topics_too(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(51, "mine", CHANNEL, sender_id=8, topic_id=3),)))
    rows = await path.pending(CHANNEL)
    await path.store_answer(CHANNEL, rows, [draft(60, topic_id=3)], replies_are_final=True)
    assert "mine" in await remembered(path, 3)
    await path.forget(8, 1)
    assert "mine" not in await remembered(path, 3)
