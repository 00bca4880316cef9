"""Promises of the outbox while a group becomes a supergroup: what was to be said there is said in the supergroup, once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from botfleet.store.rows import Draft, Intake, Migration, OutboxRow
from botrunner.conversation import migrated
from botrunner.telegram.sender import Outcome, Refused, Sent
from tests.contracts.store.samples import GROUP
from tests.integration.botrunner.conversation.conftest import Bot, World
from tests.waiting import until_async

SUPER = -1_000_000_000_700
GONE = Refused("PeerUnknown", closes_chat=True)


async def queued(world: World, *, attempted: bool = False) -> None:
    draft = Draft(cause="reply:17", random_id=170, text="an answer", trace_id="t")
    await world.path.store_answer(GROUP, [], [draft], replies_are_final=True)
    if attempted:
        row = await world.path.next_outgoing(GROUP)
        assert row is not None
        await world.path.mark_attempted(row)


async def news(world: World) -> None:
    await world.path.settle(Intake(), migrations=[Migration(GROUP, SUPER)])


async def all_closed(world: World) -> None:
    async def nothing_is_open() -> bool:
        return await world.path.outgoing_chats() == []

    await until_async(nothing_is_open)


async def test_what_the_group_refuses_before_the_news_has_come_in_goes_out_in_the_supergroup(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queued(world)
    world.telegram.outcomes[GROUP] = [GONE]
    known, attempts, attempt = asyncio.Event(), list[int](), world.path.mark_attempted

    async def mark_attempted(row: OutboxRow, **named: Any) -> bool:
        """The news comes within NEWS_WITHIN, however long this machine takes to store it."""
        attempts.append(row.peer_id)
        if attempts.count(GROUP) > 1:
            await known.wait()
        return await attempt(row, **named)

    monkeypatch.setattr(world.path, "mark_attempted", mark_attempted)
    bot = world.bot()
    async with bot.live():
        await world.telegram.wait(lambda: not world.telegram.outcomes[GROUP])
        await news(world)
        known.set()
        bot.outgoing.look_again()
        assert await world.wait_delivered(SUPER, 1) == ["an answer"]
        await all_closed(world)
    assert world.telegram.sends == [(GROUP, 170), (SUPER, 170)]
    assert (await world.path.chat(SUPER)).closed_reason is None


async def test_a_send_that_the_group_refuses_while_the_news_comes_in_goes_out_in_the_supergroup(world: World) -> None:
    await queued(world)

    class Telegram:
        """The news comes in while the send is under way, and whoever looks sends the row that the supergroup has now."""

        async def wait_connected(self) -> None: ...

        async def send(self, row: OutboxRow) -> Outcome:
            if row.peer_id == GROUP:
                await news(world)
                bot.outgoing.poke(SUPER)
                return GONE
            return await world.telegram.send(row)

    bot = Bot(world.path, world.model, world.telegram, world.bot().spec, Telegram())
    async with bot.live():
        assert await world.wait_delivered(SUPER, 1) == ["an answer"]
        await all_closed(world)
    assert await world.outbox() == [("sent", None)]


async def test_a_refusal_that_no_news_explains_is_what_it_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrated, "NEWS_WITHIN", timedelta())
    await queued(world)
    world.telegram.outcomes[GROUP] = [GONE, GONE]

    async def chat_is_closed() -> bool:
        return (await world.path.chat(GROUP)).closed_reason == "PeerUnknown"

    async with world.bot().live():
        await until_async(chat_is_closed)
    assert await world.outbox() == [("failed", "PeerUnknown")]


@pytest.mark.parametrize(("outcome", "closed"), [(Sent(18), ("sent", None)), (GONE, ("failed", "Migrated"))])
async def test_an_attempt_of_a_killed_run_is_asked_about_in_the_group_and_never_repeated_in_the_supergroup(
    world: World, outcome: Outcome, closed: tuple[str, str | None]
) -> None:
    await queued(world, attempted=True)
    await news(world)
    world.telegram.outcomes[GROUP] = [outcome]
    async with world.bot().live():
        await all_closed(world)
    assert world.telegram.sends == [(GROUP, 170)]
    assert await world.outbox() == [closed]
