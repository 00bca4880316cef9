"""Facts about Telethon that the runner is built on, most of them about its private parts.

An upgrade of Telethon that changes one of them fails here, and not in somebody's chat. docs/design/message-path.md has the
measurements.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import telethon
from telethon import TelegramClient, errors, events, utils
from telethon._updates import EntityCache, GapError, MessageBox
from telethon._updates.messagebox import ENTRY_ACCOUNT
from telethon._updates.session import ChannelState, SessionState
from telethon.extensions import BinaryReader
from telethon.extensions import markdown as telethon_markdown
from telethon.sessions import MemorySession, StringSession
from telethon.tl import functions, types

from botrunner.ownership.clock import LeaseClock, now
from botrunner.ownership.cutoff import CutOff
from botrunner.telegram.wire_entities import wire_entities
from tests.integration.botrunner.telegram.harness import World
from tests.waiting import until


def memory_of(text: str) -> MemorySession:
    """A session that can keep a state, with the key of another one."""
    source, session = StringSession(text), MemorySession()
    session.set_dc(source.dc_id, source.server_address, source.port)
    session.auth_key = source.auth_key
    return session


class Bot:
    """A bot account whose key is authorized, and clients of it."""

    def __init__(self, world: World, session: str) -> None:
        self.tg, self.name, self.alice, self.session = world.tg, world.name, world.alice, session
        self.world = world
        self.clients: list[TelegramClient] = []

    async def client(
        self, kind: type[TelegramClient] = TelegramClient, *, state: int | None = None, **options: Any
    ) -> Any:
        session: Any = StringSession(self.session)
        if state is not None:
            session = memory_of(self.session)
            session.set_update_state(0, types.updates.State(state, 0, datetime.now(UTC), 0, 0))
        made = kind(session, 1, "hash", **{"request_retries": 1, "catch_up": state is not None, **options})
        self.clients.append(made)
        await made.connect()
        return made

    async def pts(self) -> int:
        return (await self.tg.admin.state(self.name)).pts

    async def differences(self, count: int = 1) -> None:
        """Until so many have been answered: what comes later comes after them."""
        await self.tg.admin.wait_for_call(
            "updates.getDifference", account=self.name, count=count, after=self.world.since, outcome="ok"
        )

    async def hear(self, text: str) -> None:
        await self.tg.admin.send_message(self.alice, self.name, text)


@pytest.fixture
async def bot(world: World) -> AsyncIterator[Bot]:
    made = Bot(world, await world.tg.admin.create_session(world.name))
    yield made
    for client in made.clients:
        await client.disconnect()
        if client._sender._disconnected.done() and not client._sender._disconnected.cancelled():
            client._sender._disconnected.exception()


def test_the_version_is_the_one_whose_private_parts_are_known():
    assert telethon.__version__ == "1.45.0"


class Hooked(TelegramClient):
    """Notes what comes through the hook, and how the state stood."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[tuple[str, int]] = []
        self.inside = 0
        self.overlapped = False
        self.fails = False

    async def _preprocess_updates(self, found: Any, users: Any, chats: Any) -> Any:
        self.overlapped = self.overlapped or self.inside > 0
        self.inside += 1
        await asyncio.sleep(0.02)
        self.inside -= 1
        for update in found:
            message = getattr(update, "message", None)
            text = message if isinstance(message, str) else getattr(message, "message", None)
            if text is not None:
                self.seen.append((text, self._message_box.session_state()[0]["pts"]))
        if self.fails and self.seen:  # not at the empty difference of the start
            raise RuntimeError("on purpose")
        return await super()._preprocess_updates(found, users, chats)


async def test_the_hook_runs_one_at_a_time_after_the_pts_moved_and_before_handlers(bot: Bot):
    client = await bot.client(Hooked, state=await bot.pts())
    handled: list[int] = []
    client.add_event_handler(lambda event: _note(handled, len(client.seen)), events.NewMessage)
    before = await bot.pts()
    for number in range(5):
        await bot.hear(str(number))
    await until(lambda: len(handled) == 5)
    assert [text for text, _ in client.seen] == ["0", "1", "2", "3", "4"]
    assert client.seen[0][1] > before
    assert not client.overlapped
    assert handled[0] >= 1


