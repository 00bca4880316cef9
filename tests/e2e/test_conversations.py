"""Promises to a bot owner: her bots answer, each as itself; `kubectl` shows it; a restart loses and repeats nothing."""

import asyncio
import re

from botfleet_tools.platform import simulated
from botfleet_tools.platform.pods import pod_of
from tests.e2e.conftest import EXAMPLES, REPLY_SECONDS, Fleet, named_once, wait_for
from tests.e2e.servers import query, stream
from tests.e2e.test_isolation import read_out

# A bot reports with its lease, the operator reads it soon after.
REPORTED_SECONDS = 90.0


def seconds(shown: str) -> int:
    """What kubectl writes as `42s`, `3m10s`, `2h`."""
    parts = re.findall(r"(\d+)([smhd])", shown)
    assert "".join(number + unit for number, unit in parts) == shown, f"{shown!r} is no age"
    return sum(int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit] for number, unit in parts)


async def test_three_bots_in_two_namespaces_answer_their_own_person_with_their_own_persona_and_key(
    fleet: Fleet,
) -> None:
    async def one(index: int) -> None:
        bot, who = fleet.simulation.bots[index], fleet.simulation.people[index]
        before = await fleet.model.last_request()
        async with fleet.person(who) as person:
            await person.say(bot.username, f"hello {700 + index}")
            reply = await person.wait_reply(bot.username, timeout=REPLY_SECONDS)
        persona = fleet.get(bot.namespace, "telegrambot", bot.name)["spec"]["persona"]["prompt"].split(".")[0]
        assert str(700 + index) in reply.text
        assert persona in reply.text
        requests = await fleet.model.requests(after=before, key=bot.model_key)
        assert len(requests) == 1
        assert requests[0].messages[0]["content"].startswith(persona)

    assert len({bot.namespace for bot in fleet.simulation.bots}) == 2
    await asyncio.gather(*(one(index) for index in range(3)))


def test_kubectl_get_shows_a_true_line_a_bot(fleet: Fleet) -> None:
    def shown() -> tuple[list[str], dict[tuple[str, str], list[str]]]:
        head, *lines = fleet.kubectl("get", "telegrambots", "-A").strip().splitlines()
        return re.split(r"\s{2,}", head), {(words[0], words[1]): words[2:] for words in map(str.split, lines)}

    def all_answered() -> dict[tuple[str, str], list[str]] | None:
        """A reply is told with the next report of the bot's health."""
        rows = shown()[1]
        return rows if all(len(rows[bot.namespace, bot.name]) == 7 for bot in fleet.simulation.bots) else None

    assert shown()[0] == ["NAMESPACE", "NAME", "PHASE", "READY", "RECEIVING", "ACCOUNT", "MODEL", "LAST REPLY", "AGE"]
    rows = wait_for(all_answered, REPORTED_SECONDS, lambda: f"no LAST REPLY: {shown()}")
    for bot in fleet.simulation.bots:
        phase, ready, receiving, account, model, last_reply, age = rows[bot.namespace, bot.name]
        assert (phase, ready, receiving) == ("Running", "True", "True")
        assert (account, model) == (bot.username, "gpt-5-mini")
        assert seconds(last_reply) <= seconds(age), "it has answered in the test before, since it was made"


def test_of_bots_that_have_answered_the_conditions_about_model_limits_and_budget_are_true(fleet: Fleet) -> None:
    def true_of(namespace: str, name: str) -> dict[str, str]:
        found = {
            kind: fleet.condition(namespace, name, kind) for kind in ("ModelAvailable", "Unrestricted", "WithinBudget")
        }
        return {
            kind: condition["reason"]
            for kind, condition in found.items()
            if condition and condition["status"] == "True"
        }

    for bot in fleet.simulation.bots:
        shown = wait_for(
            lambda bot=bot: found if len(found := true_of(bot.namespace, bot.name)) == 3 else None,  # type: ignore[misc]
            REPORTED_SECONDS,
            lambda bot=bot: f"true of {bot.name}: {true_of(bot.namespace, bot.name)}",  # type: ignore[misc]
        )
        assert (shown["ModelAvailable"], shown["Unrestricted"]) == ("ModelAnswers", "Unrestricted")


def test_the_short_names_and_the_category_work(fleet: Fleet) -> None:
    for word in ("tgbot", "tgb"):
        assert "concierge" in fleet.kubectl("-n", "hotel", "get", word)
    assert "telegrambot.botfleet.dev/concierge" in fleet.kubectl("-n", "hotel", "get", "all")


