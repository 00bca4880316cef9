"""Groups and channels are taken in right: states of their own, differences, edits and deletions, live and missed."""

import pytest

from botfleet.store.tables import inbox
from botfleet_simulator.client.views import Chat
from botrunner.telegram.entities import bare_channel_id
from tests.integration.botrunner.telegram.harness import Life, World
from tests.waiting import until_async


@pytest.fixture
async def group(world: World) -> Chat:
    return await world.tg.admin.create_group(
        "Guests", kind="supergroup", owner=world.alice, members=[world.bob, world.bot.id]
    )


async def connected(world: World) -> Life:
    life = await world.live()
    await life.connected()
    return life


async def away(world: World, chat: Chat, text: str = "first") -> None:
    """A life that has seen the group, and is over."""
    life = await connected(world)
    await world.tg.admin.send_message(world.alice, chat.id, text)
    await world.wait_texts(chat.id, [text])
    await life.stop()


async def states(world: World) -> dict[int, int]:
    return {channel: state.pts for channel, state in (await (await world.path()).states()).items()}


async def test_a_supergroups_messages_come_in_and_move_its_own_state(world: World, group: Chat):
    await connected(world)
    await world.tg.admin.send_message(world.alice, group.id, "from Alice")
    await world.tg.admin.send_message(world.bob, group.id, "from Bob")
    await world.wait_texts(group.id, ["from Alice", "from Bob"])
    rows = await (await world.path()).pending(group.id)
    assert [row.sender_id for row in rows] == [world.alice, world.bob]
    assert all(row.access_hash for row in rows)
    server = await world.tg.admin.state(world.bot.id)
    assert (await states(world))[bare_channel_id(group.id)] == server.channels[group.id]


async def test_what_was_written_in_a_supergroup_while_away_comes_at_the_next_start(world: World, group: Chat):
    await away(world, group)
    texts = [f"message {number}" for number in range(120)]  # several slices
    for text in texts:
        await world.tg.admin.send_message(world.bob, group.id, text)
    await connected(world)
    await world.wait_texts(group.id, ["first", *texts])


async def test_what_was_written_in_a_supergroup_during_a_cut_comes_after_it(world: World, group: Chat):
    life = await connected(world)
    await world.tg.admin.send_message(world.alice, group.id, "first")
    await world.wait_texts(group.id, ["first"])
    await world.tg.admin.add_fault("refuse", times=None)
    await world.tg.admin.cut(world.bot.id)
    await world.tg.admin.send_message(world.bob, group.id, "during")
    await world.tg.admin.clear_faults()
    await life.connected()
    await world.wait_texts(group.id, ["first", "during"])


async def test_a_group_that_was_joined_while_away_is_taken_in(world: World):
    await (await connected(world)).stop()
    group = await world.tg.admin.create_group("New", kind="supergroup", owner=world.alice, members=[world.bot.id])
    await world.tg.admin.send_message(world.alice, group.id, "while away")
    await connected(world)
    await world.wait_texts(group.id, ["while away"])


async def test_a_basic_groups_messages_come_in_live_and_missed(world: World):
    group = await world.tg.admin.create_group("Family", kind="basic", owner=world.alice, members=[world.bot.id])
    life = await connected(world)
    await world.tg.admin.send_message(world.alice, group.id, "live")
    await world.wait_texts(group.id, ["live"])
    await life.stop()
    await world.tg.admin.send_message(world.alice, group.id, "missed")
    await connected(world)
    await world.wait_texts(group.id, ["live", "missed"])
    rows = await (await world.path()).pending(group.id)
    assert [(row.sender_id, row.access_hash) for row in rows] == [(world.alice, 0), (world.alice, 0)]


async def test_edits_and_deletions_are_recorded_live(world: World, group: Chat):
    await connected(world)
    admin = world.tg.admin
    in_group = await admin.send_message(world.alice, group.id, "in group")
    in_private = await admin.send_message(world.alice, world.name, "in private")
    gone = await admin.send_message(world.alice, world.name, "gone")
    await world.wait_texts(world.alice, ["in private", "gone"])
    await admin.edit_message(world.alice, group.id, in_group.id, "in group, edited")
    await admin.edit_message(world.alice, world.name, in_private.id, "in private, edited")
    await admin.delete_messages(world.alice, world.name, [gone.id])
    await world.wait_texts(group.id, ["in group, edited"])
    await world.wait_texts(world.alice, ["in private, edited"])


