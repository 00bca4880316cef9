"""A basic group becomes a supergroup: what waits there goes on waiting in the supergroup, whatever is heard of first."""

import pytest

from botfleet.store.rows import earlier_id
from botfleet_simulator.client.views import Chat
from botrunner.telegram.entities import bare_channel_id
from tests.integration.botrunner.telegram.harness import World


@pytest.fixture
async def group(world: World) -> Chat:
    return await world.tg.admin.create_group(
        "Family", kind="basic", owner=world.alice, members=[world.bob, world.bot.id]
    )


async def write(world: World, chat: Chat, *texts: str) -> None:
    for text in texts:
        await world.tg.admin.send_message(world.alice, chat.id, text)


async def test_what_waits_in_a_group_waits_in_its_supergroup_live(world: World, group: Chat):
    life = await world.live()
    await life.connected()
    await write(world, group, "one")
    await world.wait_texts(group.id, ["one"])
    new = await world.tg.admin.migrate_chat(group.id)
    await world.wait_texts(new.id, ["one"])
    await write(world, new, "two")
    await world.wait_texts(new.id, ["one", "two"])
    assert await world.texts(group.id) == []
    assert life.telegram.connected
    assert await (await world.path()).migrations() == {group.id: new.id}


@pytest.mark.parametrize("named", [True, False])
async def test_what_was_said_before_and_after_while_away_waits_in_the_supergroup_in_order(
    world: World, group: Chat, named: bool
):
    """`named`: Telegram says of the supergroup that there is something; else only the group says that there is one."""
    await world.tg.admin.update_settings(channels_in_difference=named)
    life = await world.live()
    await life.connected()
    await write(world, group, "seen")
    await world.wait_texts(group.id, ["seen"])
    await life.stop()
    await write(world, group, "missed")
    new = await world.tg.admin.migrate_chat(group.id)
    await write(world, new, "missed there")
    again = await world.live()
    await again.connected()
    await world.wait_texts(new.id, ["seen", "missed", "missed there"])
    assert await world.texts(group.id) == []
    server = await world.tg.admin.state(world.bot.id)
    states = await (await world.path()).states()
    assert states[bare_channel_id(new.id)].pts == server.channels[new.id]


async def test_what_a_person_takes_back_in_the_old_group_is_not_answered_in_the_supergroup(world: World, group: Chat):
    life = await world.live()
    await life.connected()
    first = await world.tg.admin.send_message(world.alice, group.id, "one")
    await write(world, group, "two")
    await world.wait_texts(group.id, ["one", "two"])
    new = await world.tg.admin.migrate_chat(group.id)
    await world.wait_texts(new.id, ["one", "two"])
    rows = await world.pending(new.id)
    await world.tg.admin.delete_messages(world.alice, group.id, [first.id])
    await world.wait_texts(new.id, ["two"])
    assert [row.message_id for row in rows] == sorted(row.message_id for row in rows)
    assert all(row.message_id < earlier_id(0) + 10**9 for row in rows)
