"""What BotFather's privacy mode hides from a bot is known, with Telethon as it is, and so is that it was taken off."""

from botfleet_simulator.person import Person
from botrunner.telegram.standing import Standing
from tests.integration.botrunner.telegram.harness import World
from tests.waiting import until

HIDDEN, SHOWN = Standing(privacy_mode=True, restricted=False), Standing(privacy_mode=False, restricted=False)


async def test_while_privacy_mode_hides_a_groups_messages_the_bot_knows_that_it_does(
    world: World, alice: Person
) -> None:
    admin = world.tg.admin
    await admin.update_account(world.name, privacy_mode=True)
    group = await admin.create_group("Guests", kind="basic", owner=world.alice, members=[world.name])
    life = await world.live(standing_seconds=0.2)
    await until(lambda: HIDDEN in life.standings)
    await admin.send_message(world.alice, group.id, "to nobody in particular")
    await admin.send_message(world.alice, group.id, f"@{world.name} to the bot")
    await world.wait_texts(group.id, [f"@{world.name} to the bot"])
    await admin.update_account(world.name, privacy_mode=False)
    await until(lambda: life.standings[-1] == SHOWN)
    await admin.send_message(world.alice, group.id, "to all")
    await world.wait_texts(group.id, [f"@{world.name} to the bot", "to all"])


async def test_an_account_that_cannot_be_asked_about_itself_goes_on_and_is_asked_again(
    world: World, alice: Person
) -> None:
    life = await world.live(standing_seconds=0.2)
    await until(lambda: life.standings)
    await world.tg.admin.add_fault(
        "error", method="users.getUsers", account=world.name, message="RPC_CALL_FAIL", times=2
    )
    await world.tg.admin.wait_for_call("users.getUsers", account=world.bot.id, outcome="RPC_CALL_FAIL", count=2)
    told = len(life.standings)
    await until(lambda: len(life.standings) > told)
    await alice.say(world.name, "hello")
    await world.wait_texts(world.alice, ["hello"])
    assert [status.connected for status in life.statuses].count(True) == len(life.statuses) - 1
