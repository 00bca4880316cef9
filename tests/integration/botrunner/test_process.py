"""Promises of one bot alone: the same manifest as in a cluster, kill -9 at any time, a graceful end, and patience with the world."""

import asyncio
import random
import re
import shutil
from typing import Any

import pytest
from telethon.tl import types

from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner

SEED = 20261124
pytestmark = pytest.mark.timeout(600)  # real processes on a machine with other work to do


async def test_the_example_runs_alone_from_the_manifest_that_kubectl_applies(world: World) -> None:
    runner = world.runner(ROOT / "examples/concierge.yaml")
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say(world.username, "a room for 2")
        await person.say(world.username, "no, for 3")
        reply = await person.wait_reply(world.username)
    assert reply.text.startswith("I am an AI assistant"), "the first reply says who writes"
    assert "2, 3" in reply.text, "quick messages get one answer"
    assert "concierge of the Hotel Ala-Too" in reply.text
    assert await runner.stop() == 0


async def test_200_messages_with_kills_cuts_and_lost_answers_are_each_answered_once_and_in_order(
    world: World, concierge: Runner
) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)  # noqa: S311 -- chooses moments
    people = [await world.person() for _ in range(4)]
    kill_at = sorted(chance.sample(range(5, 50), 8))
    admin = world.telegram.admin
    async with (
        world.telegram.person(phone=people[0]) as a,
        world.telegram.person(phone=people[1]) as b,
        world.telegram.person(phone=people[2]) as c,
        world.telegram.person(phone=people[3]) as d,
    ):
        for number in range(50):
            for index, person in enumerate((a, b, c, d)):
                await person.say(world.username, f"message {1000 * (index + 1) + number}")
            if number % 12 == 6:
                await admin.add_fault("drop_answer", method="messages.sendMessage", account=world.username, cut=True)
            if number % 12 == 9:
                await admin.cut(world.username)
            if number in kill_at:
                await asyncio.sleep(chance.uniform(0, 0.4))
                await concierge.kill()
                await concierge.start()
    for index, phone in enumerate(people):
        await world.named_once(phone, [1000 * (index + 1) + n for n in range(50)])


async def test_a_stop_in_mid_generation_sends_the_answer_first_and_nothing_twice(
    world: World, concierge: Runner
) -> None:
    phone = await world.person()
    hold = await world.model.admin.add_fault("hold", times=1)
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 17")
        await world.model.admin.wait_fault(hold.id, hits=1)
        assert concierge.process is not None
        concierge.process.terminate()
        await person.say(world.username, "message 18")
        await world.model.admin.release(hold.id)
        assert await concierge.stop() == 0
        await concierge.start()
        await world.named_once(phone, [17, 18])


async def test_a_refused_token_is_told_and_waited_for_without_a_crash(world: World) -> None:
    world.secret("concierge/token", "5000001:AAwrong-secret-part-of-a-token")
    runner = world.runner(ROOT / "examples/concierge.yaml")
    await runner.start()
    await runner.wait_probe("/readyz", 503, "TokenInvalid")
    await runner.wait_probe("/livez", 200)
    world.secret("concierge/token", world.token)
    await runner.wait_probe("/readyz", 200)
    assert await runner.stop() == 0


async def test_while_the_model_is_gone_messages_wait_and_are_answered_when_it_is_back(
    world: World, concierge: Runner
) -> None:
    phone = await world.person()
    await world.model.stop()
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 21")
        await world.telegram.admin.wait_messages(world.username, phone, count=1)
        await world.model.start()
        await world.named_once(phone, [21])


@pytest.mark.parametrize("effect", ["broken_json", "empty", "cut"])
async def test_a_model_that_answers_nonsense_is_asked_again(world: World, concierge: Runner, effect: str) -> None:
    phone = await world.person()
    await world.model.admin.add_fault(effect, times=1)
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 22")
        await world.named_once(phone, [22])


async def test_two_runners_never_use_one_data_folder_or_one_credential(world: World, concierge: Runner) -> None:
    for data, told in (("data", "another botrunner uses the data folder"), ("other", "the same Telegram credential")):
        second = world.runner(ROOT / "examples/concierge.yaml", data=data)
        second.log = world.folder / "second.log"
        await second.start()
        assert await second.ended() == 2
        assert told in second.log.read_text()


async def test_a_credential_that_another_runner_uses_is_not_used_when_it_is_put_here(
    world: World, concierge: Runner
) -> None:
    second = world.runner(ROOT / "examples/concierge.yaml")
    second.folder = world.folder / "second"
    second.log = world.folder / "second.log"
    shutil.copytree(world.folder / "secrets", second.folder / "secrets")
    other = await world.telegram.admin.create_bot("other_bot")
    assert other.token is not None
    (second.folder / "secrets/concierge/token").write_text(other.token)
    await second.start()
    await second.wait_probe("/readyz", 200)
    before = await world.telegram.admin.last_call()
    (second.folder / "secrets/concierge/token").write_text(world.token)
    assert await second.ended() == 2
    assert "the same Telegram credential" in second.log.read_text()
    assert await world.telegram.admin.call_count("auth.importBotAuthorization", after=before) == 0


