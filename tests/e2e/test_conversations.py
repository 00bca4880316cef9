"""Promises to a bot owner: her bots answer, each as itself; `kubectl` shows it; a restart loses and repeats nothing."""

import asyncio
import re

from botfleet_tools.platform.pods import pod_of
from tests.e2e.conftest import Fleet, named_once


async def test_three_bots_in_two_namespaces_answer_their_own_person_with_their_own_persona_and_key(
    fleet: Fleet,
) -> None:
    async def one(index: int) -> None:
        bot, who = fleet.simulation.bots[index], fleet.simulation.people[index]
        before = await fleet.model.last_request()
        async with fleet.person(who) as person:
            await person.say(bot.username, f"hello {700 + index}")
            reply = await person.wait_reply(bot.username, timeout=30)
        persona = fleet.get(bot.namespace, "telegrambot", bot.name)["spec"]["persona"]["prompt"].split(".")[0]
        assert str(700 + index) in reply.text
        assert persona in reply.text
        requests = await fleet.model.requests(after=before, key=bot.model_key)
        assert len(requests) == 1
        assert requests[0].messages[0]["content"].startswith(persona)

    assert len({bot.namespace for bot in fleet.simulation.bots}) == 2
    await asyncio.gather(*(one(index) for index in range(3)))


def test_kubectl_get_shows_a_true_line_a_bot(fleet: Fleet) -> None:
    head, *lines = fleet.kubectl("get", "telegrambots", "-A").strip().splitlines()
    columns = re.split(r"\s{2,}", head.strip())
    assert columns == ["NAMESPACE", "NAME", "PHASE", "READY", "ACCOUNT", "MODEL", "LAST REPLY", "AGE"]
    rows = {tuple(line.split()[:2]): line.split() for line in lines}
    for bot in fleet.simulation.bots:
        assert rows[bot.namespace, bot.name][2:6] == ["Running", "True", bot.username, "gpt-5-mini"]


def test_the_short_names_and_the_category_work(fleet: Fleet) -> None:
    for word in ("tgbot", "tgb"):
        assert "concierge" in fleet.kubectl("-n", "hotel", "get", word)
    assert "telegrambot.botfleet.dev/concierge" in fleet.kubectl("-n", "hotel", "get", "all")


async def test_a_rollout_restart_amid_messages_loses_and_repeats_nothing_and_disturbs_no_other_bot(
    fleet: Fleet,
) -> None:
    bot, *others = fleet.simulation.bots
    fleet.keep_logs()
    uids = {other.name: pod_of(fleet.cluster, other.namespace, other.name)["metadata"]["uid"] for other in others}
    before = pod_of(fleet.cluster, bot.namespace, bot.name)["metadata"]["uid"]
    who = await fleet.new_person(1)
    numbers = list(range(2001, 2013))
    async with fleet.person(who) as person:
        for number in numbers:
            await person.say(bot.username, f"message {number}")
            if number == 2004:
                fleet.kubectl("-n", bot.namespace, "rollout", "restart", f"deployment/{bot.name}")
            await asyncio.sleep(0.4)
        await asyncio.to_thread(
            fleet.kubectl,
            "-n",
            bot.namespace,
            "rollout",
            "status",
            f"deployment/{bot.name}",
            "--timeout=90s",
            deadline_seconds=100,
        )
        await named_once(fleet, who.id, bot.username, numbers)
    assert pod_of(fleet.cluster, bot.namespace, bot.name)["metadata"]["uid"] != before
    for other in others:
        assert pod_of(fleet.cluster, other.namespace, other.name)["metadata"]["uid"] == uids[other.name]
    fleet.wait_condition(bot.namespace, bot.name, "Ready", "True")


async def test_stop_is_kept_and_start_brings_the_bot_back(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("support")
    who = await fleet.new_person(2)
    async with fleet.person(who) as person:
        await person.say(bot.username, "/stop")
        assert "not write to you" in (await person.wait_reply(bot.username, timeout=30)).text
        await person.say(bot.username, "question 3001")
        await person.say(bot.username, "/start")
        assert "AI" in (await person.wait_reply(bot.username, timeout=30)).text
        await person.say(bot.username, "question 3002")
        assert "3002" in (await person.wait_reply(bot.username, timeout=30)).text
        assert not any("3001" in reply.text for reply in person.replies(bot.username))


async def test_suspend_stops_the_bot_and_resume_answers_what_came_meanwhile(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("spa")
    who = await fleet.new_person(3)
    fleet.keep_logs()
    patch = '{"spec": {"suspend": %s}}'
    async with fleet.person(who) as person:
        await person.say(bot.username, "message 4001")
        await named_once(fleet, who.id, bot.username, [4001])
        fleet.kubectl("-n", bot.namespace, "patch", "telegrambot", bot.name, "--type=merge", "-p", patch % "true")
        await asyncio.to_thread(fleet.wait_condition, bot.namespace, bot.name, "Ready", "False", "Suspended")
        await person.say(bot.username, "message 4002")
        fleet.kubectl("-n", bot.namespace, "patch", "telegrambot", bot.name, "--type=merge", "-p", patch % "false")
        await asyncio.to_thread(fleet.wait_condition, bot.namespace, bot.name, "Ready", "True")
        await named_once(fleet, who.id, bot.username, [4001, 4002])
