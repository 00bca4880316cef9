"""Promises of the outbox: in order within a chat, once, never before its time, and never to who said /stop."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from botfleet.conditions import Reason
from botfleet.store.rows import Draft
from botfleet.store.tables import chats
from botrunner.conversation.outgoing import ACCOUNT
from botrunner.telegram.sender import AccountLost, Refused, Unknown, Wait
from tests.integration.botrunner.conversation.conftest import Bot, World, spec_of
from tests.waiting import DEADLINE, until, until_async


async def queued(world: World, *texts: str, peer_id: int = 5, cause: str = "reply:1", start: int = 1) -> None:
    drafts = [
        Draft(cause=cause, random_id=peer_id * 1000 + number, text=text, trace_id="t", part=number)
        for number, text in enumerate(texts, start)
    ]
    await world.path.store_answer(peer_id, [], drafts, replies_are_final=True)


async def closed(world: World, peer_id: int = 5) -> None:
    """Nothing is to be sent any more."""

    async def nothing_is_open() -> bool:
        return await world.path.next_outgoing(peer_id) is None

    await until_async(nothing_is_open)


async def test_the_parts_of_a_long_answer_are_sent_in_order_and_before_the_next_answer(world: World) -> None:
    world.model.says = lambda turn: f"{turn[0]} " * 3000
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        await world.says(bot, "two", first=2)
        parts = await world.wait_delivered(5, 6)
    assert [set(part.split()) for part in parts] == [{"one"}] * 3 + [{"two"}] * 3
    assert all(len(part) <= 4096 for part in parts)


async def test_a_send_of_which_nothing_is_known_is_repeated_as_the_same_message(world: World) -> None:
    await queued(world, "one")
    world.telegram.outcomes[5] = [Unknown(), Unknown()]
    bot = world.bot()
    async with bot.live():
        assert await world.wait_delivered(5, 1) == ["one"]
        await bot.outgoing.idle()
    assert world.telegram.sends == [(5, 5001)] * 3
    assert await world.outbox() == [("sent", None)]


async def test_a_flood_wait_of_the_account_holds_every_chat(world: World) -> None:
    await queued(world, "one", peer_id=5)
    bot = world.bot()
    world.telegram.outcomes[5] = [Wait(0.3, whole_account=True)]
    loop = asyncio.get_running_loop()
    async with bot.live():
        before = loop.time()
        await world.telegram.wait(lambda: not world.telegram.outcomes[5])
        await queued(world, "two", peer_id=6)
        bot.outgoing.poke(6)
        await world.wait_delivered(6, 1)
        assert loop.time() - before >= 0.29
        await world.wait_delivered(5, 1)
    told = max(bot.waits)
    assert told > datetime.now(UTC) - timedelta(days=1), "what Telegram said, and not only what the store knew"
    assert bot.metrics.registry.get_sample_value("botfleet_runner_flood_waits_total", {"scope": "account"}) == 1
    again = world.bot()
    await queued(world, "three", peer_id=7)
    async with again.live():
        await world.wait_delivered(7, 1)
    assert set(again.waits) == {told}, "a restart knows of it"


async def test_a_flood_wait_of_the_account_holds_after_a_restart_too(world: World) -> None:
    await queued(world, "one", peer_id=5)
    world.telegram.outcomes[5] = [Wait(3600, whole_account=True)]

    async def account_wait_is_stored() -> bool:
        return (await world.path.chat(ACCOUNT)).not_before is not None

    async with world.bot().live():
        await until_async(account_wait_is_stored)
    await queued(world, "two", peer_id=6)
    again = world.bot()
    async with again.live():
        await until(lambda: again.outgoing._waits.recalled)
        await asyncio.sleep(0.05)
    assert world.telegram.delivered == {}
    assert [peer_id for peer_id, _ in world.telegram.sends] == [5]


@pytest.mark.parametrize("whole_account", [True, False])
async def test_a_wait_is_as_long_as_telegram_said_though_the_clock_is_set_back_meanwhile(
    world: World, whole_account: bool
) -> None:
    ahead, waiting = timedelta(hours=10), Wait(0.5, whole_account)
    waits, scope = "botfleet_runner_flood_waits_total", {"scope": "account" if whole_account else "chat"}
    await queued(world, "one")
    world.telegram.outcomes[5] = [waiting]
    bot = Bot(world.path, world.model, world.telegram, spec_of(), now=lambda: datetime.now(UTC) + ahead)
    loop = asyncio.get_running_loop()
    before = loop.time()
    async with bot.live():
        await until(lambda: bot.metrics.registry.get_sample_value(waits, scope))
        ahead = timedelta()
        assert await world.wait_delivered(5, 1) == ["one"]
    assert loop.time() - before >= waiting.seconds


async def test_a_chat_that_waits_for_a_connection_heeds_a_flood_wait_that_came_meanwhile(world: World) -> None:
    await queued(world, "one")
    world.telegram.connected.clear()
    bot = world.bot()
    async with bot.live():
        await until(lambda: bot.outgoing._waits.recalled)
        bot.outgoing._waits.account(3600)
        world.telegram.connected.set()
        await asyncio.sleep(0.05)
    assert world.telegram.sends == []


async def test_slow_mode_of_a_chat_holds_that_chat_only(world: World) -> None:
    await queued(world, "one", "after one", peer_id=5)
    world.telegram.outcomes[5] = [Wait(3600, whole_account=False)]
    bot = world.bot()

    async def first_is_deferred() -> bool:
        first = await world.path.next_outgoing(5)
        return first is not None and first.state == "pending" and first.not_before is not None

    async with bot.live():
        await until_async(first_is_deferred)
        await queued(world, "two", peer_id=6)
        bot.outgoing.poke(6)
        assert await world.wait_delivered(6, 1) == ["two"]
    assert 5 not in world.telegram.delivered


async def test_a_refusal_closes_the_row_with_its_reason_marks_the_chat_and_the_next_row_goes_on(world: World) -> None:
    await queued(world, "one", "two")
    world.telegram.outcomes[5] = [Refused("Blocked", closes_chat=True)]
    async with world.bot().live():
        assert await world.wait_delivered(5, 1) == ["two"]
    assert (await world.outbox())[0] == ("failed", "Blocked")
    assert [row.closed_reason for row in await world.rows(chats)] == ["Blocked"]


async def test_a_lost_account_leaves_the_row_for_the_next_connection(world: World) -> None:
    await queued(world, "one")
    world.telegram.outcomes[5] = [AccountLost(Reason.SESSION_REVOKED)]
    async with world.bot().live():
        assert await world.wait_delivered(5, 1) == ["one"]
    assert len(world.telegram.sends) == 2


async def test_a_reply_that_was_never_attempted_is_cancelled_by_a_stop(world: World) -> None:
    await queued(world, "one")
    await world.path.opt_out(5)
    bot = world.bot()
    async with bot.live():
        await closed(world)
    assert await world.outbox() == [("cancelled", "OptedOut")]
    assert world.telegram.sends == []


async def test_a_stop_takes_effect_on_a_reply_that_waits_for_a_connection(world: World) -> None:
    await queued(world, "one")
    world.telegram.connected.clear()
    bot = world.bot()
    async with bot.live():
        await until(lambda: bot.outgoing._waits.recalled)
        await world.path.opt_out(5)
        world.telegram.connected.set()
        await closed(world)
    assert await world.outbox() == [("cancelled", "OptedOut")]
    assert world.telegram.sends == []


async def test_the_confirmation_of_a_stop_is_sent_to_who_opted_out(world: World) -> None:
    await queued(world, "confirmed", cause="command:1")
    await world.path.opt_out(5)
    async with world.bot().live():
        assert await world.wait_delivered(5, 1) == ["confirmed"]


async def test_an_attempted_reply_is_resolved_and_not_cancelled_by_a_stop(world: World) -> None:
    await queued(world, "one")
    row = await world.path.next_outgoing(5)
    assert row is not None
    await world.path.mark_attempted(row)
    await world.path.opt_out(5)
    async with world.bot().live():
        assert await world.wait_delivered(5, 1) == ["one"]


async def test_a_flood_wait_does_not_make_an_attempt_of_before_undone(world: World) -> None:
    """The first attempt may have arrived: after the wait it is resolved, whatever the person said meanwhile."""
    await queued(world, "one")
    world.telegram.outcomes[5] = [Unknown(), Wait(0.05, whole_account=False)]
    bot = world.bot()
    async with bot.live():
        await world.telegram.wait(lambda: not world.telegram.outcomes[5])
        await world.path.opt_out(5)
        assert await world.wait_delivered(5, 1) == ["one"]
        await bot.outgoing.idle()
    assert await world.outbox() == [("sent", None)]


async def test_a_row_that_an_update_has_proved_sent_is_not_sent(world: World) -> None:
    await queued(world, "one", "two")
    first = await world.path.next_outgoing(5)
    assert first is not None
    world.telegram.connected.clear()
    bot = world.bot()
    async with bot.live():
        await until(lambda: bot.outgoing._waits.recalled)
        await world.path.mark_attempted(first)
        await world.path.mark_sent(first, 99)
        world.telegram.connected.set()
        assert await world.wait_delivered(5, 1) == ["two"]
    assert world.telegram.sends == [(5, 5002)]


async def test_all_chats_of_a_former_run_are_found_a_page_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for peer_id in range(5, 10):
        await queued(world, "one", peer_id=peer_id)
    pages = world.path.outgoing_chats
    monkeypatch.setattr(world.path, "outgoing_chats", lambda **after: pages(limit=2, **after))
    async with world.bot().live():
        for peer_id in range(5, 10):
            await world.wait_delivered(peer_id, 1)


async def test_it_is_idle_only_when_all_is_sent(world: World) -> None:
    world.telegram.go.clear()
    bot = world.bot()
    async with bot.live():
        await queued(world, "one")
        bot.outgoing.poke(5)
        await world.telegram.wait(lambda: bool(world.telegram.sends))
        idle = asyncio.create_task(bot.outgoing.idle())
        await asyncio.sleep(0.02)
        assert not idle.done()
        world.telegram.go.set()
        await asyncio.wait_for(idle, DEADLINE)
    assert await world.outbox() == [("sent", None)]


async def test_a_cancelled_send_leaves_the_row_attempted(world: World) -> None:
    world.telegram.go.clear()
    await queued(world, "one")
    async with world.bot().live():
        await world.telegram.wait(lambda: bool(world.telegram.sends))
    assert await world.outbox() == [("attempted", None)]


async def test_that_telegram_calls_the_account_a_flooder_is_told_and_other_refusals_are_not(world: World) -> None:
    await queued(world, "one", peer_id=5)
    await queued(world, "two", peer_id=6)
    world.telegram.outcomes[5] = [Refused("PeerFlood", closes_chat=False)]
    world.telegram.outcomes[6] = [Refused("Blocked", closes_chat=True)]
    bot = world.bot()
    async with bot.live():
        await until(lambda: not world.telegram.outcomes[5] and not world.telegram.outcomes[6])
        await bot.outgoing.idle()
    assert bot.peer_floods == [True]
