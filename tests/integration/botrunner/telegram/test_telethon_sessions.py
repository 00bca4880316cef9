"""Facts about Telethon that the runner is built on: what a session keeps, what a login does to it, what a dead key looks like."""

import asyncio
from datetime import UTC, datetime

import pytest
import telethon
from telethon import errors
from telethon._updates.session import SessionState
from telethon.crypto import rsa
from telethon.sessions import StringSession
from telethon.tl import functions, types

from tests.integration.botrunner.telegram.telethon_bot import Bot, Hooked
from tests.waiting import DEADLINE, until


def test_the_version_is_the_one_whose_private_parts_are_known():
    assert telethon.__version__ == "1.45.0"


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
    alice = types.User(bot.alice, access_hash=9)
    session.process_entities(types.contacts.ResolvedPeer(types.PeerUser(bot.alice), [], [alice]))
    assert session.get_input_entity(bot.alice).user_id == bot.alice
    again = StringSession(session.save())
    assert again.get_update_state(0) is None
    with pytest.raises(ValueError, match="Could not find input entity"):
        again.get_input_entity(bot.alice)


async def test_a_stored_state_and_catch_up_fetch_what_was_missed_and_the_servers_state_is_not_asked_for(bot: Bot):
    state = await bot.pts()
    await bot.hear("while away")
    client = await bot.client(Hooked, state=state)
    await until(lambda: [text for text, _ in client.seen] == ["while away"])
    assert await bot.world.calls("updates.getState") == 0


async def test_without_a_stored_state_what_was_missed_is_skipped(bot: Bot):
    await bot.hear("while away")
    client = await bot.client(Hooked, catch_up=True)
    await bot.hear("live")
    await until(lambda: client.seen)
    assert [text for text, _ in client.seen] == ["live"]


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


async def test_a_string_session_carries_the_address_and_needs_no_public_key_of_the_server(bot: Bot, monkeypatch):
    """Why the key of the server is wanted for a first login only."""
    monkeypatch.setattr(rsa, "_server_keys", {})
    session = StringSession(bot.session)
    assert (session.server_address, session.port) == (bot.tg.host, bot.tg.port)
    client = await bot.client()
    assert (await client(functions.updates.GetStateRequest())).pts == await bot.pts()


async def test_a_login_takes_the_servers_state_over_ours(bot: Bot):
    """Why the client that logs in is another one than the client that takes in."""
    await bot.hear("while away")
    client = await bot.unauthorized()
    client._message_box.load(SessionState(0, 0, False, 1, 0, 1, 0, None), [])
    await client.sign_in(bot_token=bot.world.token.token)
    assert client._message_box.session_state()[0]["pts"] == await bot.pts() > 1


async def test_a_client_with_a_stored_state_and_a_key_that_is_not_authorized_ends_itself(bot: Bot):
    client = await bot.unauthorized(state=1)
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await asyncio.wait_for(client.run_until_disconnected(), DEADLINE)


async def test_each_login_with_an_empty_session_makes_a_key_of_its_own(bot: Bot):
    """Why the key is stored before the token is shown: a second login would be another session."""
    first, second = [await bot.unauthorized() for _ in range(2)]
    assert first.session.auth_key.key != second.session.auth_key.key
