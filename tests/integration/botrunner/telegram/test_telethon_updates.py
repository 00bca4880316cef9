"""Facts about Telethon that the runner is built on: what comes through the hook, what a difference brings, what is dropped.

An upgrade of Telethon that changes one of them fails here, and not in somebody's chat. docs/design/message-path.md has the
measurements.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from telethon import TelegramClient, events, utils
from telethon._updates import EntityCache, GapError, MessageBox
from telethon._updates.messagebox import ENTRY_ACCOUNT
from telethon._updates.session import ChannelState, SessionState
from telethon.tl import functions, types

from tests.integration.botrunner.telegram.harness import World
from tests.integration.botrunner.telegram.telethon_bot import Bot, Hooked, hear, memory_of, note
from tests.waiting import DEADLINE, until

DATE = datetime(2026, 1, 2, tzinfo=UTC)


async def test_the_hook_runs_one_at_a_time_after_the_pts_moved_and_before_handlers(bot: Bot):
    client = await bot.client(Hooked, state=await bot.pts())
    handled: list[int] = []
    client.add_event_handler(lambda event: note(handled, len(client.seen)), events.NewMessage)
    before = await bot.pts()
    for number in range(5):
        await bot.hear(str(number))
    await until(lambda: len(handled) == 5)
    assert [text for text, _ in client.seen] == ["0", "1", "2", "3", "4"]
    assert client.seen[0][1] > before
    assert not client.overlapped
    assert handled[0] >= 1


async def test_an_exception_in_the_hook_ends_the_update_loop_and_disconnects(bot: Bot):
    client = await bot.client(Hooked, state=await bot.pts())
    client.fails = True
    await bot.hear("hello")
    await until(lambda: not client.is_connected())


class Keeping(Hooked):
    """As the runner's: it hands nothing on."""

    async def _preprocess_updates(self, found: Any, users: Any, chats: Any) -> Any:
        await super()._preprocess_updates(found, users, chats)
        return []


async def test_what_the_hook_does_not_hand_on_is_not_dispatched_and_costs_no_question_who_we_are(bot: Bot):
    """Telethon asks before it dispatches, once for each update that comes before the answer."""
    client = await bot.client(Keeping, state=await bot.pts())
    handled: list[int] = []
    client.add_event_handler(lambda event: note(handled, 1), events.NewMessage)
    for text in ("one", "two"):
        await bot.hear(text)
    await until(lambda: [text for text, _ in client.seen] == ["one", "two"])
    await client(functions.updates.GetStateRequest())  # its answer comes after whatever was asked before it
    assert handled == []
    assert await bot.world.calls("users.getUsers") == 0


async def test_after_its_own_reconnect_telethon_does_not_fetch_the_gap(bot: Bot):
    client = await bot.client(Hooked, state=await bot.pts(), retry_delay=1)
    fault = await bot.tg.admin.add_fault("refuse", times=None)
    await bot.tg.admin.cut(bot.name)
    await bot.tg.admin.wait_fault(fault.id)
    await bot.hear("during the cut")
    await bot.tg.admin.clear_faults()
    await bot.tg.admin.wait_connections(bot.name, receiving=True)
    await asyncio.sleep(2)
    assert client.seen == []
    await client.catch_up()
    await until(lambda: client.seen)


async def test_in_silence_telethon_notices_nothing_and_catching_up_fetches_what_was_missed(bot: Bot):
    """Why receiving is proved: the connection is up, requests are answered, and nothing comes."""
    client = await bot.client(Hooked, state=await bot.pts())
    await bot.differences()
    await bot.tg.admin.add_fault("silence", account=bot.name)
    await bot.hear("in silence")
    calls = await bot.tg.admin.last_call()
    assert (await client(functions.updates.GetStateRequest())).pts == await bot.pts()
    await asyncio.sleep(2)
    assert client.is_connected()
    assert client.seen == []
    assert await bot.tg.admin.call_count("updates.getDifference", after=calls) == 0
    await client.catch_up()
    await until(lambda: [text for text, _ in client.seen] == ["in silence"])


async def test_asking_for_the_servers_state_moves_nothing_of_ours(bot: Bot):
    client = await bot.client(Hooked, state=await bot.pts())
    await bot.differences()
    await bot.tg.admin.add_fault("silence", account=bot.name)
    await bot.hear("in silence")
    before = client._message_box.session_state()
    asked = await client._sender.send(functions.updates.GetStateRequest())
    assert asked.pts > before[0]["pts"]
    assert client._message_box.session_state() == before
    assert client.session.get_update_state(0).pts == before[0]["pts"]


