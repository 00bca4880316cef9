"""An account that another bot serves: what goes with it, and what does not. `admin`: the operator's store; `writer`: may write all."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from botfleet.store.account import AccountRepository
from botfleet.store.binding import BindingRepository, Bound
from botfleet.store.bots import Bot, BotRepository
from botfleet.store.engine import Store
from botfleet.store.lease import LeaseRepository
from botfleet.store.messages import MessagePath
from botfleet.store.moving import StillServedError, account_id_of
from botfleet.store.retention import RetentionRepository
from botfleet.store.rows import Intake, OwnMessage, PeerRow, UpdateState, Written
from botfleet.store.tables import inbox, outbox
from tests.contracts.store.operator_contract import LATER, NOW
from tests.contracts.store.retiring import retired
from tests.contracts.store.samples import (
    CHANNEL,
    GROUP,
    OTHER,
    PERSON,
    SENT_AT,
    answered,
    draft,
    incoming,
    later,
    taken_in,
    texts,
)

ID = 4_000_777
KEY = f"bot:{ID}"


@pytest.fixture
async def one(bots: BotRepository, namespace: str) -> Bot:
    return await bots.create(namespace, "one", "uid-1", "1nsta11d")


@pytest.fixture
async def two(bots: BotRepository, namespace: str) -> Bot:
    return await bots.create(namespace, "two", "uid-2", "1nsta11d")


@pytest.fixture
def bots(admin: Store) -> BotRepository:
    return BotRepository(admin)


@pytest.fixture
def bindings(admin: Store) -> BindingRepository:
    return BindingRepository(admin)


async def serving(writer: Store, bot: Bot, account_id: int = ID) -> MessagePath:
    """The bot's runner has its lease."""
    lease = await LeaseRepository(writer, bot.id).acquire("holder", 60)
    assert lease is not None
    return MessagePath(writer, lease, account_id)


async def released(path: MessagePath) -> None:
    await LeaseRepository(path.store, path.lease.bot_id).release(path.lease)


async def served(writer: Store, bindings: BindingRepository, bot: Bot) -> MessagePath:
    """A bot that has served the account for a while, with something of everything."""
    await bindings.bind(bot.id, KEY, "digest", NOW)
    await bindings.prove(KEY, bot.id)
    path = await serving(writer, bot)
    await path.take_in(Intake(states={0: UpdateState(70), 500: UpdateState(7)}, peers=(PeerRow(CHANNEL, 99),)))
    await taken_in(path, 1)
    await path.store_answer(PERSON, await path.pending(PERSON), [draft(10)], replies_are_final=True)
    row = await path.next_outgoing(PERSON)
    assert row is not None
    await path.mark_sent(row, 2)
    await path.opt_out(OTHER)
    await path.block(PERSON, 42)
    return path


async def gone(bots: BotRepository, path: MessagePath) -> None:
    """Its object is deleted, its runner has ended."""
    await released(path)
    await retired(bots, path.lease.bot_id)


