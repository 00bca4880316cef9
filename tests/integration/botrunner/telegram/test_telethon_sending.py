"""Facts about Telethon that the runner is built on: what a send comes to, and what the answer to it moves."""

import asyncio
import time
from typing import Any

import pytest
from telethon import errors, utils
from telethon.extensions import BinaryReader
from telethon.extensions import markdown as telethon_markdown
from telethon.tl import functions, types

from botrunner.telegram.wire_entities import wire_entities
from tests.integration.botrunner.telegram.telethon_bot import Bot, Hooked
from tests.waiting import until


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
    calls = await bot.tg.admin.last_call()
    began = time.monotonic()
    with pytest.raises(errors.RandomIdDuplicateError):
        await client._sender.send(raw)
    assert time.monotonic() - began < 1
    assert await bot.tg.admin.call_count("messages.sendMessage", after=calls) == 1
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


async def test_a_short_flood_wait_is_slept_through_inside_the_call_unless_the_threshold_forbids_it(bot: Bot):
    """Why the threshold is 0: the outbox schedules, and no chat waits for another one's."""
    await bot.hear("hello")
    client = await bot.client()
    assert client.flood_sleep_threshold == 60
    request = functions.messages.SendMessageRequest(types.InputPeerUser(bot.alice, 0), "hi", random_id=42)
    await bot.tg.admin.add_fault("error", method="messages.sendMessage", message="FLOOD_WAIT_1")
    began = time.monotonic()
    await client(request)
    assert time.monotonic() - began >= 1
    client.flood_sleep_threshold = 0
    await bot.tg.admin.clear_faults()
    await bot.tg.admin.add_fault("error", method="messages.sendMessage", message="FLOOD_WAIT_1")
    with pytest.raises(errors.FloodWaitError):
        await client(functions.messages.SendMessageRequest(types.InputPeerUser(bot.alice, 0), "ho", random_id=43))


async def test_a_request_that_waits_for_a_reconnect_is_never_ended_by_a_disconnect(
    bot: Bot, caplog: pytest.LogCaptureFixture
):
    """Why every request has a deadline of its own."""
    await bot.hear("hello")
    client = await bot.client(retry_delay=1, connection_retries=None)
    # Where nobody listens: a request written to a connection that was taken and closed again ends with that connection.
    client._sender._connection._port = 1
    await bot.tg.admin.cut(bot.name)
    await until(lambda: "at connecting failed" in caplog.text)
    request = functions.messages.SendMessageRequest(types.InputPeerUser(bot.alice, 0), "hi", random_id=42)
    await request.resolve(client, utils)
    asking = client._sender.send(request)
    await client.disconnect()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asking), 1)
    assert not asking.done()
    asking.cancel()