async def test_with_a_stored_state_ahead_of_the_servers_every_update_is_dropped_and_catching_up_does_not_help(bot: Bot):
    client = await bot.client(Hooked, state=await bot.pts() + 1000)
    await bot.differences()
    for number in range(3):
        await bot.hear(str(number))
    await client.catch_up()
    await bot.differences(2)
    assert (await client(functions.updates.GetStateRequest())).pts == await bot.pts()  # after all that was pushed
    await asyncio.sleep(1)
    assert client.seen == []
    assert client.is_connected()
    assert client._message_box.session_state()[0]["pts"] > await bot.pts()


async def test_what_was_pushed_is_told_from_the_answer_to_a_request_of_ours_and_both_move_the_pts(bot: Bot):
    class Box(MessageBox):
        def process_updates(self, found: Any, *rest: Any) -> Any:
            before = self.session_state()[0]["pts"]
            try:
                return super().process_updates(found, *rest)
            finally:
                if self.session_state()[0]["pts"] != before:
                    moved.append(getattr(found, "_self_outgoing", False))

    class Boxed(TelegramClient):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._message_box = Box(self._log["messagebox"])

    moved: list[bool] = []
    await bot.tg.admin.update_settings(short_updates=False)
    client = await bot.client(Boxed, state=await bot.pts())
    await bot.differences()
    await bot.hear("pushed")
    await until(lambda: moved == [False])
    await client._sender.send(
        functions.messages.SendMessageRequest(types.InputPeerUser(bot.alice, 0), "hi", random_id=42)
    )
    await until(lambda: moved == [False, True])


async def test_catching_up_means_the_account_and_no_channel():
    box = MessageBox(logging.getLogger("test"))
    box.load(SessionState(0, 0, False, 10, 0, 1, 0, None), [ChannelState(2001, 3)])
    with pytest.raises(GapError):
        box.process_updates(types.UpdatesTooLong(), EntityCache(), [])
    assert box.getting_diff_for == {ENTRY_ACCOUNT}


async def test_a_difference_that_meets_a_flood_wait_is_given_up(bot: Bot):
    """Why the inbox client answers these two requests itself."""
    state = await bot.pts()
    await bot.hear("while away")
    await bot.tg.admin.add_fault("error", method="updates.getDifference", message="FLOOD_WAIT_1")
    client = await bot.client(Hooked, state=state, flood_sleep_threshold=0)
    await bot.tg.admin.wait_for_call("updates.getDifference", outcome="FLOOD_WAIT_1")
    await asyncio.sleep(2)
    assert client.seen == []
    assert await bot.world.calls("updates.getDifference") == 1


async def test_a_new_session_of_the_server_is_told_through_the_senders_table(bot: Bot):
    told: list[Any] = []

    class Told(TelegramClient):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._sender._handlers[types.NewSessionCreated.CONSTRUCTOR_ID] = self._told

        async def _told(self, message: Any) -> None:
            told.append(message.obj)

    await bot.client(Told)
    await until(lambda: told)
    assert isinstance(told[0], types.NewSessionCreated)


async def test_a_raw_read_receipt_moves_the_pts_as_any_update_does_and_leaves_no_gap(world: World):
    person = await world.tg.admin.create_session(world.phone)
    client = TelegramClient(memory_of(person), 1, "hash", request_retries=1)
    await client.connect()
    try:
        await client.get_me()
        bots_id = await client.get_input_entity(world.name)
        heard: list[str] = []
        client.add_event_handler(lambda event: hear(heard, event.raw_text), events.NewMessage(incoming=True))
        await world.tg.admin.send_message(world.alice, world.name, "hello")
        await world.tg.admin.send_message(world.name, world.alice, "one")
        await until(lambda: heard == ["one"])
        before, pts = await world.calls("updates.getDifference"), (await world.tg.admin.state(world.alice)).pts
        request = functions.messages.ReadHistoryRequest(bots_id, 0)
        await request.resolve(client, utils)
        await client._sender.send(request)
        assert (await world.tg.admin.state(world.alice)).pts > pts
        await world.tg.admin.send_message(world.name, world.alice, "two")
        await until(lambda: heard == ["one", "two"])
        state = client._message_box.session_state()[0]
        assert state["pts"] == (await world.tg.admin.state(world.alice)).pts
        assert await world.calls("updates.getDifference") == before
    finally:
        await client.disconnect()


def box_with_a_channel() -> MessageBox:
    box = MessageBox(logging.getLogger("test"))
    box.load(SessionState(0, 0, False, 10, 0, 1, 0, None), [ChannelState(2001, 3)])
    return box


def message(number: int) -> Any:
    return types.Message(id=number, peer_id=types.PeerUser(5), date=DATE, message="hi")


