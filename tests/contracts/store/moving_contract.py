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
from botfleet.store.rows import Intake, PeerRow, UpdateState
from botfleet.store.tables import inbox, outbox
from tests.contracts.store.operator_contract import LATER, NOW
from tests.contracts.store.retiring import retired
from tests.contracts.store.samples import CHANNEL, OTHER, PERSON, answered, draft, incoming, taken_in, texts

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
    await gone(bots, first)
    await bindings.bind(two.id, KEY, "digest", LATER)
    await bindings.prove(KEY, two.id)
    second = await serving(writer, two)
    await second.opt_in(OTHER)
    await second.opt_out(PERSON)
    await second.take_in(Intake(messages=(incoming(1), incoming(9)), states={0: UpdateState(90)}))
    await second.store_answer(PERSON, [], [draft(10), draft(20)], replies_are_final=True)
    await gone(bots, second)
    await bots.adopt(one.id, "uid-9")
    await bindings.bind(one.id, KEY, "digest", LATER)
    assert await bindings.prove(KEY, one.id)
    first = await serving(writer, one)
    assert (await first.states())[0] == UpdateState(90)
    assert (await first.silence(PERSON)).opted_out
    assert not (await first.silence(OTHER)).opted_out
    assert [row.message_id for row in await first.pending(PERSON)] == [9], "message 1 was answered here"
    row = await first.next_outgoing(PERSON)
    assert row is not None
    assert row.random_id == 20, "and that answer was sent"
    left = await closed(writer, two)
    assert left == [("inbox", "skipped", "AccountMoved"), ("outbox", "cancelled", "AccountMoved")]


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
