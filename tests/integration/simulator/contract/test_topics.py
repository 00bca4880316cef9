"""Topics of a forum, and comments under a channel's post: what a message says of where it stands."""

from functools import partial
from typing import Any

import pytest
from telethon import errors, events, functions, types, utils

from .conftest import Clients
from .test_groups import supergroup
from .waiting import Inbox


def of_message(message_id: int, update: Any) -> bool:
    return bool(update.message.id == message_id)


async def forum(clients: Clients, word: str):
    """A forum of two people and a bot, with two topics: who reads, and the topics' ids."""
    alice, bob, bot, inboxes, channel = await supergroup(clients, word)
    opened = Inbox(bob, events.Raw(types.UpdateNewChannelMessage))
    await alice(functions.channels.ToggleForumRequest(channel, True, False))
    ids: list[int] = []
    for title in ("Rooms", "Meals"):
        made = await alice(
            functions.messages.CreateForumTopicRequest(channel, f"{title} {word}", random_id=len(ids) + 1)
        )
        ids.append(next(update.id for update in made.updates if isinstance(update, types.UpdateMessageID)))
    for topic in ids:
        heard = await opened.until(partial(of_message, topic))
        assert isinstance(heard.message.action, types.MessageActionTopicCreate)
    return alice, bob, bot, inboxes, channel, ids


def place(event):
    header = event.message.reply_to
    return None if header is None else (header.forum_topic, header.reply_to_msg_id, header.reply_to_top_id)


async def test_a_message_says_in_which_topic_it_stands_and_what_it_answers_there(clients: Clients, word: str):
    alice, bob, _, (for_alice, for_bob, for_bot), channel, (rooms, _) = await forum(clients, word)
    assert (await alice.get_entity(utils.get_peer_id(channel))).forum
    await alice.send_message(channel, f"/in {word}", reply_to=rooms)
    asked = await for_bob.until_text(f"/in {word}")
    assert place(asked) == (True, rooms, None)
    assert place(await for_bot.until_text(f"/in {word}")) == (True, rooms, None)
    answer = types.InputReplyToMessage(asked.id, top_msg_id=rooms)
    await bob(functions.messages.SendMessageRequest(await asked.get_input_chat(), f"answer {word}", reply_to=answer))
    assert place(await for_alice.until_text(f"answer {word}")) == (True, asked.id, rooms)
    await asked.reply(f"short answer {word}")  # Telethon names the message alone
    assert place(await for_alice.until_text(f"short answer {word}")) == (True, asked.id, rooms)


async def test_what_stands_in_the_general_topic_says_nothing_of_it(clients: Clients, word: str):
    alice, _, _, (for_alice, for_bob, _), channel, _ = await forum(clients, word)
    await alice.send_message(channel, f"general {word}")
    general = await for_bob.until_text(f"general {word}")
    assert place(general) is None
    await general.reply(f"answer {word}")
    header = (await for_alice.until_text(f"answer {word}")).message.reply_to
    assert (bool(header.forum_topic), header.reply_to_msg_id, header.reply_to_top_id) == (False, general.id, None)


async def test_typing_is_shown_in_the_topic_that_is_named(clients: Clients, word: str):
    alice, bob, _, _, channel, (_, meals) = await forum(clients, word)
    typing = Inbox(bob, events.Raw(types.UpdateChannelUserTyping))
    await alice(functions.messages.SetTypingRequest(channel, types.SendMessageTypingAction(), top_msg_id=meals))
    assert (await typing.until(lambda update: update.channel_id == channel.id)).top_msg_id == meals


async def test_topics_are_listed_and_one_that_is_not_there_is_refused(clients: Clients, word: str):
    alice, _, _, _, channel, ids = await forum(clients, word)
    await alice.send_message(channel, f"hello {word}", reply_to=ids[0])
    listed = await alice(functions.messages.GetForumTopicsRequest(channel, None, 0, 0, 100, q=word))
    topics = {topic.id: topic.title for topic in listed.topics}
    assert topics == {ids[0]: f"Rooms {word}", ids[1]: f"Meals {word}"}
    lost = types.InputReplyToMessage(ids[0], top_msg_id=2_000_000)
    with pytest.raises(errors.RPCError):
        await alice(functions.messages.SendMessageRequest(channel, f"lost {word}", reply_to=lost))


async def test_a_channels_post_is_copied_into_its_discussion_and_comments_say_under_which(clients: Clients, word: str):
    alice, bob, _, (for_alice, for_bob, _), group = await supergroup(clients, word)
    made = await alice(functions.channels.CreateChannelRequest(f"news {word}", "", broadcast=True))
    channel = made.chats[0]
    await alice(functions.channels.SetDiscussionGroupRequest(channel, group))
    post = await alice.send_message(channel, f"post {word}")
    copy = await for_bob.until(lambda event: event.raw_text == f"post {word}" and event.is_group)
    assert isinstance(copy.message.from_id, types.PeerChannel)
    forwarded = copy.message.fwd_from
    assert (forwarded.channel_post, forwarded.saved_from_msg_id) == (post.id, post.id)
    assert isinstance(forwarded.saved_from_peer, types.PeerChannel)
    assert (await copy.get_chat()).has_link
    await copy.reply(f"comment {word}")
    comment = await for_alice.until_text(f"comment {word}")
    assert (bool(comment.message.reply_to.forum_topic), place(comment)[1:]) == (False, (copy.id, None))
    await comment.reply(f"answer {word}")
    assert place(await for_bob.until_text(f"answer {word}"))[1:] == (comment.id, copy.id)
    assert bob.is_connected()
