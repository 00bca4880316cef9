"""Update state and differences: nothing that came while a client was away is lost, for the account and for each channel."""

from telethon import TelegramClient, events, functions, types, utils

from .conftest import Clients
from .test_groups import supergroup
from .waiting import Inbox


async def state_of(client: TelegramClient):
    return await client(functions.updates.GetStateRequest())


async def difference(client: TelegramClient, state):
    return await client(functions.updates.GetDifferenceRequest(pts=state.pts, date=state.date, qts=state.qts))


async def test_without_news_the_difference_is_empty(clients: Clients):
    person = await clients.person()
    first = state = await state_of(person)
    while state.date == first.date:  # what a channel got in that very second, earlier, may be told again
        state = await state_of(person)
    assert isinstance(await difference(person, state), types.updates.DifferenceEmpty)


async def test_each_message_moves_pts_by_one_for_both_sides(clients: Clients, word: str):
    alice, bob = await clients.person(0), await clients.person(1)
    inbox = Inbox(bob)
    before = (await state_of(alice)).pts, (await state_of(bob)).pts
    for number in range(3):
        await alice.send_message(clients.person_name(1), f"{word} {number}")
    await inbox.until_text(f"{word} 2")
    assert ((await state_of(alice)).pts, (await state_of(bob)).pts) == (before[0] + 3, before[1] + 3)


async def test_the_difference_has_messages_edits_and_deletions_and_ends_at_the_state(clients: Clients, word: str):
    alice, bob = await clients.person(0), await clients.person(1)
    state = await state_of(bob)
    kept = await alice.send_message(clients.person_name(1), f"kept {word}")
    gone = await alice.send_message(clients.person_name(1), f"gone {word}")
    await kept.edit(f"edited {word}")
    await gone.delete()
    found = await difference(bob, state)
    assert isinstance(found, types.updates.Difference)
    assert [message.message for message in found.new_messages] == [f"edited {word}"]
    kinds = {type(update) for update in found.other_updates}
    assert {types.UpdateEditMessage, types.UpdateDeleteMessages} <= kinds
    assert found.state.pts == (await state_of(bob)).pts
    assert {user.id for user in found.users} >= {(await alice.get_me()).id}


async def test_a_long_difference_comes_in_slices_and_loses_nothing(clients: Clients, word: str):
    alice, bob = await clients.person(0), await clients.person(1)
    state = await state_of(bob)
    for number in range(250):
        await alice.send_message(clients.person_name(1), f"{word} {number}")
    texts: list[str] = []
    for _ in range(20):
        found = await difference(bob, state)
        if isinstance(found, types.updates.DifferenceEmpty):
            break
        texts += [message.message for message in found.new_messages]
        state = getattr(found, "intermediate_state", None) or found.state
    assert texts == [f"{word} {number}" for number in range(250)]


async def test_catching_up_delivers_what_came_while_the_client_was_away(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    await person.send_message(clients.bot_name(), f"before {word}")
    session, state = bot.session.save(), await state_of(bot)
    await bot.disconnect()
    for number in range(3):
        await person.send_message(clients.bot_name(), f"{word} {number}")
    again = clients.target.client(session, catch_up=True)
    again.session.set_update_state(
        0, types.updates.State(pts=state.pts, qts=state.qts, date=state.date, seq=state.seq, unread_count=0)
    )
    inbox = Inbox(again)
    await again.connect()
    try:
        await inbox.until_text(f"{word} 2")
        assert [text for text in inbox.texts() if word in text and "before" not in text] == [
            f"{word} {n}" for n in range(3)
        ]
    finally:
        await again.disconnect()


async def test_a_channels_difference_is_its_own(clients: Clients, word: str):
    alice, bob, _, (_, for_bob, _), channel = await supergroup(clients, word)
    await alice.send_message(channel, f"first {word}")
    await for_bob.until_text(f"first {word}")
    peer = utils.get_input_channel(await bob.get_input_entity(utils.get_peer_id(channel)))
    full = await bob(functions.channels.GetFullChannelRequest(peer))
    account, pts = await state_of(bob), full.full_chat.pts
    sent = [await alice.send_message(channel, f"{word} {number}") for number in range(5)]
    await sent[0].delete()
    await sent[1].edit(f"edited {word}")
    found = await channel_difference(bob, peer, pts)
    assert isinstance(found, types.updates.ChannelDifference)
    assert found.final
    assert [message.message for message in found.new_messages] == [
        f"edited {word}",
        *(f"{word} {n}" for n in range(2, 5)),
    ]
    kinds = {type(update) for update in found.other_updates}
    assert {types.UpdateDeleteChannelMessages, types.UpdateEditChannelMessage} <= kinds
    assert found.pts == pts + 7
    assert isinstance(await channel_difference(bob, peer, found.pts), types.updates.ChannelDifferenceEmpty)
    assert (await state_of(bob)).pts == account.pts


async def test_a_channels_difference_can_be_taken_in_parts(clients: Clients, word: str):
    alice, bob, _, _, channel = await supergroup(clients, word)
    peer = utils.get_input_channel(await bob.get_input_entity(utils.get_peer_id(channel)))
    pts = (await bob(functions.channels.GetFullChannelRequest(peer))).full_chat.pts
    for number in range(5):
        await alice.send_message(channel, f"{word} {number}")
    texts, final = [], False
    for _ in range(5):
        found = await channel_difference(bob, peer, pts, limit=2)
        texts += [message.message for message in found.new_messages]
        pts, final = found.pts, bool(found.final)
        if final:
            break
    assert final
    assert texts == [f"{word} {number}" for number in range(5)]


async def test_updates_are_not_pushed_to_who_asked_for_none(clients: Clients, word: str):
    alice, bob = await clients.person(0), await clients.person(1, receive_updates=False)
    loud = await clients.person(1)
    quiet, heard = Inbox(bob, events.Raw()), Inbox(loud)
    await alice.send_message(clients.person_name(1), f"psst {word}")
    await heard.until_text(f"psst {word}")
    await bob.get_me()
    assert quiet.events == []


async def channel_difference(client: TelegramClient, peer, pts: int, limit: int = 100):
    empty = types.ChannelMessagesFilterEmpty()
    return await client(functions.updates.GetChannelDifferenceRequest(peer, empty, pts, limit))