async def test_edits_and_deletions_that_were_missed_are_recorded_too(world: World, group: Chat):
    """Telethon drops them: of a difference its hook sees new messages only."""
    life = await connected(world)
    admin = world.tg.admin
    sent = [
        await admin.send_message(world.alice, chat, "before") for chat in (group.id, world.name, world.name, group.id)
    ]
    await world.wait_texts(world.alice, ["before", "before"])
    await world.wait_texts(group.id, ["before", "before"])
    await life.stop()
    await admin.edit_message(world.alice, group.id, sent[0].id, "edited")
    await admin.edit_message(world.alice, world.name, sent[1].id, "edited")
    await admin.delete_messages(world.alice, world.name, [sent[2].id])
    await admin.delete_messages(world.alice, group.id, [sent[3].id])
    await connected(world)
    await world.wait_texts(world.alice, ["edited"])
    await world.wait_texts(group.id, ["edited"])
    async with world.store.read() as reading:
        closed = (await reading.execute(inbox.select().where(inbox.c.state == "skipped"))).all()
    assert {row.reason for row in closed} == {"Deleted"}
    assert len(closed) == 2


async def test_a_message_that_was_edited_before_it_came_in_is_one_message_with_the_new_text(world: World):
    await (await connected(world)).stop()
    sent = await world.tg.admin.send_message(world.alice, world.name, "old")
    await world.tg.admin.edit_message(world.alice, world.name, sent.id, "new")
    await connected(world)
    await world.wait_texts(world.alice, ["new"])


@pytest.mark.parametrize("short", [True, False])
async def test_short_and_long_forms_of_a_message_are_the_same_to_us(world: World, short: bool):
    await world.tg.admin.update_settings(short_updates=short)
    await connected(world)
    await world.tg.admin.send_message(world.alice, world.name, "one")
    await world.tg.admin.send_message(world.alice, world.name, "two")
    await world.wait_texts(world.alice, ["one", "two"])


async def test_a_flood_wait_on_the_accounts_difference_is_waited_for_and_asked_again(world: World):
    await (await connected(world)).stop()
    await world.tg.admin.send_message(world.alice, world.name, "while away")
    await world.tg.admin.add_fault("error", method="updates.getDifference", message="FLOOD_WAIT_2")
    life = await connected(world)
    await world.wait_texts(world.alice, ["while away"])
    assert life.telegram.connected


async def test_a_flood_wait_on_one_channels_difference_holds_up_nothing_else(world: World, group: Chat):
    await away(world, group)
    await world.tg.admin.send_message(world.bob, group.id, "while away")
    await world.tg.admin.add_fault("error", method="updates.getChannelDifference", message="FLOOD_WAIT_3")
    await connected(world)
    await world.tg.admin.wait_for_call(
        "updates.getChannelDifference", account=world.bot.id, after=world.since, outcome="FLOOD_WAIT_3"
    )
    await world.tg.admin.send_message(world.alice, world.name, "private")
    await world.wait_texts(group.id, ["first", "while away"])
    (private,) = await world.pending(world.alice)
    assert private.received_at < (await world.pending(group.id))[1].received_at


@pytest.mark.parametrize("message", ["RPC_CALL_FAIL", "Timeout"])
async def test_trouble_of_the_server_with_a_difference_passes(world: World, message: str):
    await (await connected(world)).stop()
    await world.tg.admin.send_message(world.alice, world.name, "while away")
    await world.tg.admin.add_fault("error", method="updates.getDifference", message=message, times=2)
    await connected(world)
    await world.wait_texts(world.alice, ["while away"])


async def test_a_difference_whose_answer_never_comes_is_asked_for_again(world: World, monkeypatch):
    from botrunner.telegram import client

    monkeypatch.setattr(client, "DIFFERENCE_SECONDS", 0.5)
    await (await connected(world)).stop()
    await world.tg.admin.send_message(world.alice, world.name, "while away")
    await world.tg.admin.add_fault("drop_answer", method="updates.getDifference")
    await connected(world)
    await world.wait_texts(world.alice, ["while away"])


async def test_a_group_that_threw_the_bot_out_does_not_disturb_the_rest(world: World, group: Chat):
    await away(world, group)
    await world.tg.admin.remove_member(group.id, world.bot.id)
    before = await world.tg.admin.last_call()
    life = await connected(world)
    await world.tg.admin.wait_for_call("updates.getChannelDifference", account=world.bot.id, after=before)
    await world.tg.admin.send_message(world.alice, world.name, "private")
    await world.wait_texts(world.alice, ["private"])
    assert life.telegram.connected


async def test_a_difference_that_is_too_long_is_jumped_and_the_new_state_is_stored(world: World):
    await (await connected(world)).stop()
    await world.tg.admin.update_settings(difference_limit=5)
    for number in range(10):
        await world.tg.admin.send_message(world.alice, world.name, f"lost {number}")
    await connected(world)
    server = await world.tg.admin.state(world.bot.id)

    async def jumped() -> bool:
        return (await states(world))[0] == server.pts

    await until_async(jumped)
    await world.tg.admin.send_message(world.alice, world.name, "after")
    await world.wait_texts(world.alice, ["after"])