async def test_a_rollout_restart_amid_messages_loses_and_repeats_nothing_and_disturbs_no_other_bot(
    fleet: Fleet,
) -> None:
    bot, *others = fleet.simulation.bots

    def running(name: str, namespace: str) -> tuple[str, int]:
        pod = pod_of(fleet.cluster, namespace, name)
        return pod["metadata"]["uid"], sum(one["restartCount"] for one in pod["status"]["containerStatuses"])

    undisturbed = {other.name: running(other.name, other.namespace) for other in others}
    before = running(bot.name, bot.namespace)
    who, *neighbours = [await fleet.new_person(number) for number in (1, 4, 5)]
    numbers = list(range(2001, 2013))
    async with fleet.person(who) as person, fleet.person(neighbours[0]) as second, fleet.person(neighbours[1]) as third:
        for number in numbers:
            await person.say(bot.username, f"message {number}")
            if number == 2004:
                fleet.kubectl("-n", bot.namespace, "rollout", "restart", f"deployment/{bot.name}")
            await asyncio.gather(
                asyncio.sleep(0.4),
                second.say(others[0].username, f"message {number + 100}"),
                third.say(others[1].username, f"message {number + 200}"),
            )
        await asyncio.to_thread(
            fleet.kubectl,
            "-n",
            bot.namespace,
            "rollout",
            "status",
            f"deployment/{bot.name}",
            "--timeout=180s",
            deadline_seconds=190,
        )
        await named_once(fleet, who.id, bot.username, numbers)
        for other, neighbour, offset in zip(others, neighbours, (100, 200), strict=True):
            await named_once(fleet, neighbour.id, other.username, [number + offset for number in numbers])
    assert running(bot.name, bot.namespace)[0] != before[0]
    assert {other.name: running(other.name, other.namespace) for other in others} == undisturbed
    fleet.wait_condition(bot.namespace, bot.name, "Ready", "True")


async def test_stop_is_kept_and_start_brings_the_bot_back(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("support")
    who = await fleet.new_person(2)
    async with fleet.person(who) as person:
        await person.say(bot.username, "/stop")
        assert "not write to you" in (await person.wait_reply(bot.username, timeout=REPLY_SECONDS)).text
        await person.say(bot.username, "question 3001")
        await person.say(bot.username, "/start")
        assert "AI" in (await person.wait_reply(bot.username, timeout=REPLY_SECONDS)).text
        await person.say(bot.username, "question 3002")
        assert "3002" in (await person.wait_reply(bot.username, timeout=REPLY_SECONDS)).text
        assert not any("3001" in reply.text for reply in person.replies(bot.username))


async def test_suspend_stops_the_bot_and_resume_answers_what_came_meanwhile(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("spa")
    who = await fleet.new_person(3)
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


async def test_a_persons_own_account_answers_as_a_bot_by_its_stored_session(fleet: Fleet) -> None:
    aigul = await fleet.telegram.create_person("+9991100007", name="Aigul Asanova", username="aigul_asanova")
    session = await fleet.telegram.create_session(aigul.id)
    fleet.planted["session of a person"] = session
    simulated.apply(
        fleet.cluster,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "office"}},
        simulated.secret(
            "office", "telegram-app", {"api-id": "12345", "api-hash": fleet.simulation.api_hash}, usable=True
        ),
        simulated.secret("office", simulated.SERVER_SECRET, {"public.pem": fleet.simulation.public_key}, usable=True),
        simulated.secret("office", "assistant-session", {"session": session}, usable=True),
        simulated.secret("office", "openai", {"api-key": fleet.simulation.bots[0].model_key}, usable=True),
    )
    fleet.kubectl("apply", "-f", str(EXAMPLES / "person.yaml"))
    await asyncio.to_thread(fleet.wait_condition, "office", "assistant", "Ready", "True")
    who = await fleet.new_person(8)
    async with fleet.person(who) as person:
        await person.say("aigul_asanova", "message 6101")
        reply = await person.wait_reply("aigul_asanova", timeout=REPLY_SECONDS)
    assert "6101" in reply.text
    assert "You answer for Aigul" in reply.text


async def test_what_a_bot_did_is_told_on_its_own_redis_stream_without_a_word_of_it(fleet: Fleet) -> None:
    bot = fleet.simulation.bot("support")
    key = read_out(fleet, bot.namespace, bot.name)["environment"]["BOTFLEET_BUS_PREFIX"] + "events"
    waiting = "select id from botfleet.events where bot_id = %s and relayed_at is null"

    def all_relayed() -> bool | None:
        return None if query(fleet, waiting, key.split(":")[2]) else True

    await asyncio.to_thread(wait_for, all_relayed, REPORTED_SECONDS, lambda: "events of before are still to be relayed")
    before = {entry["id"] for entry in stream(fleet, key)}
    who = await fleet.new_person(6)
    async with fleet.person(who) as person:
        await person.say(bot.username, "message 6001")
        await named_once(fleet, who.id, bot.username, [6001])

    def relayed() -> list[dict[str, str]] | None:
        new = [entry for entry in stream(fleet, key) if entry["id"] not in before]
        return new if sum(entry["type"] == "reply.sent" for entry in new) >= 2 else None

    new = await asyncio.to_thread(wait_for, relayed, REPORTED_SECONDS, lambda: "no reply.sent came")
    assert {entry["type"] for entry in new} == {"message.received", "reply.sent"}
    assert sum(entry["type"] == "message.received" for entry in new) == 2, "the question, and the one that counts"
    assert not any(word in str(new) for word in ("message 6001", "Noted", who.name, who.phone))
    assert not re.search(r"(?<![0-9a-f])6001(?![0-9a-f])", str(new)), "but as a part of an id"
    rows = query(fleet, "select id from botfleet.events where id = any(%s)", [entry["id"] for entry in new])
    assert len(rows) == len(new), "the table has them too, for replay"
