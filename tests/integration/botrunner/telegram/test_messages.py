"""Messages come in once and go out once, whatever happens to the connection, the client or a transaction in between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from botfleet.store.rows import ACCOUNT_STATE, Media
from botfleet_simulator.launch import telegram_server
from botfleet_simulator.person import Person
from botrunner.telegram import client, connection
from botrunner.telegram.sender import Refused, Sent, Unknown, Wait
from tests.integration.botrunner.telegram.harness import Echo, FaultyPath, World
from tests.waiting import DEADLINE, until, until_async


async def answered_once(world: World, alice: Person, texts: list[str], seconds: float = DEADLINE) -> None:
    """By the receiver's count: exactly one echo each, in order."""
    wanted = [f"echo {text}" for text in texts]

    async def all_there() -> bool:
        return {
            message.text for message in await world.tg.admin.messages(world.alice, world.name, incoming=True)
        } >= set(wanted)

    await until_async(all_there, seconds)
    assert [message.text for message in await world.tg.admin.messages(world.alice, world.name, incoming=True)] == wanted


async def test_a_message_comes_in_and_an_answer_goes_out(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    assert await asyncio.wait_for(life.pending.get(), DEADLINE) == {world.alice}
    assert await world.texts(world.alice) == ["hello"]
    outcome = await life.telegram.sender.send(await world.queue(world.alice, "hi"))
    assert isinstance(outcome, Sent)
    reply = await alice.wait_reply(world.name)
    assert reply.text == "hi"
    assert life.telegram.me is not None
    assert life.telegram.me.username == world.name


async def test_what_was_written_while_the_runner_was_away_comes_when_it_is_back(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "one")
    await world.wait_texts(world.alice, ["one"])
    await life.stop()
    await alice.say(world.name, "two")
    await alice.say(world.name, "three")
    await world.live()
    await world.wait_texts(world.alice, ["one", "two", "three"])


async def test_a_state_that_a_send_moved_is_stored_with_the_next_message(world: World, alice: Person, monkeypatch):
    FaultyPath.reset()
    monkeypatch.setattr(connection, "MessagePath", FaultyPath)
    monkeypatch.setattr(client, "OWED_SECONDS", 600)
    life = await world.live()
    await life.connected()
    before = FaultyPath.alone
    for number in range(3):
        await alice.say(world.name, f"message {number}")
        await asyncio.wait_for(life.pending.get(), DEADLINE)
        row = await world.queue(world.alice, "hi", cause=f"reply:{number}")
        outcome = await life.telegram.sender.send(row)
        assert isinstance(outcome, Sent)
        await (await world.path()).mark_sent(row, outcome.message_id)
    assert FaultyPath.alone == before
    stored = (await (await world.path()).states())[ACCOUNT_STATE].pts
    assert stored == (await world.tg.admin.state(world.name)).pts - 1  # the last send


async def test_a_state_that_a_send_moved_is_stored_soon_although_nothing_comes(
    world: World, alice: Person, monkeypatch
):
    monkeypatch.setattr(client, "OWED_SECONDS", 0.05)
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    await asyncio.wait_for(life.pending.get(), DEADLINE)
    assert isinstance(await life.telegram.sender.send(await world.queue(world.alice, "hi")), Sent)
    pts = (await world.tg.admin.state(world.name)).pts
    path = await world.path()

    async def stored() -> bool:
        return (await path.states())[ACCOUNT_STATE].pts == pts

    await until_async(stored)


@pytest.mark.parametrize("held", [True, False])
async def test_a_state_that_a_send_moved_is_stored_at_a_stop_if_the_lease_is_held(
    world: World, alice: Person, monkeypatch, held: bool
):
    monkeypatch.setattr(client, "OWED_SECONDS", 600)
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    await asyncio.wait_for(life.pending.get(), DEADLINE)
    path = await world.path()
    before = (await path.states())[ACCOUNT_STATE].pts
    row = await world.queue(world.alice, "hi")
    connected = life.telegram.sender.client
    assert connected is not None
    assert isinstance(await life.telegram.sender.send(row), Sent)
    await until(lambda: connected.stored.pts > before)
    if not held:
        (await world.tenure_now()).guard.cut()
    await life.stop()
    pts = (await world.tg.admin.state(world.name)).pts
    assert pts > before
    assert (await path.states())[ACCOUNT_STATE].pts == (pts if held else before)


async def test_230_messages_written_while_away_all_come_in_order(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await life.stop()
    texts = [f"message {number}" for number in range(230)]  # several slices of a difference
    for text in texts:
        await world.tg.admin.send_message(world.alice, world.name, text)
    await world.live()

    path = await world.path()

    async def all_in() -> bool:
        return (await path.counts()).pending == 230

    await until_async(all_in)
    assert [row.text for row in await path.pending(world.alice, limit=500)] == texts


async def test_what_was_written_during_a_cut_comes_right_after_it(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await world.tg.admin.add_fault("refuse", times=None)
    await world.tg.admin.cut(world.bot.id)
    await until(lambda: not life.telegram.connected)
    await world.tg.admin.send_message(world.alice, world.name, "during")
    await world.tg.admin.clear_faults()
    await life.connected()
    await world.wait_texts(world.alice, ["during"])


@pytest.mark.parametrize("when", ["fail_before", "fail_after"])
async def test_a_failed_transaction_loses_and_doubles_nothing(world: World, alice: Person, monkeypatch, when):
    monkeypatch.setattr(connection, "MessagePath", FaultyPath)
    FaultyPath.reset()
    setattr(FaultyPath, when, 2)
    life = await world.live()
    await life.connected()
    echo = asyncio.create_task(Echo(world, life).run())
    texts = [f"message {number}" for number in range(8)]
    for text in texts:
        await alice.say(world.name, text)
    await answered_once(world, alice, texts)
    assert FaultyPath.failures >= 2
    echo.cancel()
    await asyncio.gather(echo, return_exceptions=True)


@pytest.mark.parametrize(
    ("effect", "options"),
    [
        ("drop_answer", {}),
        ("drop_answer", {"cut": True}),
        ("cut", {}),
        ("hold", {}),
        ("random_id_duplicate", {}),
    ],
)
async def test_a_send_whose_answer_is_lost_is_delivered_once(world: World, alice: Person, effect, options):
    life = await world.live()
    await life.connected()
    admin = world.tg.admin
    if effect == "random_id_duplicate":
        await admin.add_fault(effect, times=None)
        effect = "drop_answer"
    await admin.add_fault(effect, method="messages.sendMessage", account=world.bot.id, times=2, **options)
    bot = Echo(world, life)
    echo = asyncio.create_task(bot.run())
    texts = [f"message {number}" for number in range(5)]
    for text in texts:
        await alice.say(world.name, text)
    await answered_once(world, alice, texts)
    assert Unknown() in bot.outcomes
    path = await world.path()

    async def nothing_open() -> bool:
        return not await path.outgoing_chats()

    await until_async(nothing_open)
    echo.cancel()
    await asyncio.gather(echo, return_exceptions=True)


async def test_a_client_thrown_away_at_any_point_loses_and_doubles_nothing(world: World, alice: Person):
    """Lives end and begin while a person writes on; what one left half done the next one finishes."""
    texts = [f"message {number}" for number in range(30)]

    async def write() -> None:
        for text in texts:
            await alice.say(world.name, text)
            await asyncio.sleep(0.05)

    life = await world.live()
    await life.connected()
    writing = asyncio.create_task(write())
    for number in range(6):
        echo = asyncio.create_task(Echo(world, life).run())
        await asyncio.sleep(0.11 + 0.07 * number)
        echo.cancel()  # wherever it is
        await life.stop()
        await asyncio.gather(echo, return_exceptions=True)
        life = await world.live()
        await life.connected()
    echo = asyncio.create_task(Echo(world, life).run())
    await writing
    await answered_once(world, alice, texts)
    echo.cancel()
    await asyncio.gather(echo, return_exceptions=True)


async def test_cuts_in_mid_conversation_lose_and_double_nothing(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    echo = asyncio.create_task(Echo(world, life).run())
    texts = [f"message {number}" for number in range(24)]
    for number, text in enumerate(texts):
        if number % 4 == 3:
            await world.tg.admin.cut(world.bot.id)
        await alice.say(world.name, text)
    await answered_once(world, alice, texts)
    echo.cancel()
    await asyncio.gather(echo, return_exceptions=True)


async def test_a_late_answer_proves_its_send_although_nobody_waited_for_it(world: World, alice: Person):
    await world.tg.admin.update_settings(short_updates=False)
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    await world.wait_texts(world.alice, ["hello"])
    held = await world.tg.admin.add_fault("hold", method="messages.sendMessage")
    row = await world.queue(world.alice, "hi")
    assert await life.telegram.sender.send(row, deadline=0.3) == Unknown()
    path = await world.path()
    assert await path.outgoing_chats() == [world.alice]
    await world.tg.admin.release(held.id)

    async def proved() -> bool:
        return not await path.outgoing_chats()

    await until_async(proved)


async def test_a_flood_wait_is_an_outcome_at_once_and_other_chats_go_on(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    await world.tg.admin.send_message(world.bob, world.name, "hello too")
    await world.wait_texts(world.bob, ["hello too"])
    await world.tg.admin.add_fault("error", method="messages.sendMessage", message="FLOOD_WAIT_40")
    began = asyncio.get_running_loop().time()
    assert await life.telegram.sender.send(await world.queue(world.alice, "hi")) == Wait(40, whole_account=True)
    # Telethon would now refuse every sendMessage by itself for 40 s.
    assert isinstance(await life.telegram.sender.send(await world.queue(world.bob, "hi")), Sent)
    assert asyncio.get_running_loop().time() - began < 5
    assert life.telegram.connected


async def test_a_person_who_blocked_the_bot_closes_that_chat_only(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    await world.wait_texts(world.alice, ["hello"])
    await world.tg.admin.block(world.alice, world.name)
    assert await life.telegram.sender.send(await world.queue(world.alice, "hi")) == Refused("Blocked", closes_chat=True)
    assert life.telegram.connected


async def test_typing_is_shown(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    await world.wait_texts(world.alice, ["hello"])
    await life.telegram.sender.typing(world.alice, None)
    await world.tg.admin.wait_for_call("messages.setTyping", account=world.bot.id, outcome="ok")


async def test_a_server_that_is_killed_and_comes_back_is_found_again(tmp_path: Path):
    async with telegram_server(tmp_path / "telegram") as server:
        world = await World.make(server, tmp_path, 1)
        life = await world.live()
        await life.connected()
        await server.kill()
        await until(lambda: not life.telegram.connected)
        await server.start()
        await life.connected()
        await world.tg.admin.send_message(world.alice, world.name, "after")
        await world.wait_texts(world.alice, ["after"])
        await world.close()


async def test_a_message_that_cannot_be_read_is_stored_as_that_and_stops_nothing(
    world: World, alice: Person, monkeypatch, capsys
):
    """Live and from a difference. It would hold the pts back, so that each connection met it again."""

    def breaks(message: Any) -> Media | None:
        if message.message.startswith("odd"):
            raise ZeroDivisionError("planted words")
        return None

    monkeypatch.setattr("botrunner.telegram.intake.media_of", breaks)
    await world.tg.admin.update_settings(short_updates=False)
    life = await world.live()
    await life.connected()
    for text in ("odd one", "one"):
        await alice.say(world.name, text)
    await world.wait_texts(world.alice, ["odd one", "one"])
    await life.stop()
    for text in ("odd two", "two"):
        await alice.say(world.name, text)
    life = await world.live()
    await world.wait_texts(world.alice, ["odd one", "one", "odd two", "two"])
    assert [row.media for row in await world.pending(world.alice)] == [{"kind": "other"}, None] * 2
    said = capsys.readouterr().out
    assert said.count("telegram.not_understood") == 2
    assert "planted" not in said


async def test_no_text_gets_into_the_logs(world: World, alice: Person, capsys, caplog):
    caplog.set_level(0)
    life = await world.live()
    await life.connected()
    echo = asyncio.create_task(Echo(world, life).run())
    await alice.say(world.name, "planted secret text")
    await answered_once(world, alice, ["planted secret text"])
    await world.tg.admin.cut(world.bot.id)
    await until(lambda: not life.telegram.connected)
    await life.connected()
    echo.cancel()
    await asyncio.gather(echo, return_exceptions=True)
    written = capsys.readouterr()
    ours = [record for record in caplog.records if record.name.startswith(("botrunner", "telethon.botfleet"))]
    assert "planted" not in written.out + written.err + str(ours)
    assert world.token.token not in written.out + written.err
