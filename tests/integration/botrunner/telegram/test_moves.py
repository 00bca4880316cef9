"""A group that becomes a supergroup: another chat to Telegram, with another count of updates. Each message waits there, and once."""

import pytest

from botfleet_simulator.client.views import Chat
from botrunner.telegram.entities import bare_channel_id
from botrunner.telegram.types import UserSession
from tests.integration.botrunner.telegram.harness import Life, World
from tests.waiting import until_async

BEFORE = ["before 1", "before 2"]
AFTER = ["after 1", "after 2"]


async def connected(world: World, who: str) -> Life:
    credential = UserSession(await world.tg.admin.create_session(world.alice)) if who == "person" else None
    life = await world.live(credential)
    await life.connected()
    return life


async def group_of(world: World) -> Chat:
    """Bob's, with the bot and Alice in it: whichever account the runner has."""
    return await world.tg.admin.create_group("Guests", owner=world.bob, members=[world.alice, world.bot.id])


async def say(world: World, chat: Chat, texts: list[str]) -> None:
    for text in texts:
        await world.tg.admin.send_message(world.bob, chat.id, text)


async def taken_in(world: World, life: Life, chat_id: int, texts: list[str]) -> None:
    path = life.telegram.path
    assert path is not None

    async def just_these() -> bool:
        return [row.text for row in await path.pending(chat_id)] == texts

    await until_async(just_these)


@pytest.mark.parametrize("who", ["bot", "person"])
async def test_a_group_that_becomes_a_supergroup_is_taken_in_before_and_after(world: World, who: str):
    life = await connected(world, who)
    group = await group_of(world)
    await say(world, group, BEFORE)
    await taken_in(world, life, group.id, BEFORE)
    supergroup = await world.tg.admin.migrate_chat(group.id)
    await say(world, supergroup, AFTER)
    await taken_in(world, life, supergroup.id, [*BEFORE, *AFTER])
    await taken_in(world, life, group.id, [])
    path = life.telegram.path
    assert path is not None
    account = world.bot.id if who == "bot" else world.alice
    server = await world.tg.admin.state(account)
    assert (await path.states())[bare_channel_id(supergroup.id)].pts == server.channels[supergroup.id]


@pytest.mark.parametrize("who", ["bot", "person"])
async def test_a_group_that_became_a_supergroup_while_the_runner_was_away_is_taken_in_from_its_first_message(
    world: World, who: str
):
    life = await connected(world, who)
    group = await group_of(world)
    await say(world, group, BEFORE[:1])
    await taken_in(world, life, group.id, BEFORE[:1])
    assert life.telegram.me is not None
    await life.stop()
    await say(world, group, BEFORE[1:])
    supergroup = await world.tg.admin.migrate_chat(group.id)
    await say(world, supergroup, AFTER)
    life = await connected(world, who)
    await taken_in(world, life, supergroup.id, [*BEFORE, *AFTER])
    await taken_in(world, life, group.id, [])
    await life.stop()
    life = await connected(world, who)
    await say(world, supergroup, ["later"])
    await taken_in(world, life, supergroup.id, [*BEFORE, *AFTER, "later"])
