"""Private chats: both ways, replies, entities, edits, deletions, reading, typing, limits, repeated random ids."""

import pytest
from telethon import errors, events, functions, types

from .conftest import Clients
from .waiting import Inbox


async def talking(clients: Clients, word: str):
    """A bot and a person who has written to it first."""
    bot, person = await clients.bot(), await clients.person()
    inbox, replies = Inbox(bot), Inbox(person)
    await person.send_message(clients.bot_name(), f"start {word}")
    event = await inbox.until_text(f"start {word}")
    return bot, person, inbox, replies, event


async def test_messages_go_both_ways_in_order(clients: Clients, word: str):
    _, person, inbox, replies, event = await talking(clients, word)
    for number in range(5):
        await person.send_message(clients.bot_name(), f"{word} {number}")
    await inbox.until_text(f"{word} 4")
    assert [text for text in inbox.texts() if text.startswith(f"{word} ")] == [f"{word} {n}" for n in range(5)]
    await event.respond(f"answer {word}")
    answer = await replies.until_text(f"answer {word}")
    assert answer.is_private
    assert (await answer.get_sender()).username == clients.bot_name()


async def test_a_bot_cannot_write_first(clients: Clients):
    other = await clients.bot(1)
    with pytest.raises((errors.PeerIdInvalidError, errors.UserIsBlockedError)):
        await other.send_message(await other.get_input_entity(clients.person_name(1)), "hello")


async def test_a_reply_names_the_message_that_it_answers_on_both_sides(clients: Clients, word: str):
    _, _person, _, replies, event = await talking(clients, word)
    sent = await event.reply(f"reply {word}")
    got = await replies.until_text(f"reply {word}")
    assert sent.reply_to.reply_to_msg_id == event.id
    original = await got.get_reply_message()
    assert original.raw_text == f"start {word}"
    assert original.out


async def test_entities_arrive_as_they_were_sent(clients: Clients, word: str):
    _, _, _, replies, event = await talking(clients, word)
    await event.respond(f"😀 **bold** `code` [link](https://example.org/) {word}", parse_mode="md")
    got = await replies.until(lambda e: word in e.raw_text and "bold" in e.raw_text)
    found = {
        type(entity): got.raw_text.encode("utf-16-le")[entity.offset * 2 :][: entity.length * 2].decode("utf-16-le")
        for entity in got.message.entities
    }
    assert found[types.MessageEntityBold] == "bold"
    assert found[types.MessageEntityCode] == "code"
    assert found[types.MessageEntityTextUrl] == "link"


async def test_a_command_is_marked_as_one(clients: Clients, word: str):
    _, person, inbox, _, _ = await talking(clients, word)
    await person.send_message(clients.bot_name(), f"/help {word}")
    got = await inbox.until_text(f"/help {word}")
    assert isinstance(got.message.entities[0], types.MessageEntityBotCommand)
    assert got.message.entities[0].length == 5


async def test_an_edit_reaches_the_other_side(clients: Clients, word: str):
    bot, person, _, _, event = await talking(clients, word)
    edits = Inbox(person, events.MessageEdited(incoming=True))
    sent = await event.respond(f"first {word}")
    await sent.edit(f"second {word}")
    got = await edits.until_text(f"second {word}")
    assert got.message.edit_date is not None
    with pytest.raises(errors.MessageNotModifiedError):
        await bot.edit_message(sent.peer_id, sent.id, f"second {word}")


async def test_only_its_author_edits_a_message(clients: Clients, word: str):
    bot, _, _, _, event = await talking(clients, word)
    with pytest.raises((errors.MessageAuthorRequiredError, errors.MessageIdInvalidError)):
        await bot.edit_message(await event.get_input_chat(), event.id, "not mine")


async def test_a_deletion_reaches_the_other_side(clients: Clients, word: str):
    _, person, _, replies, event = await talking(clients, word)
    deletions = Inbox(person, events.MessageDeleted())
    sent = await event.respond(f"gone {word}")
    got = await replies.until_text(f"gone {word}")
    await sent.delete()
    await deletions.until(lambda e: got.id in e.deleted_ids)
    assert await person.get_messages(clients.bot_name(), ids=got.id) is None


