"""Basic groups, supergroups and channels: who gets what, with which ids."""

import pytest
from telethon import errors, events, functions, types, utils

from .conftest import Clients
from .waiting import Inbox


async def basic_group(clients: Clients, word: str):
    """A basic group of two people and a bot."""
    alice, bob, bot = await clients.person(0), await clients.person(1), await clients.bot()
    inboxes = Inbox(alice), Inbox(bob), Inbox(bot)
    members = [await alice.get_input_entity(clients.person_name(1)), await alice.get_input_entity(clients.bot_name())]
    made = await alice(functions.messages.CreateChatRequest(members, f"group {word}"))
    chat = made.updates.chats[0]
    return alice, bob, bot, inboxes, chat


async def supergroup(clients: Clients, word: str, *, broadcast: bool = False):
    """A supergroup (or channel) of two people and a bot."""
    alice, bob, bot = await clients.person(0), await clients.person(1), await clients.bot()
    inboxes = Inbox(alice), Inbox(bob), Inbox(bot)
    made = await alice(
        functions.channels.CreateChannelRequest(f"super {word}", "", megagroup=not broadcast, broadcast=broadcast)
    )
    channel = made.chats[0]
    joined = Inbox(bob, events.Raw(types.UpdateChannel))
    guests = [await alice.get_input_entity(clients.person_name(1)), await alice.get_input_entity(clients.bot_name())]
    if broadcast:
        await alice(functions.channels.InviteToChannelRequest(channel, guests[:1]))
    else:
        await alice(functions.channels.InviteToChannelRequest(channel, guests))
    await joined.until(lambda update: update.channel_id == channel.id)
    return alice, bob, bot, inboxes, channel


async def test_everybody_in_a_basic_group_gets_what_is_said(clients: Clients, word: str):
    alice, bob, _, (_, for_bob, _), chat = await basic_group(clients, word)
    await alice.send_message(chat, f"hello {word}")
    got = await for_bob.until_text(f"hello {word}")
    assert got.is_group
    assert not got.is_channel
    assert utils.get_peer_id(got.message.peer_id) == -chat.id
    assert (await got.get_sender()).username == clients.person_name(0)
    await bob.send_message(-chat.id, f"too {word}")


async def test_a_bot_in_privacy_mode_sees_commands_mentions_and_replies_only(clients: Clients, word: str):
    alice, _, bot, (_, for_bob, for_bot), chat = await basic_group(clients, word)
    await alice.send_message(chat, f"not for bots {word}")
    await alice.send_message(chat, f"/do {word}")
    await alice.send_message(chat, f"hey @{clients.bot_name()} {word}")
    command = await for_bot.until_text(f"/do {word}")
    mention = await for_bot.until_text(f"hey @{clients.bot_name()} {word}")
    assert mention.message.mentioned
    said = await command.respond(f"done {word}")
    heard = await for_bob.until_text(f"done {word}")
    await heard.reply(f"thanks {word}")
    reply = await for_bot.until_text(f"thanks {word}")
    assert reply.message.reply_to.reply_to_msg_id == said.id
    assert f"not for bots {word}" not in for_bot.texts()
    assert bot.is_connected()


async def test_who_left_a_basic_group_gets_nothing_more(clients: Clients, word: str):
    alice, bob, _, (_, for_bob, _), chat = await basic_group(clients, word)
    left = Inbox(bob, events.ChatAction())
    await alice(functions.messages.DeleteChatUserRequest(chat.id, await alice.get_input_entity(clients.person_name(1))))
    await left.until(lambda event: event.user_left or event.user_kicked)
    await alice.send_message(chat, f"secret {word}")
    await alice.send_message(clients.person_name(1), f"private {word}")
    await for_bob.until_text(f"private {word}")
    assert f"secret {word}" not in for_bob.texts()


async def test_everybody_in_a_supergroup_sees_the_same_message_ids(clients: Clients, word: str):
    alice, _, _, (_, for_bob, for_bot), channel = await supergroup(clients, word)
    sent = await alice.send_message(channel, f"/all {word}")
    for_one, for_other = await for_bob.until_text(f"/all {word}"), await for_bot.until_text(f"/all {word}")
    assert sent.id == for_one.id == for_other.id
    assert for_one.is_group
    assert for_one.is_channel
    answer = await for_other.reply(f"yes {word}")
    got = await for_bob.until_text(f"yes {word}")
    assert got.id == answer.id
    assert got.message.reply_to.reply_to_msg_id == sent.id


async def test_edits_and_deletions_reach_a_supergroup(clients: Clients, word: str):
    alice, bob, _, (_, for_bob, _), channel = await supergroup(clients, word)
    changes = Inbox(bob, events.MessageEdited())
    deletions = Inbox(bob, events.MessageDeleted())
    sent = await alice.send_message(channel, f"one {word}")
    await for_bob.until_text(f"one {word}")
    await sent.edit(f"two {word}")
    await changes.until_text(f"two {word}")
    await sent.delete()
    gone = await deletions.until(lambda event: sent.id in event.deleted_ids)
    assert gone.chat_id == utils.get_peer_id(channel)


async def test_only_admins_post_in_a_channel(clients: Clients, word: str):
    alice, bob, _, (_, for_bob, _), channel = await supergroup(clients, word, broadcast=True)
    sent = await alice.send_message(channel, f"news {word}")
    got = await for_bob.until_text(f"news {word}")
    assert got.message.post
    assert got.id == sent.id
    peer = await got.get_input_chat()
    with pytest.raises((errors.ChatAdminRequiredError, errors.ChatWriteForbiddenError)):
        await bob.send_message(peer, "me too")


async def test_who_is_no_member_cannot_look_into_a_private_supergroup(clients: Clients, word: str):
    _, bob, _, (_, _for_bob, _), channel = await supergroup(clients, word)
    peer = await bob.get_input_entity(utils.get_peer_id(channel))
    await bob(functions.channels.LeaveChannelRequest(peer))
    with pytest.raises(errors.ChannelPrivateError):
        await bob.get_messages(peer, limit=1)


async def test_members_are_listed(clients: Clients, word: str):
    alice, _, _, _, channel = await supergroup(clients, word)
    names = {user.username for user in await alice.get_participants(channel)}
    assert names == {clients.person_name(0), clients.person_name(1), clients.bot_name()}


async def test_a_basic_group_becomes_a_supergroup_with_its_members(clients: Clients, word: str):
    alice, bob, _, (_, for_bob, _), chat = await basic_group(clients, word)
    moved = Inbox(bob, events.Raw(types.UpdateNewMessage))
    result = await alice(functions.messages.MigrateChatRequest(chat.id))
    new = next(item for item in result.chats if isinstance(item, types.Channel))
    await moved.until(lambda u: isinstance(getattr(u.message, "action", None), types.MessageActionChatMigrateTo))
    await alice.send_message(new, f"here now {word}")
    got = await for_bob.until_text(f"here now {word}")
    assert got.chat_id == utils.get_peer_id(new)
    with pytest.raises(errors.RPCError):
        await alice(functions.messages.SendMessageRequest(types.InputPeerChat(chat.id), "back there", random_id=5))
