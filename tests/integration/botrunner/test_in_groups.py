"""Promises of groups with a real runner and a simulated Telegram: who is answered and how, and two bots that come to an end."""

import secrets
from functools import partial
from typing import Any

import pytest
from telethon import events
from telethon.tl import types

from botfleet_simulator.client.views import Chat, Message
from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do
MANIFEST = ROOT / "examples/concierge.yaml"
AT_ONCE = {"debounceSeconds": 0}


async def group_of(world: World, *people: str, kind: str = "supergroup", members: tuple[str, ...] = ()) -> Chat:
    return await world.telegram.admin.create_group(
        "Guests", kind=kind, owner=people[0], members=[*people[1:], world.username, *members]
    )


async def said_by(world: World, who: str, reader: str, group: Chat) -> list[Message]:
    account = await world.telegram.admin.account(who)
    return [m for m in await world.telegram.admin.messages(reader, group.id) if m.sender_id == account.id]


async def _noted(seen: list[Any], update: Any) -> None:
    seen.append(update)


@pytest.mark.parametrize("kind", ["supergroup", "basic"])
async def test_in_a_group_the_bot_answers_who_addresses_it_by_a_reply_and_nobody_else(
    world: World, concierge: Runner, kind: str
) -> None:
    admin = world.telegram.admin
    await admin.update_account(world.username, privacy_mode=False)  # so that it hears all of it
    alice, bob = await world.person(), await world.person()
    group = await group_of(world, alice, bob, kind=kind)
    await admin.send_message(alice, group.id, "hello Bob, message 101")
    asked = await admin.send_message(alice, group.id, f"@{world.username.upper()} message 102")
    (answer,) = await admin.wait_messages(alice, group.id, contains="102", incoming=True)
    assert answer.reply_to == asked.id
    answered = (await said_by(world, world.username, bob, group))[0]
    back = await admin.send_message(bob, group.id, "and message 103?", reply_to=answered.id)
    (again,) = await admin.wait_messages(bob, group.id, contains="103", incoming=True)
    assert again.reply_to == back.id
    assert len(await said_by(world, world.username, alice, group)) == 2
    requests = await world.model.admin.requests()
    assert not any("101" in str(message["content"]) for request in requests for message in request.messages)
    first, second = ([m for m in request.messages if m["role"] == "user"][-1]["content"] for request in requests)
    assert '"from": "Person 1"' in str(first)
    assert '"from": "Person 2"' in str(second)
    assert '"by_you": true' in str(second)


async def test_a_stop_in_a_group_silences_the_bot_for_its_sender_alone(world: World, concierge: Runner) -> None:
    admin = world.telegram.admin
    alice, bob = await world.person(), await world.person()
    group = await group_of(world, alice, bob)
    await admin.send_message(alice, group.id, f"/stop@{world.username}")
    await admin.wait_messages(bob, group.id, contains="not write to you", incoming=True)
    await admin.send_message(alice, group.id, f"@{world.username} message 201")
    await admin.send_message(bob, group.id, f"@{world.username} message 202")
    await admin.wait_messages(alice, group.id, contains="202", incoming=True)
    assert [m for m in await said_by(world, world.username, bob, group) if "201" in m.text] == []


async def test_a_channels_posts_are_not_answered(world: World, concierge: Runner) -> None:
    admin = world.telegram.admin
    alice = await world.person()
    channel = await admin.create_group("News", kind="channel", owner=alice, admins=[world.username])
    await admin.send_message(alice, channel.id, f"@{world.username} message 301")
    await concierge.wait_probe("/metrics", 200, 'messages_skipped_total{reason="ChannelPost"} 1.0')
    await admin.send_message(alice, world.username, "message 302")
    await admin.wait_messages(alice, world.username, contains="302", incoming=True)
    assert len(await admin.messages(alice, channel.id)) - len(await said_by(world, alice, alice, channel)) <= 1