async def _note(handled: list[int], count: int) -> None:
    handled.append(count)


async def test_an_exception_in_the_hook_ends_the_update_loop_and_disconnects(bot: Bot):
    client = await bot.client(Hooked, state=await bot.pts())
    client.fails = True
    await bot.hear("hello")
    await until(lambda: not client.is_connected())


async def test_a_session_that_outlives_a_failed_hook_has_the_message_behind_it(bot: Bot):
    """Why client and session are thrown away together, and the state is given back from the store."""
    before = await bot.pts()
    client = await bot.client(Hooked, state=before)
    client.fails = True
    await bot.hear("lost")
    await until(lambda: not client.is_connected())
    await until(lambda: client.session.get_update_state(0).pts > before)


async def test_a_string_session_keeps_neither_a_state_nor_entities(bot: Bot):
    session = StringSession(bot.session)
    session.set_update_state(0, types.updates.State(5, 0, datetime.now(UTC), 0, 0))
    assert StringSession(session.save()).get_update_state(0) is None


async def test_a_stored_state_and_catch_up_fetch_what_was_missed_and_the_servers_state_is_not_asked_for(bot: Bot):
    state = await bot.pts()
    await bot.hear("while away")
    client = await bot.client(Hooked, state=state)
    await until(lambda: [text for text, _ in client.seen] == ["while away"])
    assert await bot.world.calls("updates.getState") == 0


class Keeping(Hooked):
    """As the runner's: it hands nothing on."""

    async def _preprocess_updates(self, found: Any, users: Any, chats: Any) -> Any:
        await super()._preprocess_updates(found, users, chats)
        return []


async def test_what_the_hook_does_not_hand_on_is_not_dispatched_and_costs_no_question_who_we_are(bot: Bot):
    """Telethon asks before it dispatches, once for each update that comes before the answer."""
    client = await bot.client(Keeping, state=await bot.pts())
    handled: list[int] = []
    client.add_event_handler(lambda event: _note(handled, 1), events.NewMessage)
    for text in ("one", "two"):
        await bot.hear(text)
    await until(lambda: [text for text, _ in client.seen] == ["one", "two"])
    await client(functions.updates.GetStateRequest())  # its answer comes after whatever was asked before it
    assert handled == []
    assert await bot.world.calls("users.getUsers") == 0


async def test_without_a_stored_state_what_was_missed_is_skipped(bot: Bot):
    await bot.hear("while away")
    client = await bot.client(Hooked, catch_up=True)
    await bot.hear("live")
    await until(lambda: client.seen)
    assert [text for text, _ in client.seen] == ["live"]


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
    class Box(MessageBox):  # type: ignore[misc]
        def process_updates(self, found: Any, *rest: Any) -> Any:
            before = self.session_state()[0]["pts"]
            try:
                return super().process_updates(found, *rest)
            finally:
                if self.session_state()[0]["pts"] != before:
                    moved.append(getattr(found, "_self_outgoing", False))

    class Boxed(TelegramClient):  # type: ignore[misc]
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


async def test_a_repeated_random_id_is_an_error_that_telethon_retries_for_seconds_and_a_raw_send_does_not(bot: Bot):
    await bot.tg.admin.update_settings(random_id_repeat="duplicate")
    await bot.hear("hello")
    client = await bot.client(request_retries=1)
    peer = types.InputPeerUser(bot.alice, 0)

    def request() -> Any:
        return functions.messages.SendMessageRequest(peer, "hi", random_id=42)

    await client(request())
    raw = request()
    await raw.resolve(client, utils)
    began = time.monotonic()
    with pytest.raises(errors.RandomIdDuplicateError):
        await client._sender.send(raw)
    assert time.monotonic() - began < 1
    began = time.monotonic()
    with pytest.raises(ValueError, match="unsuccessful"):
        await client(request())
    assert time.monotonic() - began >= 2