def channel_request() -> Any:
    channel = types.InputChannel(2001, 9)
    return functions.updates.GetChannelDifferenceRequest(channel, types.ChannelMessagesFilterEmpty(), 3, 100)


async def test_of_a_difference_edits_deletions_and_unknown_channels_are_dropped_and_other_updates_come_first():
    """Why the raw difference goes into the transaction."""
    box = box_with_a_channel()
    with pytest.raises(GapError):
        box.process_updates(types.UpdatesTooLong(), EntityCache(), [])
    dropped = [
        types.UpdateEditMessage(message(1), 15, 1),
        types.UpdateDeleteMessages([1], 16, 1),
        types.UpdateChannelTooLong(9009),
    ]
    kept = types.UpdateUserTyping(5, types.SendMessageTypingAction())
    state = types.updates.State(20, 0, DATE, 0, 0)
    difference = types.updates.Difference([message(2)], [], [*dropped, kept], [], [], state)
    found, _, _ = box.apply_difference(difference, EntityCache())
    assert found[0] == kept
    assert [update.message.id for update in found[1:]] == [2]
    assert box.session_state() == ({"pts": 20, "qts": 0, "date": DATE, "seq": 0}, {2001: 3})


async def test_of_a_channels_difference_edits_and_deletions_are_dropped():
    box = box_with_a_channel()
    box.try_begin_get_diff(2001, "")
    dropped = [types.UpdateDeleteChannelMessages(2001, [1], 5, 1), types.UpdateEditChannelMessage(message(1), 6, 1)]
    difference = types.updates.ChannelDifference(6, [message(2)], dropped, [], [], final=True)
    found, _, _ = box.apply_channel_difference(channel_request(), difference, EntityCache())
    assert [type(update) for update in found] == [types.UpdateNewChannelMessage]
    assert box.session_state()[1] == {2001: 6}


async def test_a_difference_that_is_too_long_moves_the_pts_and_brings_nothing():
    box = box_with_a_channel()
    with pytest.raises(GapError):
        box.process_updates(types.UpdatesTooLong(), EntityCache(), [])
    assert box.apply_difference(types.updates.DifferenceTooLong(500), EntityCache()) == ([], [], [])
    dialog = types.Dialog(types.PeerChannel(2001), 9, 0, 0, 0, 0, 0, 0, types.PeerNotifySettings(), pts=400)
    too_long = types.updates.ChannelDifferenceTooLong(dialog, [message(9)], [], [], final=True)
    assert box.apply_channel_difference(channel_request(), too_long, EntityCache()) == ([], [], [])
    account, channels = box.session_state()
    assert account["pts"] == 500
    assert channels == {2001: 400}


async def test_without_a_channels_hash_its_difference_is_not_asked_for_and_its_state_is_forgotten():
    """Why the hashes of all stored channels are put into the session."""
    box = box_with_a_channel()
    box.try_begin_get_diff(2001, "")
    assert box.get_channel_difference(EntityCache()) is None
    assert box.session_state()[1] == {}


@pytest.mark.parametrize("where", ["private", "group"])
async def test_the_short_forms_of_a_message_carry_a_string_and_nobodys_hash(bot: Bot, where: str):
    seen: list[tuple[Any, list[Any]]] = []

    class Short(TelegramClient):
        async def _preprocess_updates(self, found: Any, users: Any, chats: Any) -> Any:
            seen.extend((update, [*users, *chats]) for update in found)
            return await super()._preprocess_updates(found, users, chats)

    await bot.tg.admin.update_settings(short_updates="always")
    group = await bot.tg.admin.create_group("Family", owner=bot.alice, members=[bot.name])
    await bot.client(Short, state=await bot.pts())
    await bot.differences()
    await bot.tg.admin.send_message(bot.alice, bot.name if where == "private" else group.id, "hello")
    await until(lambda: seen)
    update, entities = seen[0]
    assert isinstance(update, types.UpdateShortMessage if where == "private" else types.UpdateShortChatMessage)
    assert update.message == "hello"
    assert entities == []


async def test_a_graceful_disconnect_cancels_running_handlers_and_saves_the_pts_that_is_past_their_messages(bot: Bot):
    """Why no message lives in a handler."""
    client = await bot.client(state=await bot.pts())
    began, ends = asyncio.Event(), []

    async def handle(event: Any) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    client.add_event_handler(handle, events.NewMessage)
    await bot.hear("half done")
    await asyncio.wait_for(began.wait(), DEADLINE)
    await client.disconnect()
    assert ends == ["cancelled"]
    assert client.session.get_update_state(0).pts == await bot.pts()
