"""Sessions, keys, tokens and connections: revoked, duplicated, forgotten, refused, cut; what the client is told each time."""

import asyncio
import contextlib

import pytest
from telethon import TelegramClient, errors, functions
from telethon.sessions import StringSession

from botfleet_simulator import person as person_module
from botfleet_simulator.person import Person
from tests.waiting import DEADLINE

from .conftest import Bench

STATE = functions.updates.GetStateRequest


async def connected_again(client: TelegramClient, timeout: float = DEADLINE) -> None:
    """Wait until a client's reconnect has been answered."""
    async with asyncio.timeout(timeout):
        while True:
            with contextlib.suppress(ConnectionError, errors.RPCError):
                await client.get_me()
                return
            await asyncio.sleep(0.05)


async def test_a_second_live_connection_kills_the_key_for_both(bench: Bench):
    bot, _ = await bench.pair()
    session = await bench.admin.create_session(bot.id)
    first = await bench.client(session)
    await first(STATE())
    await bench.admin.add_fault("auth_key_duplicated", account=bot.id)
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await bench.client(session)
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await first(STATE())
    assert [s.state for s in await bench.admin.sessions(bot.id)] == ["AUTH_KEY_DUPLICATED"]
    await first.disconnect()
    await bench.admin.clear_faults()
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await bench.client(session)


async def test_one_connection_after_another_is_no_duplicate(bench: Bench):
    bot, _ = await bench.pair()
    await bench.admin.update_settings(duplicate_keys="refuse")
    session = await bench.admin.create_session(bot.id)
    for _ in range(3):
        client = await bench.client(session)
        await client(STATE())
        await client.disconnect()
        await bench.admin.wait_connections(bot.id, count=0, exactly=True)


async def test_a_forgotten_key_is_answered_with_minus_404(bench: Bench):
    bot, _ = await bench.pair()
    client = await bench.client(bot, connection_retries=1)
    await client(STATE())
    await bench.admin.add_fault("forget_key", account=bot.id)
    with pytest.raises((errors.AuthKeyNotFound, ConnectionError)):
        await asyncio.wait_for(client(STATE()), DEADLINE)
    with contextlib.suppress(errors.AuthKeyNotFound):
        await client.disconnected


@pytest.mark.parametrize("error", ["AUTH_KEY_UNREGISTERED", "SESSION_REVOKED", "SESSION_EXPIRED"])
async def test_a_revoked_session_says_so_and_stays_connected(bench: Bench, error: str):
    bot, _ = await bench.pair()
    client = await bench.client(bot)
    await client(STATE())
    assert await bench.admin.revoke_sessions(bot.id, error=error) == 1
    with pytest.raises(errors.UnauthorizedError) as caught:
        await client(STATE())
    assert type(caught.value) is errors.rpcerrorlist.rpc_errors_dict[error]
    assert client.is_connected()


async def test_deactivated_and_banned_accounts_are_told(bench: Bench):
    bot, person = await bench.pair()
    client = await bench.client(person)
    await bench.admin.update_account(person.id, deactivated=True)
    with pytest.raises(errors.UserDeactivatedError):
        await client(STATE())
    await bench.admin.update_account(person.id, deactivated=False, banned=True)
    with pytest.raises(errors.UserDeactivatedBanError):
        await client(STATE())
    await bench.admin.update_account(person.id, banned=False)
    await client.send_message(bot.username, "back")


async def test_tokens_can_expire_and_be_replaced(bench: Bench):
    bot, _ = await bench.pair()
    await bench.admin.update_account(bot.id, token_expired=True)
    with pytest.raises(errors.AccessTokenExpiredError):
        await (await bench.client()).sign_in(bot_token=bot.token)
    fresh = f"{bot.id}:AAanotherTokenOfTheSameBot"
    await bench.admin.update_account(bot.id, token=fresh, token_expired=False)
    with pytest.raises(errors.AccessTokenInvalidError):
        await (await bench.client()).sign_in(bot_token=bot.token)
    assert (await (await bench.client()).sign_in(bot_token=fresh)).id == bot.id


async def test_refused_connections_and_a_hanging_handshake(bench: Bench):
    await bench.admin.add_fault("refuse", times=1)
    reader, writer = await asyncio.open_connection(bench.server.host, bench.server.port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
    writer.close()
    fault = await bench.admin.add_fault("hang_handshake", times=1)
    hanging = asyncio.create_task(_try_to_connect(bench))
    await bench.admin.wait_fault(fault.id)
    await bench.client()
    assert not hanging.done()
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_a_wrong_salt_is_corrected_without_the_caller_noticing(bench: Bench):
    bot, _ = await bench.pair()
    client = await bench.client(bot)
    await client(STATE())
    fault = await bench.admin.add_fault("bad_salt", account=bot.id)
    await client(STATE())
    assert (await bench.admin.fault(fault.id)).hits == 1


async def test_a_cut_by_the_admin_port_ends_the_accounts_connections_alone(bench: Bench):
    bot, person = await bench.pair()
    first, second = await bench.client(bot), await bench.client(person)
    await first(STATE())
    await second(STATE())
    (stays,) = await bench.admin.wait_connections(person.id)
    assert await bench.admin.cut(bot.id) == 1
    await connected_again(first)
    assert [c.id for c in await bench.admin.connections(person.id)] == [stays.id]


async def test_a_person_gets_all_replies_in_order_over_a_cut(bench: Bench):
    bot, person = await bench.pair()
    assert bot.username is not None
    assert person.phone is not None
    server = bench.server
    async with Person(server.host, server.port, server.public_key, phone=person.phone, admin=bench.admin) as alice:
        await alice.say(bot.username, "begin")
        await bench.admin.send_message(bot.id, person.id, "reply 0")
        assert (await alice.wait_reply(bot.username)).text == "reply 0"
        fault = await bench.admin.add_fault("refuse")
        await bench.admin.cut(person.id)
        for number in range(1, 4):
            await bench.admin.send_message(bot.id, person.id, f"reply {number}")
        await bench.admin.remove_fault(fault.id)
        got = await alice.wait_replies(bot.username, 4, timeout=DEADLINE)
        assert [reply.text for reply in got] == [f"reply {number}" for number in range(4)]
        assert (await alice.wait_reply(bot.username)).text == "reply 1"


async def test_what_came_in_a_former_session_is_no_reply_to_what_is_said_in_this_one(bench: Bench, monkeypatch):
    monkeypatch.setattr(person_module, "LOOK_SECONDS", 0.05)
    bot, person = await bench.pair()
    assert bot.username is not None
    assert person.phone is not None
    server = bench.server
    for number in (1, 2):
        async with Person(server.host, server.port, server.public_key, phone=person.phone, admin=bench.admin) as alice:
            await alice.say(bot.username, "hello")
            with pytest.raises(TimeoutError):
                await alice.wait_reply(bot.username, timeout=0.5)
            await bench.admin.send_message(bot.id, person.id, f"reply {number}")
            assert (await alice.wait_reply(bot.username)).text == f"reply {number}"


async def _try_to_connect(bench: Bench) -> None:
    session = StringSession()
    session.set_dc(2, bench.server.host, bench.server.port)
    client = TelegramClient(session, 1, "x", connection_retries=1)
    try:
        await client.connect()
    finally:
        await client.disconnect()