async def test_after_a_flood_wait_telethon_refuses_that_request_by_itself_and_a_raw_send_does_not(bot: Bot):
    await bot.hear("hello")
    client = await bot.client(flood_sleep_threshold=0)
    await bot.tg.admin.add_fault("error", method="messages.sendMessage", message="FLOOD_WAIT_60")
    request = functions.messages.SendMessageRequest(types.InputPeerUser(bot.alice, 0), "hi", random_id=42)
    with pytest.raises(errors.FloodWaitError):
        await client(request)
    calls = await bot.tg.admin.last_call()
    with pytest.raises(errors.FloodWaitError):
        await client(request)
    assert await bot.tg.admin.call_count("messages.sendMessage", after=calls) == 0
    await client._sender.send(request)


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


async def test_a_lost_authorization_leaves_the_client_connected(bot: Bot):
    client = await bot.client()
    await bot.tg.admin.add_fault("error", method="updates.getState", message="SESSION_REVOKED")
    with pytest.raises(errors.SessionRevokedError):
        await client(functions.updates.GetStateRequest())
    assert client.is_connected()


async def test_a_key_that_the_server_does_not_know_raises_out_of_connect(bot: Bot):
    await bot.tg.admin.revoke_sessions(bot.name, error="FORGET")
    with pytest.raises(errors.AuthKeyNotFound):
        await bot.client(auto_reconnect=False)


async def test_connect_has_no_deadline_of_its_own_in_the_handshake(bot: Bot):
    await bot.tg.admin.add_fault("hang_handshake", times=None)
    client = TelegramClient(StringSession(bot.session), 1, "hash", timeout=1, connection_retries=0)
    bot.clients.append(client)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.connect(), 3)


async def test_telethon_reconnects_by_itself_after_its_socket_was_shut_from_outside(bot: Bot):
    client = await bot.client(retry_delay=1)
    first = await bot.tg.admin.wait_connections(bot.name)
    calls = await bot.tg.admin.last_call()
    _shut(client)
    await bot.tg.admin.wait_for_call("users.getUsers", account=bot.name, after=calls, timeout=10)
    assert (await bot.tg.admin.wait_connections(bot.name))[0].id != first[0].id


async def test_the_guarded_connection_stops_that_for_good(bot: Bot):
    guard = CutOff(LeaseClock(60, now()))
    client = await bot.client(connection=guard.connection_class(), retry_delay=1, connection_retries=None)
    await bot.tg.admin.wait_connections(bot.name)
    guard.cut()
    await bot.tg.admin.wait_connections(bot.name, count=0, exactly=True)
    calls = await bot.tg.admin.last_call()
    await asyncio.sleep(4)  # Telethon's own reconnect comes 3 s after
    assert await bot.tg.admin.connections(bot.name) == []
    assert await bot.tg.admin.last_call() == calls
    await client.disconnect()
    guard.close()


async def test_past_the_limit_nothing_is_sent_on_a_socket_that_is_still_open(bot: Bot):
    guard = CutOff(LeaseClock(60, now()))
    client = await bot.client(connection=guard.connection_class(), auto_reconnect=False)
    calls = await bot.tg.admin.last_call()
    guard.clock.end()  # the thread has not woken yet
    asking = asyncio.ensure_future(client(functions.help.GetConfigRequest()))
    await bot.tg.admin.wait_connections(bot.name, count=0, exactly=True)
    # Telethon may never end a request whose connection ended under it: the runner's have deadlines.
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await bot.tg.admin.last_call() == calls
    guard.close()


async def test_without_auto_reconnect_a_lost_connection_ends_the_client_with_its_error(bot: Bot):
    client = await bot.client(auto_reconnect=False)
    await bot.tg.admin.cut(bot.name)
    with pytest.raises((OSError, EOFError)):
        await asyncio.wait_for(client.disconnected, 10)
    assert not client.is_connected()