async def test_in_a_forum_question_answer_and_typing_are_in_one_topic_and_the_others_are_not_known_there(
    world: World, concierge: Runner
) -> None:
    admin = world.telegram.admin
    alice = await world.person()
    forum = await admin.create_group("Guests", kind="supergroup", owner=alice, members=[world.username], forum=True)
    rooms, meals = await admin.create_topic(forum.id, "Rooms"), await admin.create_topic(forum.id, "Meals")
    async with world.telegram.person(phone=alice) as person:
        seen: list[Any] = []
        person.client.add_event_handler(partial(_noted, seen), events.Raw(types.UpdateChannelUserTyping))
        for topic, number in ((rooms, 501), (meals, 502), (None, 503), (rooms, 504)):
            asked = await admin.send_message(alice, forum.id, f"@{world.username} message {number}", topic=topic)
            (answer,) = await admin.wait_messages(alice, forum.id, contains=f"{number}", incoming=True)
            assert (answer.reply_to, answer.topic) == (asked.id, topic)
        await admin.send_message(alice, forum.id, f"/stop@{world.username}", topic=meals)
        (stopped,) = await admin.wait_messages(alice, forum.id, contains="not write to you", incoming=True)
        assert stopped.topic == meals
        await until(lambda: {update.top_msg_id for update in seen} == {rooms, meals, None})
    last = (await world.model.admin.requests())[-1].messages
    assert [number for number in (501, 502, 503, 504) if any(str(number) in str(m["content"]) for m in last)] == [
        501,
        504,
    ]


async def test_under_a_channels_post_the_bot_answers_in_the_comments(world: World, concierge: Runner) -> None:
    admin = world.telegram.admin
    await admin.update_account(world.username, privacy_mode=False)  # so that it hears the posts
    alice = await world.person()
    group = await group_of(world, alice)
    channel = await admin.create_group("News", kind="channel", owner=alice)
    await admin.link_discussion(channel.id, group.id)
    for number in (601, 602):
        await admin.send_message(alice, channel.id, f"@{world.username} post of message {number}")
    first, second = (m for m in await admin.messages(alice, group.id) if "post of" in m.text)
    for post, number in ((first, 603), (second, 604), (first, 605)):
        asked = await admin.send_message(alice, group.id, f"@{world.username} message {number}", reply_to=post.id)
        (answer,) = await admin.wait_messages(alice, group.id, contains=f"{number}", incoming=True)
        assert (answer.reply_to, answer.topic) == (asked.id, post.id)
    last = (await world.model.admin.requests())[-1].messages
    assert [number for number in range(601, 606) if any(str(number) in str(m["content"]) for m in last)] == [603, 605]
    await concierge.wait_probe("/metrics", 200, 'messages_skipped_total{reason="ChannelPost"} 2.0')


@pytest.mark.parametrize("kind", ["supergroup", "basic"])
async def test_two_bots_in_a_group_in_which_they_answer_everything_stop_talking(world: World, kind: str) -> None:
    admin = world.telegram.admin
    token = f"5000002:AA{secrets.token_hex(16)}"
    await admin.create_bot("porter_bot", id=5_000_002, token=token)
    world.secret("porter/token", token)
    bots = (world.username, "porter_bot")
    changes = {"access": {"groups": "All"}, "conversation": AT_ONCE}
    for name in bots:
        await admin.update_account(name, privacy_mode=False)
        more = {"account": {"botTokenSecretRef": {"name": "porter", "key": "token"}}} if name == "porter_bot" else {}
        runner = world.runner(MANIFEST, data=name, **changes, **more)
        await runner.start()
        await runner.wait_probe("/readyz", 200)
    alice = await world.person()
    group = await group_of(world, alice, kind=kind, members=("porter_bot",))
    await admin.send_message(alice, group.id, "message 401")
    await admin.wait_messages(alice, group.id, count=2, contains="401", incoming=True)
    for runner in world.runners:  # each has heard the other, and has nothing to say to that
        await runner.wait_probe("/metrics", 200, 'messages_skipped_total{reason="FromBot"} 1.0')
        await runner.wait_probe("/metrics", 200, "inbox_pending 0.0")
    await admin.send_message(alice, group.id, "message 402")
    await admin.wait_messages(alice, group.id, count=2, contains="402", incoming=True)
    for name in bots:
        said = await said_by(world, name, alice, group)
        assert [("401" in m.text, "402" in m.text) for m in said] == [(True, False), (False, True)]