async def test_state_and_opt_outs_follow_a_proved_account_and_what_was_said_stays(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    first = await served(writer, bindings, one)
    await gone(bots, first)
    bound = await bindings.bind(two.id, KEY, "another digest", LATER)
    assert isinstance(bound, Bound)
    assert bound.binding.moving
    second = await serving(writer, two)
    assert await second.states() == {}
    assert not (await second.silence(OTHER)).opted_out, "nothing follows a claim"
    assert await bindings.prove(KEY, two.id)
    assert [(one.proved, one.moving) for one in await bindings.of_bot(two.id)] == [(True, False)]
    assert await second.states() == {0: UpdateState(70), 500: UpdateState(7)}
    assert await second.channel_hashes() == [PeerRow(CHANNEL, 99)]
    assert (await second.silence(OTHER)).opted_out
    assert (await second.silence(PERSON)).blocked
    assert await texts(second) == []
    assert await texts(first) == [("user", "message 1"), ("assistant", "answer 10")]
    assert await first.states() == {}


async def test_an_account_that_nobody_served_brings_nothing_and_waits_for_nothing(
    bindings: BindingRepository, one: Bot
) -> None:
    bound = await bindings.bind(one.id, f"bot:{ID + 1}", "digest", NOW)
    assert isinstance(bound, Bound)
    assert not bound.binding.moving
    session = await bindings.bind(one.id, "session:abc", "digest", NOW)
    assert isinstance(session, Bound)
    assert not session.binding.moving
    assert (account_id_of("user:5"), account_id_of("session:5"), account_id_of("bot:x")) == (5, None, None)


async def test_what_is_under_way_goes_along_and_is_done_once(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    first = await served(writer, bindings, one)
    await first.take_in(Intake(messages=(incoming(3),)))
    (attempted,) = await answered(first, 30, 31)
    await first.mark_attempted(attempted)
    await first.take_in(Intake(messages=(incoming(4), incoming(5, peer_id=OTHER))))
    await gone(bots, first)
    await bindings.bind(two.id, KEY, "digest", LATER)
    await bindings.prove(KEY, two.id)
    second = await serving(writer, two)
    assert [row.text for row in await second.pending(PERSON)] == ["message 4"]
    assert await second.pending_chats() == [PERSON, OTHER]
    row = await second.next_outgoing(PERSON)
    assert row is not None
    assert (row.random_id, row.state, row.history_position) == (30, "attempted", None)
    await second.mark_sent(row, 6)
    assert (await second.next_outgoing(PERSON) or row).random_id == 31
    assert await first.pending_chats() == []
    assert await first.outgoing_chats() == []


async def said(path: MessagePath, random_id: int, message_id: int, peer_id: int = PERSON) -> None:
    """The bot speaks by itself, and Telegram has it under this id."""
    await path.store_answer(peer_id, [], [draft(random_id)], replies_are_final=True)
    row = await path.next_outgoing(peer_id)
    assert row is not None
    assert row.random_id == random_id
    await path.mark_attempted(row)
    await path.mark_sent(row, message_id)


async def moved(bots: BotRepository, bindings: BindingRepository, first: MessagePath, to: Bot, credential: str) -> None:
    """Its bot is deleted, and another one proves the account."""
    await gone(bots, first)
    await bindings.bind(to.id, KEY, credential, LATER)
    assert await bindings.prove(KEY, to.id)


@pytest.mark.parametrize("credential", ["digest", "another digest"])
@pytest.mark.parametrize("who", ["bot", "person"])
async def test_what_the_account_said_last_is_its_own_also_to_the_bot_that_serves_it_now(
    writer: Store,
    bots: BotRepository,
    bindings: BindingRepository,
    one: Bot,
    two: Bot,
    who: str,
    credential: str,
) -> None:
    """The first one's runner ended before it had stored how far its last send moved the state; somebody asks meanwhile."""
    first = await served(writer, bindings, one)
    await said(first, 30, 4)
    await said(first, 31, 12, GROUP)
    await moved(bots, bindings, first, two, credential)
    second = await serving(writer, two)
    asked = (incoming(3), incoming(11, peer_id=GROUP, sender_id=PERSON))
    if who == "bot":
        own = [Written(PERSON, 4, "answer 30", later(60)), Written(GROUP, 12, "answer 31", later(60), 11)]
        settled = await second.settle(Intake(messages=asked, states={0: UpdateState(74)}), own=own)
        assert settled.answered_before == 0
    else:
        typed = OwnMessage(PERSON, 4, "answer 30", later(60), LATER + timedelta(days=9000))
        await second.take_in(Intake(messages=asked, states={0: UpdateState(74)}, own=(typed,)))
        assert (await second.silence(PERSON)).taken_until is None
    assert [row.message_id for row in await second.pending(PERSON)] == [3]
    assert [row.message_id for row in await second.pending(GROUP)] == [11]
    assert await second.ours(GROUP, [11, 12]) == {12}


async def test_of_what_was_said_last_no_word_comes_along_and_nothing_that_is_older_than_a_day_before_it(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    first = await served(writer, bindings, one)
    await said(first, 30, 4)
    await said(first, 31, 6)
    # The bot has been gone for a month, and was quiet before its last day.
    for random_id, days in ((10, 33), (30, 32), (31, 31.5)):
        age = sa.update(outbox).where(outbox.c.bot_id == one.id, outbox.c.random_id == random_id)
        async with writer.begin() as connection:
            await connection.execute(age.values(closed_at=SENT_AT - timedelta(days=days)))
    await moved(bots, bindings, first, two, "digest")
    second = await serving(writer, two)
    assert await second.ours(PERSON, [2, 4, 6]) == {4, 6}
    assert await texts(second) == []
    kept = sa.select(outbox.c.text, outbox.c.cause, outbox.c.trace_id, outbox.c.entities, outbox.c.access_hash)
    async with writer.read() as connection:
        rows = (await connection.execute(kept.where(outbox.c.bot_id == two.id))).all()
    assert [tuple(row) for row in rows] == [("", "moved", "", None, None)] * 2
    assert await first.ours(PERSON, [2, 4, 6]) == {2, 4, 6}, "they are the first one's as they were"
    # What the second one says comes after them, and they go when it is their time.
    await said(second, 50, 8)
    finished = RetentionRepository(writer, second.lease)
    assert (await finished.remove_finished(SENT_AT - timedelta(days=30), SENT_AT)).outbox == 2
    assert await second.ours(PERSON, [4, 6, 8]) == {8}


async def test_what_was_said_last_comes_along_from_bot_to_bot_and_once(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    first = await served(writer, bindings, one)
    await moved(bots, bindings, first, two, "digest")
    second = await serving(writer, two)
    await said(second, 30, 4)
    three = await bots.create(one.namespace, "three", "uid-3", "1nsta11d")
    await moved(bots, bindings, second, three, "digest")
    third = await serving(writer, three)
    assert await third.ours(PERSON, [2, 4]) == {2, 4}
    assert await bots.adopt(one.id, "uid-9", was=one.uid)
    await moved(bots, bindings, third, one, "digest")
    assert await (await serving(writer, one)).ours(PERSON, [2, 4]) == {2, 4}
    assert await closed(writer, one) == [("inbox", "answered", None), *[("outbox", "sent", None)] * 2]


async def test_what_people_wrote_goes_to_nobody_who_has_not_the_accounts_credential(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    """That Telegram has accepted another one is the word of a runner, whose image its owner chooses."""
    first = await served(writer, bindings, one)
    await first.take_in(Intake(messages=(incoming(3),)))
    (attempted,) = await answered(first, 30, 31)
    await first.mark_attempted(attempted)
    await first.take_in(Intake(messages=(incoming(4),)))
    await gone(bots, first)
    await bindings.bind(two.id, KEY, "another digest", LATER)
    await bindings.prove(KEY, two.id)
    second = await serving(writer, two)
    assert (await second.states())[0] == UpdateState(70)
    assert (await second.silence(OTHER)).opted_out
    assert (await second.pending_chats(), await second.outgoing_chats()) == ([], [])
    assert sorted(await closed(writer, one)) == [
        ("inbox", "answered", None),
        ("inbox", "answered", None),
        ("inbox", "skipped", "AccountMoved"),
        ("outbox", "cancelled", "AccountMoved"),
        ("outbox", "failed", "AccountMoved"),
        ("outbox", "sent", None),
    ]


async def test_a_credential_is_known_also_when_the_bot_has_another_one_since(
    writer: Store, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    first = await served(writer, bindings, one)
    await AccountRepository(writer, first.lease, ID).save_session(b"sealed", "digest")
    await taken_in(first, 4)
    await bindings.bind(one.id, f"bot:{ID + 3}", "of another account", NOW)
    await bindings.prove(f"bot:{ID + 3}", one.id)
    await bindings.bind(two.id, KEY, "digest", LATER)
    await bindings.prove(KEY, two.id)
    assert await (await serving(writer, two)).pending_chats() == [PERSON]


async def test_the_way_back_brings_what_was_decided_meanwhile(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    first = await served(writer, bindings, one)
    await first.store_answer(PERSON, [], [draft(11)], replies_are_final=True)
    unsaid = await first.next_outgoing(PERSON)
    assert unsaid is not None
    await first.mark_failed(unsaid, "Blocked")
    await gone(bots, first)
    await bindings.bind(two.id, KEY, "digest", LATER)
    await bindings.prove(KEY, two.id)
    second = await serving(writer, two)
    await second.opt_in(OTHER)
    await second.opt_out(PERSON)
    await second.take_in(Intake(messages=(incoming(1), incoming(9)), states={0: UpdateState(90)}))
    await second.store_answer(PERSON, [], [draft(10), draft(11), draft(20)], replies_are_final=True)
    await gone(bots, second)
    assert await bots.adopt(one.id, "uid-9", was="uid-1")
    await bindings.bind(one.id, KEY, "digest", LATER)
    assert await bindings.prove(KEY, one.id)
    first = await serving(writer, one)
    assert (await first.states())[0] == UpdateState(90)
    assert (await first.silence(PERSON)).opted_out
    assert not (await first.silence(OTHER)).opted_out
    assert [row.message_id for row in await first.pending(PERSON)] == [9], "message 1 was answered here"
    row = await first.next_outgoing(PERSON)
    assert row is not None
    assert row.random_id == 20, "10 was sent, as the second bot knew, and 11 was not"
    left = await closed(writer, two)
    assert sorted(left) == [
        ("inbox", "skipped", "AccountMoved"),
        ("outbox", "cancelled", "AccountMoved"),
        ("outbox", "sent", None),
    ]


async def test_proved_again_it_moves_nothing(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    first = await served(writer, bindings, one)
    await gone(bots, first)
    await bindings.bind(two.id, KEY, "digest", LATER)
    await bindings.prove(KEY, two.id)
    second = await serving(writer, two)
    await second.take_in(Intake(states={0: UpdateState(71)}))
    assert await bindings.prove(KEY, two.id)
    assert (await second.states())[0] == UpdateState(71)


async def test_nothing_comes_along_while_the_first_bot_may_be_connected(
    writer: Store, bots: BotRepository, bindings: BindingRepository, one: Bot, two: Bot
) -> None:
    """It lost an unproved binding after a rotation; its runner still holds the lease."""
    first = await served(writer, bindings, one)
    await bindings.bind(one.id, KEY, "rotated, and not proved", NOW)
    await bindings.bind(two.id, KEY, "digest", NOW + timedelta(seconds=61))
    with pytest.raises(StillServedError):
        await bindings.prove(KEY, two.id)
    assert [(one.proved, one.moving) for one in await bindings.of_bot(two.id)] == [(False, True)]
    assert (await first.states())[0] == UpdateState(70)
    # Its runner serves another account since, as Telegram has confirmed.
    await bindings.bind(one.id, f"bot:{ID + 2}", "new", LATER)
    await bindings.prove(f"bot:{ID + 2}", one.id)
    assert await bindings.prove(KEY, two.id)
    assert await first.states() == {}


async def closed(writer: Store, bot: Bot) -> list[tuple[str, str, str | None]]:
    found: list[tuple[str, str, str | None]] = []
    async with writer.read() as connection:
        for table in (inbox, outbox):
            rows = sa.select(table.c.state, table.c.reason).where(table.c.bot_id == bot.id)
            found += [(table.name, *row) for row in (await connection.execute(rows)).all()]
    return found
