"""Finding people and chats: names, phones, profiles, dialogs, a bot's commands."""

import pytest
from telethon import errors, functions, types

from .conftest import Clients
from .waiting import Inbox


async def test_names_and_phones_are_resolved(clients: Clients):
    alice = await clients.person()
    bob = await alice.get_entity(clients.person_name(1))
    assert bob.username == clients.person_name(1)
    assert bob.phone is None
    found = await alice(functions.contacts.ResolvePhoneRequest(clients.target.accounts["people"][1]["phone"]))
    assert found.users[0].id == bob.id
    with pytest.raises(errors.UsernameNotOccupiedError):
        await alice(functions.contacts.ResolveUsernameRequest("nobody_has_this_name"))


async def test_a_bots_profile_shows_its_commands(clients: Clients, word: str):
    bot, alice = await clients.bot(), await clients.person()
    scope, commands = types.BotCommandScopeDefault(), [types.BotCommand("help", f"about {word}")]
    assert await bot(functions.bots.SetBotCommandsRequest(scope, "", commands))
    full = await alice(functions.users.GetFullUserRequest(await alice.get_input_entity(clients.bot_name())))
    assert [(c.command, c.description) for c in full.full_user.bot_info.commands] == [("help", f"about {word}")]
    with pytest.raises(errors.BotCommandInvalidError):
        bad = [types.BotCommand("Not A Command", "x")]
        await bot(functions.bots.SetBotCommandsRequest(scope, "", bad))
    with pytest.raises(errors.UserBotRequiredError):
        await alice(functions.bots.SetBotCommandsRequest(scope, "", commands))


async def test_dialogs_show_the_newest_chat_first_with_what_is_unread(clients: Clients, word: str):
    alice, bob = await clients.person(0), await clients.person(1)
    inbox = Inbox(bob)
    await alice.send_message(clients.person_name(1), f"one {word}")
    await alice.send_message(clients.person_name(1), f"two {word}")
    got = await inbox.until_text(f"two {word}")
    first = (await bob.get_dialogs(limit=5))[0]
    assert first.message.raw_text == f"two {word}"
    assert first.unread_count >= 2
    await bob.send_read_acknowledge(await got.get_input_chat(), got.message)
    assert (await bob.get_dialogs(limit=5))[0].unread_count == 0
