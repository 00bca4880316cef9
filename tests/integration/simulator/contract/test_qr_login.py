"""Logging in by QR code: one client shows a token, another one lets it in."""

import asyncio
from datetime import UTC, datetime

import pytest
from telethon import errors, functions, types

from .conftest import Clients
from .waiting import DEADLINE


async def accept(phone, shown):
    return await phone(functions.auth.AcceptLoginTokenRequest(shown.token))


async def test_who_scans_a_code_lets_the_client_in_that_shows_it(clients: Clients):
    phone, client = await clients.person(1), await clients.connected()
    shown = await client.qr_login()
    assert shown.url.startswith("tg://login?token=")
    assert 0 < (shown.expires - datetime.now(UTC)).total_seconds() <= 60
    waiting = asyncio.create_task(shown.wait())
    await asyncio.sleep(0)  # Telethon listens from here on
    let_in = await accept(phone, shown)
    assert isinstance(let_in, types.Authorization)
    user = await asyncio.wait_for(waiting, DEADLINE)
    assert user.username == clients.person_name(1)
    assert (await client.get_me()).id == user.id
    again = await clients.connected(client.session.save())
    assert (await again.get_me()).id == user.id


async def test_with_two_factor_the_password_is_asked_for_after_the_scan(clients: Clients):
    carol = clients.target.accounts["people"][2]
    phone, client = await clients.connected(), await clients.connected()
    await phone.send_code_request(carol["phone"])
    with pytest.raises(errors.SessionPasswordNeededError):
        await phone.sign_in(carol["phone"], await clients.target.code(carol["phone"]))
    await phone.sign_in(password=carol["password"])
    shown = await client.qr_login()
    waiting = asyncio.create_task(shown.wait())
    await asyncio.sleep(0)
    await accept(phone, shown)
    with pytest.raises(errors.SessionPasswordNeededError):
        await asyncio.wait_for(waiting, DEADLINE)
    assert not await client.is_user_authorized()
    assert (await client.sign_in(password=carol["password"])).username == carol["username"]


async def test_a_code_is_good_once_and_only_the_one_that_is_shown(clients: Clients):
    phone, client = await clients.person(1), await clients.connected()
    shown = await client.qr_login()
    old = shown.token
    await shown.recreate()
    assert shown.token != old
    with pytest.raises(errors.RPCError):
        await phone(functions.auth.AcceptLoginTokenRequest(old))
    await accept(phone, shown)
    with pytest.raises(errors.RPCError):
        await accept(phone, shown)


async def test_a_scan_that_was_not_listened_for_is_found_with_the_next_request(clients: Clients):
    """Telethon's `QRLogin` listens only while it waits."""
    phone, client = await clients.person(1), await clients.connected()
    await accept(phone, await client.qr_login())
    answer = await client(functions.auth.ExportLoginTokenRequest(client.api_id, client.api_hash, []))
    assert isinstance(answer, types.auth.LoginTokenSuccess)
    assert answer.authorization.user.username == clients.person_name(1)


async def test_nobody_lets_a_client_in_who_is_not_logged_in(clients: Clients):
    client, other = await clients.connected(), await clients.connected()
    with pytest.raises(errors.UnauthorizedError):
        await accept(other, await client.qr_login())
    assert not await client.is_user_authorized()
