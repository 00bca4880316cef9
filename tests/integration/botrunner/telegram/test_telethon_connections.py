"""Facts about Telethon that the runner is built on: how connections begin, end and come back."""

import asyncio
import os
import socket

import pytest
from telethon import TelegramClient
from telethon.errors import SecurityError
from telethon.network import authenticator
from telethon.sessions import StringSession
from telethon.tl import functions

from botrunner.ownership.clock import LeaseClock, now
from botrunner.ownership.cutoff import CutOff
from tests.integration.botrunner.telegram.telethon_bot import Bot
from tests.waiting import DEADLINE


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
    await bot.tg.admin.wait_for_call("users.getUsers", account=bot.name, after=calls)
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
    with pytest.raises((ConnectionError, EOFError)):
        await asyncio.wait_for(client.disconnected, DEADLINE)
    assert not client.is_connected()


async def test_pending_requests_end_with_the_connection(bot: Bot):
    client = await bot.client(auto_reconnect=False)
    await bot.tg.admin.add_fault("hold", method="help.getConfig")
    asking = client._sender.send(functions.help.GetConfigRequest())
    await bot.tg.admin.wait_for_call("help.getConfig", outcome="held")
    await bot.tg.admin.cut(bot.name)
    with pytest.raises((ConnectionError, EOFError, asyncio.CancelledError)):
        await asyncio.wait_for(asking, DEADLINE)


async def test_a_descriptor_is_what_every_event_loop_gives_for_a_socket(bot: Bot):
    client = await bot.client()
    assert isinstance(client._sender._connection._writer.get_extra_info("socket").fileno(), int)


def _shut(client: TelegramClient) -> None:
    fileno = client._sender._connection._writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(fileno)) as own:
        own.shutdown(socket.SHUT_RDWR)


async def test_connection_retries_bound_a_reconnect_and_none_goes_on_for_ever(bot: Bot):
    bounded = await bot.client(retry_delay=0.1, connection_retries=2)
    endless = await bot.client(retry_delay=0.1, connection_retries=None)
    bounded._sender._connection._port = (
        1  # where nobody listens: one that is taken and closed again counts as a success
    )
    fault = await bot.tg.admin.add_fault("refuse", times=None)
    await bot.tg.admin.cut(bot.name)
    with pytest.raises(ConnectionError):  # a TimeoutError would be an OSError
        await asyncio.wait_for(bounded.disconnected, DEADLINE)
    await bot.tg.admin.wait_fault(fault.id, hits=8)
    assert not endless.disconnected.done()
    await bot.tg.admin.clear_faults()
    await bot.tg.admin.wait_connections(bot.name)


async def test_an_auth_key_that_fails_once_is_tried_again_by_telethon_itself(bot: Bot, monkeypatch):
    """One in 256 does ("Step 3 invalid new nonce hash")."""
    real, tries = authenticator.do_authentication, []

    async def fails_once(sender: object) -> object:
        tries.append(sender)
        if len(tries) == 1:
            raise SecurityError("Step 3 invalid new nonce hash")
        return await real(sender)

    monkeypatch.setattr(authenticator, "do_authentication", fails_once)
    client = await bot.unauthorized(connection_retries=2, retry_delay=0.1)
    assert len(tries) == 2
    assert client.is_connected()
