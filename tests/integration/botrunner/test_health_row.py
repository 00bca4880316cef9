"""What the operator reads of a bot: the health in its lease row, as the runner's real parts write it."""

import json
import re
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from botfleet.conditions import Reason
from botfleet.health import Health
from botfleet.model import Model
from botfleet.spec import SecretKeyRef
from botfleet_simulator.launch import model_server
from botrunner.health import Vitals
from botrunner.metrics import Metrics
from botrunner.model.breaker import FAILURES
from botrunner.model.chain import ModelChain
from botrunner.model.provider import Answer, ChatMessage, ModelProvider
from botrunner.reporter import Reporter
from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner
from tests.waiting import until, until_async

pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do


def row(runner: Runner) -> Health:
    """The health as it stands in the bot's lease row; before the first report nothing is known."""
    with closing(sqlite3.connect(runner.folder / runner.data / "botfleet.sqlite3")) as connection:
        (text,) = connection.execute("select health from leases").fetchone()
    return Health.model_validate(json.loads(text or '{"spec_digest": ""}'))


def told(runner: Runner, event: str, field: str = "trace_id") -> set[str]:
    """What stands in a field of the lines of an event."""
    lines = [line for line in runner.log.read_text().splitlines() if f" {event} " in line]
    return {found[1] for line in lines if (found := re.search(rf" {field}=(\w+)", line))}


async def counted(runner: Runner) -> dict[str, float]:
    _, text = await runner.get("/metrics")
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("botfleet_runner_")]
    return {name.removeprefix("botfleet_runner_"): float(value) for name, _, value in lines}


async def renewed(runner: Runner) -> dict[str, float]:
    """As `counted`, shortly after the lease was renewed."""
    numbers: dict[str, float] = {}

    async def just_now() -> bool:
        numbers.update(await counted(runner))
        return numbers["lease_age_seconds"] < 3

    await until_async(just_now)
    return numbers


class Row:
    """Stands for the keeper of the lease, which writes what it is given."""

    def __init__(self) -> None:
        self.health: Health | None = None

    def report(self, health: Health) -> None:
        self.health = Health.model_validate_json(health.model_dump_json())


TROUBLES: dict[Reason, dict[str, Any]] = {
    Reason.UNAUTHORIZED: {"effect": "status", "code": 401},
    Reason.RATE_LIMITED: {"effect": "status", "code": 429},
    Reason.QUOTA_EXHAUSTED: {"effect": "status", "code": 429, "error_code": "insufficient_quota"},
    Reason.UNKNOWN_MODEL: {"effect": "status", "code": 404},
    Reason.SERVER_ERROR: {"effect": "status", "code": 503},
    Reason.TIMEOUT: {"effect": "hang"},
    Reason.BAD_ANSWER: {"effect": "broken_json"},
}


async def test_a_bots_row_tells_why_no_model_answers_and_that_one_answers_again(tmp_path: Path) -> None:
    key = f"sk-{secrets.token_hex(8)}"
    async with model_server(keys=[key]) as server:

        async def ask(chain: ModelChain, number: int) -> Any:
            prompt: list[ChatMessage] = [{"role": "user", "content": f"message {number}"}]
            return await chain.answer(prompt)

        for reason, trouble in (*TROUBLES.items(), (Reason.UNREACHABLE, None)):
            row_of, metrics, now = Row(), Metrics(), 0.0
            reporter = Reporter(row_of, "digest", Vitals(), metrics)  # type: ignore[arg-type]
            patience = 1 if reason is Reason.TIMEOUT else 60
            key_of = SecretKeyRef(name="s", key="k")
            one = Model("gpt-5-mini", server.base_url, key_of, None, 9, timeout_seconds=patience)
            provider = ModelProvider(one, key)
            chain = ModelChain([one], [provider], metrics, on_verdict=reporter.model, clock=lambda: now)  # noqa: B023
            if trouble is not None:
                await server.admin.add_fault(**trouble, times=FAILURES)
            else:
                await server.stop()
            for number in range(FAILURES):
                assert row_of.health is None or row_of.health.model is None, "one stumble is no outage"
                now += 100  # whatever pace a refusal has brought about
                await ask(chain, number)
            assert row_of.health is not None
            assert row_of.health.model is reason
            if trouble is None:
                await server.start()

            async def answers() -> bool:  # at once, unless the machine takes longer than the patience
                nonlocal now
                now += 1000
                return isinstance(await ask(chain, FAILURES), Answer)  # noqa: B023

            await until_async(answers)
            assert row_of.health.model is Reason.MODEL_ANSWERS
            await chain.close()


async def test_a_bots_row_tells_what_ails_it_and_what_it_counts_and_one_id_follows_each_message(world: World) -> None:
    runner = world.runner(
        ROOT / "examples/concierge.yaml",
        conversation={"debounceSeconds": 0},
        access={"groups": "All"},
        limits={"budget": {"tokensPerDay": 1_000_000}},
    )
    runner.environment["BOTFLEET_LEASE_TERM_SECONDS"] = "15"  # renewed every 5 s
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    await until(lambda: row(runner).privacy_mode)
    assert row(runner).model is None, "nothing was asked yet"
    telegram = world.telegram.admin
    await world.model.admin.add_fault("status", code=401, times=1)
    await telegram.add_fault("error", method="messages.sendMessage", account=world.username, message="FLOOD_WAIT_3")
    phone = await world.person()
    async with world.telegram.person(phone=phone) as person:
        await person.say(world.username, "message 1")
        limited = await until(lambda: health if (health := row(runner)).restriction else None)
        assert (limited.restriction, limited.model) == (Reason.FLOOD_WAIT, Reason.MODEL_ANSWERS)
        assert limited.restricted_until is not None
        assert "1" in (await person.wait_reply(world.username)).text
    free = await until(lambda: health if (health := row(runner)).last_reply_at else None)
    assert free.restriction is None
    assert free.last_reply_at >= limited.restricted_until
    assert free.last_message_at < free.last_reply_at
    assert free.spent.rung is Reason.WITHIN_BUDGET
    numbers = await renewed(runner)
    assert numbers["messages_received_total"] == 1
    for stage in ("waiting", "model", "sending"):
        assert numbers[f'reply_stage_seconds_count{{stage="{stage}"}}'] == 1
    assert numbers['reply_stage_seconds_sum{stage="sending"}'] >= 3
    assert numbers['flood_wait_seconds_total{scope="account"}'] == 3
    assert 0 <= numbers["lease_age_seconds"] < 3
    assert numbers["telegram_state_lag"] == 0
    events = ("message_received", "model_gave_no_answer", "answer_stored", "send_deferred", "reply_sent")
    followed, chat = told(runner, events[0]), told(runner, events[0], "chat")
    assert len(followed) == len(chat) == 1
    assert {event: told(runner, event) for event in events} == dict.fromkeys(events, followed)
    assert {event: told(runner, event, "chat") for event in events} == dict.fromkeys(events, chat)
    assert str((await telegram.account(phone)).id) not in runner.log.read_text()
    assert "privacy_mode_hides_group_messages" in runner.log.read_text()
    assert await runner.stop() == 0
