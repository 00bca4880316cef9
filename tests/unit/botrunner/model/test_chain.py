"""Promises of the chain: one question, the first usable answer, nobody asked who is down or who asked to be left alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import pytest

from botfleet.model import Model, Price
from botfleet.spec import SecretKeyRef
from botfleet.store.rows import Spending
from botrunner.metrics import Metrics
from botrunner.model.breaker import FAILURES, FIRST_SECONDS
from botrunner.model.chain import ModelChain
from botrunner.model.pace import Allowance
from botrunner.model.provider import Answer, ChatMessage, Failure, NoAnswer

DAY = date(2026, 11, 1)
PROMPT: list[ChatMessage] = [{"role": "user", "content": "hi"}]
PASSING = [failure for failure in Failure if failure.passes]


@dataclass
class FakeEndpoint:
    """Answers with its name; `says` comes first."""

    name: str
    says: list[Answer | NoAnswer] = field(default_factory=list)
    allowance: Allowance | None = None
    asked: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        self.asked += 1
        await self.go.wait()
        return self.says.pop(0) if self.says else Answer(self.name, cut_off=False, input_tokens=10, output_tokens=2)

    async def close(self) -> None:
        self.closed = True


class World:
    """A chain of fakes, and the time."""

    def __init__(self, *names: str, bound: int | None = None, **prices: Price) -> None:
        base = Model(
            "", "http://model.invalid/v1", SecretKeyRef(name="s", key="k"), None, 9, 5, requests_per_minute=bound
        )
        self.now = 0.0
        self.models = [replace(base, name=name, price=prices.get(name)) for name in names]
        self.endpoints = [FakeEndpoint(name) for name in names]
        self.metrics = Metrics()
        self.chain = ModelChain(self.models, self.endpoints, self.metrics, clock=lambda: self.now, today=lambda: DAY)

    async def ask(self, *, cheaper: bool = False) -> Answer | NoAnswer:
        return await (self.chain.answer_cheaply if cheaper else self.chain.answer)(PROMPT)

    async def text(self) -> str:
        outcome = await self.ask()
        assert isinstance(outcome, Answer), outcome
        return outcome.text

    @property
    def asked(self) -> list[int]:
        return [endpoint.asked for endpoint in self.endpoints]


def no(failure: Failure, retry_after: float | None = None) -> NoAnswer:
    return NoAnswer(failure, retry_after)


@pytest.mark.parametrize("failure", [*PASSING, Failure.BAD_ANSWER, Failure.EMPTY_ANSWER])
async def test_the_next_one_answers_within_the_same_question(failure: Failure) -> None:
    world = World("main", "second", "third")
    world.endpoints[0].says = [no(failure)]
    assert await world.text() == "second"
    assert world.asked == [1, 1, 0]
    if failure is Failure.RATE_LIMITED:
        assert await world.text() == "second", "whose turn is far away is not waited for"
        world.now += 10
    assert await world.text() == "main", "one failure is not an outage"


async def test_a_request_that_is_refused_for_what_is_in_it_ends_the_question() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.REFUSED_REQUEST)]
    assert await world.ask() == NoAnswer(Failure.REFUSED_REQUEST)
    assert world.asked == [1, 0]


async def test_who_is_down_is_left_alone_and_asked_first_again_when_it_is_back() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.TIMEOUT)] * (FAILURES + 1)
    for _ in range(FAILURES + 5):
        assert await world.text() == "second"
    assert world.asked == [FAILURES, FAILURES + 5]
    assert world.metrics.registry.get_sample_value("botfleet_runner_model_circuit_open", {"endpoint": "main"}) == 1
    world.now += FIRST_SECONDS
    assert await world.text() == "second", "the trial failed"
    world.now += FIRST_SECONDS
    assert await world.text() == "second", "it is left alone for twice as long"
    world.now += FIRST_SECONDS
    assert await world.text() == "main"
    assert world.asked[0] == FAILURES + 2
    assert world.metrics.registry.get_sample_value("botfleet_runner_model_circuit_open", {"endpoint": "main"}) == 0


async def test_when_all_are_down_each_is_asked_all_the_same() -> None:
    world = World("main", "second")
    for endpoint in world.endpoints:
        endpoint.says = [no(Failure.UNREACHABLE)] * (FAILURES + 1)
    for _ in range(FAILURES + 1):
        assert await world.ask() == NoAnswer(Failure.UNREACHABLE)
    assert world.asked == [FAILURES + 1] * 2
    assert await world.text() == "main", "at once: nobody else could have answered"


async def test_a_time_that_an_endpoint_names_is_kept_and_told_when_nobody_else_is_left() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.RATE_LIMITED, 40)]
    world.endpoints[1].says = [no(Failure.RATE_LIMITED, 60)]
    assert await world.ask() == NoAnswer(Failure.RATE_LIMITED, 40)
    assert await world.ask() == NoAnswer(Failure.RATE_LIMITED, 40)
    assert world.asked == [1, 1]
    world.now += 40
    assert await world.text() == "main"
    world.now += 10  # it was refused just now, and is asked less often for a while
    world.endpoints[0].says = [no(Failure.TIMEOUT)]
    assert await world.ask() == NoAnswer(Failure.TIMEOUT), "no time for all of them"
    assert world.asked == [3, 1], "10 seconds are left of the second one's"


async def test_one_question_tries_a_half_open_endpoint_and_the_others_go_by() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.TIMEOUT)] * FAILURES
    for _ in range(FAILURES):
        await world.text()
    world.now += FIRST_SECONDS
    world.endpoints[0].go.clear()
    trying = asyncio.create_task(world.text())
    await asyncio.sleep(0)
    assert await world.text() == "second"
    world.endpoints[0].go.set()
    assert await trying == "main"


async def test_a_trial_that_is_cancelled_blocks_nobody() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.TIMEOUT)] * FAILURES
    for _ in range(FAILURES):
        await world.text()
    world.now += FIRST_SECONDS
    world.endpoints[0].go.clear()
    trying = asyncio.create_task(world.text())
    await asyncio.sleep(0)
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    world.endpoints[0].go.set()
    assert await world.text() == "main"


async def test_every_call_that_was_paid_for_is_in_what_a_question_cost() -> None:
    world = World("main", "second", "third", main=Price(1, 10), third=Price(0.5, 0.5))
    world.endpoints[0].says = [NoAnswer(Failure.EMPTY_ANSWER, input_tokens=7, output_tokens=3)]
    world.endpoints[1].says = [no(Failure.TIMEOUT)]
    outcome = await world.ask()
    assert isinstance(outcome, Answer)
    assert outcome.spent == (Spending(DAY, "main", 7, 3, 37), Spending(DAY, "third", 10, 2, 6))
    assert world.metrics.registry.get_sample_value("botfleet_runner_model_cost_total") == pytest.approx(43e-6)
    world.endpoints[0].says = [no(Failure.BAD_ANSWER), no(Failure.REFUSED_REQUEST)]
    for endpoint in world.endpoints[1:]:
        endpoint.says = [no(Failure.SERVER_ERROR)]
    outcome = await world.ask()
    assert outcome == NoAnswer(Failure.BAD_ANSWER, spent=(Spending(DAY, "main", 0, 0, 0),))
    assert (await world.ask()).spent == (), "a refusal costs nothing"


async def test_a_useless_answer_is_why_even_if_others_are_down() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.TIMEOUT)]
    world.endpoints[1].says = [no(Failure.EMPTY_ANSWER)]
    outcome = await world.ask()
    assert isinstance(outcome, NoAnswer)
    assert outcome.failure is Failure.EMPTY_ANSWER, "it is paid for, so there is an end to it"


async def test_near_the_end_of_a_budget_the_cheapest_is_asked_first() -> None:
    world = World("main", "second", "third", main=Price(2, 2), second=Price(0.1, 0.1), third=Price(1, 1))
    outcome = await world.ask(cheaper=True)
    assert isinstance(outcome, Answer)
    assert outcome.text == "second"
    world.endpoints[1].says = [no(Failure.TIMEOUT)]
    outcome = await world.ask(cheaper=True)
    assert isinstance(outcome, Answer)
    assert outcome.text == "main"


async def test_a_runner_that_stops_begins_no_other_call() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.TIMEOUT)]
    world.endpoints[0].go.clear()
    asking = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    world.chain.stop()
    world.endpoints[0].go.set()
    assert await asking == NoAnswer(Failure.TIMEOUT)
    assert world.asked == [1, 0]


async def test_answers_that_are_cut_off_are_given_and_counted_by_themselves() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [Answer("half", cut_off=True, input_tokens=1, output_tokens=9)]
    assert await world.text() == "half"
    await world.text()
    world.endpoints[0].says = [no(Failure.TIMEOUT)]
    await world.text()

    def count(name: str, **labels: str) -> float | None:
        return world.metrics.registry.get_sample_value(f"botfleet_runner_{name}", labels)

    assert count("model_answers_total", endpoint="main", outcome="cut_off") == 1
    assert count("model_answers_total", endpoint="main", outcome="whole") == 1
    assert count("model_answers_total", endpoint="fallback1", outcome="whole") == 1
    assert count("model_failures_total", reason="timeout") == 1
    assert count("model_tokens_total", direction="output") == 9 + 2 + 2
    assert count("model_seconds_count") == 4


async def test_all_connections_are_closed() -> None:
    world = World("main", "second")
    await world.chain.close()
    assert [endpoint.closed for endpoint in world.endpoints] == [True, True]


async def test_each_endpoint_is_asked_with_its_own_key_and_name() -> None:
    model = replace(World("main").models[0], fallbacks=(World("second").models[0],))
    chain = ModelChain.of(model, ["sk-1", "sk-2"], Metrics())
    await chain.close()
    with pytest.raises(ValueError, match="shorter"):
        ModelChain.of(model, ["sk-1"], Metrics())


async def test_a_call_beyond_the_owners_bound_waits_for_its_turn_and_none_begins_when_the_runner_stops() -> None:
    world = World("main", bound=1)
    assert await world.text() == "main"
    second = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    assert world.asked == [1]
    world.chain.stop()
    assert isinstance(await second, NoAnswer)
    assert world.asked == [1]


async def test_calls_within_the_owners_bound_wait_only_as_long_as_they_must() -> None:
    world = World("main", bound=6000)
    assert [await world.text() for _ in range(3)] == ["main"] * 3
    paced = world.metrics.registry.get_sample_value("botfleet_runner_model_paced_seconds_total")
    assert paced == pytest.approx(0.03)  # the clock of this test stands still


async def test_bots_that_are_told_that_a_key_is_nearly_used_up_slow_down() -> None:
    world = World("main")
    for _ in range(20):
        assert await world.text() == "main"
    world.endpoints[0].allowance = Allowance(limit=600, remaining=5)
    assert await world.text() == "main"
    waiting = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    assert world.asked == [21]
    world.chain.stop()
    await waiting


async def test_a_refusal_for_too_many_requests_slows_down_and_no_other_failure_does() -> None:
    world = World("main")
    world.endpoints[0].says = [no(Failure.SERVER_ERROR), no(Failure.RATE_LIMITED)]
    await world.ask()
    await world.ask()
    assert world.asked == [2]
    waiting = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    assert world.asked == [2]
    world.chain.stop()
    await waiting


async def test_a_turn_that_is_far_away_is_waited_for_when_nobody_else_answers() -> None:
    world = World("main", "second")
    world.endpoints[0].says = [no(Failure.RATE_LIMITED)]
    assert await world.text() == "second"
    world.endpoints[1].says = [no(Failure.EMPTY_ANSWER)]
    asking = asyncio.create_task(world.ask())
    for _ in range(3):
        await asyncio.sleep(0)
    assert world.asked == [1, 2]
    assert not asking.done()
    world.chain.stop()
    assert (await asking) == NoAnswer(Failure.EMPTY_ANSWER, None, (await asking).spent)
    assert world.asked == [1, 2]