async def test_pending_requests_end_with_the_connection(bot: Bot):
    client = await bot.client(auto_reconnect=False)
    await bot.tg.admin.add_fault("hold", method="help.getConfig")
    asking = client._sender.send(functions.help.GetConfigRequest())
    await bot.tg.admin.wait_for_call("help.getConfig", outcome="held")
    await bot.tg.admin.cut(bot.name)
    with pytest.raises((OSError, EOFError, asyncio.CancelledError)):
        await asyncio.wait_for(asking, 10)


async def test_a_late_answer_that_nobody_waits_for_still_reaches_the_message_box(bot: Bot):
    await bot.tg.admin.update_settings(short_updates=False)
    await bot.hear("hello")
    client = await bot.client(Hooked, state=await bot.pts())
    seen: list[Any] = []

    class Box(type(client._message_box)):  # type: ignore[misc]
        def process_updates(self, found: Any, *rest: Any) -> Any:
            if getattr(found, "_self_outgoing", False):
                seen.extend(found.updates)
            return super().process_updates(found, *rest)

    box = Box(client._log["messagebox"])
    for name in ("map", "date", "seq", "next_deadline", "possible_gaps", "getting_diff_for"):
        setattr(box, name, getattr(client._message_box, name))
    client._message_box = box
    held = await bot.tg.admin.add_fault("hold", method="messages.sendMessage")
    sending = client._sender.send(
        functions.messages.SendMessageRequest(types.InputPeerUser(bot.alice, 0), "hi", random_id=42)
    )
    await bot.tg.admin.wait_fault(held.id)
    sending.cancel()
    await bot.tg.admin.release(held.id)
    await until(lambda: any(isinstance(update, types.UpdateMessageID) and update.random_id == 42 for update in seen))


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


async def test_a_descriptor_is_what_every_event_loop_gives_for_a_socket(bot: Bot):
    client = await bot.client()
    assert isinstance(client._sender._connection._writer.get_extra_info("socket").fileno(), int)


def _shut(client: TelegramClient) -> None:
    fileno = client._sender._connection._writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(fileno)) as own:
        own.shutdown(socket.SHUT_RDWR)


def test_telethons_own_markdown_is_not_what_models_write():
    """Why the runner has a parser of its own (docs/design/message-path.md, "The form of an answer")."""
    for text in ("# heading", "- a", "> b", "*italic*"):
        assert telethon_markdown.parse(text) == (text, [])
    text, entities = telethon_markdown.parse("2 ** 3 and 4 ** 5")
    assert "**" not in text
    assert len(entities) == 1
    assert telethon_markdown.parse("[a](javascript:x)")[1] == [types.MessageEntityTextUrl(0, 1, "javascript:x")]


def test_a_raw_request_carries_text_and_entities_as_they_are():
    stored = [{"type": "bold", "offset": 3, "length": 2}, {"type": "pre", "offset": 6, "length": 1, "language": "py"}]
    request = functions.messages.SendMessageRequest(
        types.InputPeerSelf(), "😀 ** x", random_id=1, entities=wire_entities(stored)
    )
    with BinaryReader(bytes(request)) as reader:
        read = reader.tgread_object()
    assert read.message == "😀 ** x"
    assert read.entities == [types.MessageEntityBold(3, 2), types.MessageEntityPre(6, 1, "py")]


async def test_a_raw_read_receipt_moves_the_pts_as_any_update_does_and_leaves_no_gap(world: World):
    person = await world.tg.admin.create_session(world.phone)
    client = TelegramClient(memory_of(person), 1, "hash", request_retries=1)
    await client.connect()
    try:
        await client.get_me()
        bots_id = await client.get_input_entity(world.name)
        heard: list[str] = []
        client.add_event_handler(lambda event: _hear(heard, event.raw_text), events.NewMessage(incoming=True))
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


async def _hear(heard: list[str], text: str) -> None:
    heard.append(text)
