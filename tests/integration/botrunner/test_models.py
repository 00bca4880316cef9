"""Promises of a bot with several models and a budget, as a real process: another answers, the first one comes back, a day ends."""

import sqlite3

import pytest

from botfleet_simulator.launch import ModelServer, model_server
from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do

CONCIERGE = ROOT / "examples/concierge.yaml"
SAYS_WHO = {"rules": [{"reply": "{{ model }}: {{ numbers | join(', ') }}"}]}
ENOUGH = "That is all for today."
SORRY = "Nobody is here just now."


async def started(runner: Runner) -> Runner:
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    return runner


async def counted(runner: Runner, metric: str) -> float:
    _, text = await runner.get("/metrics")
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(metric))


def closed(runner: Runner, reason: str) -> int:
    """How many messages the bot's store has closed for this reason."""
    with sqlite3.connect(runner.folder / runner.data / "botfleet.sqlite3") as connection:
        (number,) = connection.execute("select count(*) from inbox where reason = ?", (reason,)).fetchone()
    connection.close()
    return int(number)


def fallback(model: ModelServer, **more: object) -> dict[str, object]:
    return {"name": "second", "baseUrl": model.base_url, "apiKeySecretRef": {"name": "second", "key": "key"}, **more}


async def test_while_the_main_model_is_down_a_fallback_answers_and_then_the_main_one_again(world: World) -> None:
    async with model_server(keys=["sk-of-the-second"]) as second:
        world.secret("second/key", "sk-of-the-second")
        await world.model.admin.set_answers(SAYS_WHO)
        await second.admin.set_answers(SAYS_WHO)
        runner = await started(
            world.runner(CONCIERGE, conversation={"debounceSeconds": 0}, model={"fallbacks": [fallback(second)]})
        )
        async with world.telegram.person(phone=await world.person()) as person:

            async def answer(number: int) -> str:
                await person.say(world.username, f"message {number}")
                return (await person.wait_reply(world.username)).text

            assert (await answer(1)).endswith("gpt-5-mini: 1")
            await world.model.stop()
            assert await answer(2) == "second: 2"
            await world.model.start()
            await world.model.admin.set_answers(SAYS_WHO)
            assert await answer(3) == "gpt-5-mini: 3"
            for effect, number in (("empty", 4), ("broken_json", 5), ("status", 6)):
                await world.model.admin.add_fault(effect, times=1)
                assert await answer(number) == f"second: {number}"
        assert [request.key for request in await second.admin.requests()] == ["sk-of-the-second"] * 4
        assert await counted(runner, 'botfleet_runner_model_answers_total{endpoint="fallback1",outcome="whole"}') == 4
        assert await runner.stop() == 0
        assert "sk-of-the-second" not in runner.log.read_text()


async def test_a_budget_that_is_spent_is_said_in_one_line_also_over_kills(world: World) -> None:
    runner = await started(
        world.runner(
            CONCIERGE,
            conversation={"debounceSeconds": 0},
            limits={"budget": {"tokensPerDay": 1, "exhaustedText": ENOUGH}},
        )
    )
    phone = await world.person()
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 1")
        assert "1" in (await person.wait_reply(world.username)).text
        for number in (2, 3, 4):
            await person.say(world.username, f"message {number}")
            await world.telegram.admin.wait_messages(phone, world.username, incoming=True, count=2)
            await runner.kill()
            await started(runner)
        async with world.telegram.person(phone=await world.person()) as other:
            await other.say(world.username, "message 5")
            assert (await other.wait_reply(world.username)).text == ENOUGH
    await until(lambda: closed(runner, "BudgetExhausted") == 4)
    texts = [message.text for message in await world.telegram.admin.messages(phone, world.username, incoming=True)]
    assert texts[1:] == [ENOUGH]
    assert len(await world.model.admin.requests()) == 1
    assert await counted(runner, 'botfleet_runner_budget_used_ratio{of="tokens"}') >= 1
    assert await runner.stop() == 0


async def test_a_model_that_refuses_is_asked_three_times_and_the_next_message_is_answered(world: World) -> None:
    runner = await started(world.runner(CONCIERGE, conversation={"debounceSeconds": 0, "unavailableText": SORRY}))
    await world.model.admin.add_fault("status", code=400, times=3)
    async with world.telegram.person(phone=await world.person()) as person:
        await person.say(world.username, "message 1")
        assert (await person.wait_reply(world.username)).text == SORRY
        await person.say(world.username, "message 2")
        reply = await person.wait_reply(world.username)
        assert "2" in reply.text
        assert "1" not in reply.text.partition("\n\n")[2]
    assert await counted(runner, 'botfleet_runner_messages_failed_total{reason="ModelRefused"}') == 1
    assert [request.outcome for request in await world.model.admin.requests()] == ["400"] * 3 + ["ok"]
    assert await runner.stop() == 0
