"""Logging in: bots by token, people by phone, code and 2FA password; sessions that come back."""

import pytest
from telethon import errors, functions

from .conftest import Clients


async def test_a_bot_logs_in_by_token(clients: Clients):
    bot = await clients.bot()
    me = await bot.get_me()
    assert me.bot
    assert me.is_self
    assert me.username == clients.bot_name()


async def test_a_wrong_token_is_refused(clients: Clients):
    client = await clients.connected()
    with pytest.raises(errors.AccessTokenInvalidError):
        await client.sign_in(bot_token="5000001:AAnotTheTokenOfThisBotXXXXXXXXXXXXX")


async def test_a_person_logs_in_by_phone_and_code(clients: Clients):
    person = await clients.person()
    me = await person.get_me()
    assert not me.bot
    assert me.username == clients.person_name()
    assert me.phone == clients.target.accounts["people"][0]["phone"].lstrip("+")


async def test_a_wrong_code_is_refused(clients: Clients):
    client = await clients.connected()
    phone = clients.target.accounts["people"][0]["phone"]
    await client.send_code_request(phone)
    right = await clients.target.code(phone)
    with pytest.raises(errors.PhoneCodeInvalidError):
        await client.sign_in(phone, f"{(int(right) + 1) % 100000:05d}")


async def test_two_factor_asks_for_the_password_and_checks_it(clients: Clients):
    client = await clients.connected()
    carol = clients.target.accounts["people"][2]
    await client.send_code_request(carol["phone"])
    with pytest.raises(errors.SessionPasswordNeededError):
        await client.sign_in(carol["phone"], await clients.target.code(carol["phone"]))
    with pytest.raises(errors.PasswordHashInvalidError):
        await client.sign_in(password="not the password")
    assert not await client.is_user_authorized()
    me = await client.sign_in(password=carol["password"])
    assert me.username == carol["username"]


async def test_nothing_is_answered_without_login(clients: Clients):
    client = await clients.connected()
    with pytest.raises(errors.AuthKeyUnregisteredError):
        await client(functions.updates.GetStateRequest())


async def test_a_session_goes_on_after_a_reconnect(clients: Clients):
    bot = await clients.bot()
    session = bot.session.save()
    await bot.disconnect()
    again = await clients.connected(session)
    assert (await again.get_me()).username == clients.bot_name()


async def test_a_session_that_logged_out_is_over(clients: Clients):
    person = await clients.person()
    session = person.session.save()
    assert await person.log_out()
    again = await clients.connected(session)
    assert not await again.is_user_authorized()


async def test_a_persons_other_sessions_are_listed_and_can_be_ended(clients: Clients):
    first, second = await clients.person(), await clients.person()
    listed = (await first(functions.account.GetAuthorizationsRequest())).authorizations
    others = [session for session in listed if not session.current]
    assert sum(1 for session in listed if session.current) == 1
    for session in others:
        assert await first(functions.account.ResetAuthorizationRequest(session.hash))
    with pytest.raises(errors.UnauthorizedError):
        await second(functions.updates.GetStateRequest())
    assert (await first.get_me()).is_self