async def test_reading_is_told_to_the_sender(clients: Clients, word: str):
    _, person, _, _replies, _event = await talking(clients, word)
    person_two = await clients.person(1)
    reads = Inbox(person_two, events.MessageRead())
    said = Inbox(person)
    sent = await person_two.send_message(clients.person_name(0), f"read me {word}")
    got = await said.until_text(f"read me {word}")
    await person.send_read_acknowledge(await got.get_input_chat(), got.message)
    await reads.until(lambda e: e.max_id >= sent.id)


async def test_typing_is_shown(clients: Clients, word: str):
    bot, person, _, _, event = await talking(clients, word)
    shown = Inbox(person, events.Raw(types.UpdateUserTyping))
    await bot(functions.messages.SetTypingRequest(await event.get_input_chat(), types.SendMessageTypingAction()))
    await shown.until(lambda update: isinstance(update.action, types.SendMessageTypingAction))


async def test_a_repeated_random_id_is_delivered_once(clients: Clients, word: str):
    bot, person, _, replies, event = await talking(clients, word)
    peer = await event.get_input_chat()
    request = functions.messages.SendMessageRequest(peer, f"once {word}", random_id=int.from_bytes(word.encode()[-7:]))
    first = await bot(request)
    try:
        again = await bot(request)
        assert _sent_id(again) == _sent_id(first)
    except (errors.RandomIdDuplicateError, ValueError):
        pass  # the other answer that Telegram is known to give
    await event.respond(f"end {word}")
    await replies.until_text(f"end {word}")
    assert replies.texts().count(f"once {word}") == 1
    history = [message.raw_text async for message in person.iter_messages(clients.bot_name(), limit=10)]
    assert history.count(f"once {word}") == 1


def _sent_id(result) -> int:
    if isinstance(result, types.UpdateShortSentMessage):
        return result.id
    return next(update.id for update in result.updates if isinstance(update, types.UpdateMessageID))


@pytest.mark.parametrize(("text", "error"), [("", errors.MessageEmptyError), ("x" * 4097, errors.MessageTooLongError)])
async def test_empty_and_long_texts_are_refused(clients: Clients, word: str, text: str, error: type[Exception]):
    bot, _, _, _, event = await talking(clients, word)
    peer = await event.get_input_chat()
    with pytest.raises(error):
        await bot(functions.messages.SendMessageRequest(peer, text, random_id=7))


async def test_the_limit_is_counted_in_utf16_units(clients: Clients, word: str):
    bot, _, _, _, event = await talking(clients, word)
    peer = await event.get_input_chat()
    await bot(functions.messages.SendMessageRequest(peer, "😀" * 2048, random_id=int.from_bytes(word.encode()[-6:])))
    with pytest.raises(errors.MessageTooLongError):
        await bot(functions.messages.SendMessageRequest(peer, "😀" * 2049, random_id=9))


async def test_bots_have_no_history(clients: Clients, word: str):
    bot, _, _, _, event = await talking(clients, word)
    with pytest.raises(errors.BotMethodInvalidError):
        await bot.get_messages(await event.get_input_chat(), limit=5)


async def test_history_comes_newest_first_in_pages(clients: Clients, word: str):
    _, person, _, _, _ = await talking(clients, word)
    sent = [(await person.send_message(clients.bot_name(), f"{word} {n}")).id for n in range(7)]
    got = [message.id async for message in person.iter_messages(clients.bot_name(), limit=7)]
    assert got == list(reversed(sent))
    older = [message.id async for message in person.iter_messages(clients.bot_name(), limit=3, offset_id=sent[4])]
    assert older == [sent[3], sent[2], sent[1]]
    newer = [m.id async for m in person.iter_messages(clients.bot_name(), min_id=sent[3], reverse=True)]
    assert newer == sent[4:]


async def test_a_hash_of_another_account_is_of_no_use(clients: Clients, word: str):
    await talking(clients, word)
    alice, bob = await clients.person(0), await clients.person(1)
    known = await alice.get_input_entity(clients.bot_name(1))
    assert (await bob.get_input_entity(clients.bot_name(1))).access_hash != known.access_hash
    with pytest.raises((errors.PeerIdInvalidError, errors.UserIdInvalidError)):
        await bob(functions.messages.SendMessageRequest(known, "hello", random_id=11))