async def test_a_persons_account_answers_by_its_stored_session(world: World) -> None:
    owner = await world.person()
    world.secret("assistant-session/session", await world.telegram.admin.create_session(owner))
    runner = world.runner(
        ROOT / "examples/person.yaml", conversation={"debounceSeconds": 0}, model={"baseUrl": world.model.base_url}
    )
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    account = await world.telegram.admin.account(owner)
    await world.telegram.admin.update_account(owner, username="aigul")
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say("aigul", "message 31")
        assert "31" in (await person.wait_reply("aigul")).text
    assert account.id
    assert await runner.stop() == 0


async def test_the_log_holds_no_secret_and_no_message(world: World, concierge: Runner) -> None:
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say(world.username, "planted-message-text 41")
        await person.wait_reply(world.username)
    await world.telegram.admin.cut(world.username)
    await world.model.admin.add_fault("status", code=401, times=1)
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say(world.username, "planted-message-text 42")
        await person.wait_reply(world.username)
    await concierge.stop()
    text = concierge.log.read_text()
    assert "model_gave_no_answer" in text
    assert "stopped" in text
    planted = [world.token, world.token.partition(":")[2], world.model_key, "planted", "Noted", "999770"]
    assert [word for word in planted if word in text] == []


async def test_a_long_answer_in_markdown_arrives_in_order_with_its_formatting(world: World) -> None:
    runner = world.runner(
        ROOT / "examples/concierge.yaml", conversation={"debounceSeconds": 0}, model={"maxOutputTokens": 10_000}
    )
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    code = "\n".join(f"    line({number})" for number in range(400))
    paragraphs = "\n\n".join(f"**{number}** 😀 [more](https://a.example/{number})" for number in range(20))
    await world.model.admin.set_answers({"rules": [{"reply": f"# Plan\n\n```python\n{code}\n```\n\n{paragraphs}"}]})
    phone = await world.person()
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "the plan")
        arrived = await person.wait_replies(world.username, 2)
        messages = await person.client.get_messages(world.username, ids=[reply.id for reply in arrived])
    text = "\n".join(message.message for message in messages)
    assert [int(number) for number in re.findall(r"line\((\d+)\)", text)] == list(range(400))
    spans = [
        (entity, words) for message in messages for entity, words in message.get_entities_text() if entity is not None
    ]
    bold = [words for entity, words in spans if isinstance(entity, types.MessageEntityBold)]
    assert bold == ["Plan", *(str(number) for number in range(20))]
    assert [
        (entity.language, words.split()[0]) for entity, words in spans if isinstance(entity, types.MessageEntityPre)
    ] == [
        ("python", "line(0)"),
        ("python", words_of(messages[1])[0]),
    ]
    links = [(entity.url, words) for entity, words in spans if isinstance(entity, types.MessageEntityTextUrl)]
    assert links == [(f"https://a.example/{number}", "more") for number in range(20)]


def words_of(message: Any) -> list[str]:
    return str(message.message).split()


async def test_typing_is_seen_at_telegram_while_the_model_writes(world: World, concierge: Runner) -> None:
    admin = world.telegram.admin
    hold = await world.model.admin.add_fault("hold", times=1)
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say(world.username, "message 51")
        await world.model.admin.wait_fault(hold.id, hits=1)
        await admin.wait_for_call("messages.setTyping", account=world.username, count=2, outcome="ok")
        await world.model.admin.release(hold.id)
        await person.wait_reply(world.username)
    (sent,) = await admin.calls("messages.sendMessage", world.username)
    assert all(call.seq < sent.seq for call in await admin.calls("messages.setTyping", world.username))
    assert await admin.call_count("messages.readHistory", world.username) == 0, "bots cannot"


@pytest.mark.parametrize("fault", ["FLOOD_WAIT_60", "hang"])
async def test_typing_that_telegram_refuses_or_does_not_answer_costs_no_answer(
    world: World, concierge: Runner, fault: str
) -> None:
    admin, phone = world.telegram.admin, await world.person()
    if fault == "hang":
        await admin.add_fault("hold", method="messages.setTyping", times=100, before=True)
    else:
        await admin.add_fault("error", method="messages.setTyping", times=100, message=fault)
    hold = await world.model.admin.add_fault("hold", times=1)
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 61")
        await world.model.admin.wait_fault(hold.id, hits=1)
        await admin.wait_for_call("messages.setTyping", account=world.username)
        await world.model.admin.release(hold.id)
        await world.named_once(phone, [61])


async def test_a_persons_account_marks_as_read_what_it_answers_and_goes_on(world: World) -> None:
    owner = await world.person()
    world.secret("assistant-session/session", await world.telegram.admin.create_session(owner))
    runner = world.runner(
        ROOT / "examples/person.yaml", conversation={"debounceSeconds": 0}, model={"baseUrl": world.model.base_url}
    )
    await world.telegram.admin.update_account(owner, username="aigul")
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    async with world.telegram.person(phone=await world.person()) as person:
        for number in (71, 72, 73):
            said = await person.say("aigul", f"message {number}")
            assert str(number) in (await person.wait_reply("aigul")).text
            await world.telegram.admin.wait_for_call(
                "messages.readHistory", account=owner, count=number - 70, outcome="ok"
            )
        dialog = next(d for d in await person.client.get_dialogs() if d.entity.username == "aigul")
    assert dialog.dialog.read_outbox_max_id == said.id
    assert await runner.stop() == 0
