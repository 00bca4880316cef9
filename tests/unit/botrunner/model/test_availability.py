"""Whether the models answer: nothing before the first word, an outage only after several failures, its end with one answer."""

import pytest

from botfleet.conditions import CONDITIONS, GOOD, REASONS, ConditionType, Reason
from botrunner.model import availability
from botrunner.model.availability import QUESTIONS, Availability
from botrunner.model.breaker import FAILURES, FIRST_SECONDS
from botrunner.model.provider import Answer, Failure, NoAnswer
from tests.unit.botrunner.model.test_chain import World, no


def test_every_failure_is_a_reason_of_the_condition_and_none_is_good_news() -> None:
    condition = ConditionType.MODEL_AVAILABLE
    assert set(availability.REASONS) == set(Failure)
    for reason in availability.REASONS.values():
        assert condition in REASONS[reason].conditions
        assert reason not in GOOD[condition]
        assert availability.severity(reason) == 2
    assert str(QUESTIONS) == "3" and "three different questions" in CONDITIONS[condition].true_means


def test_one_question_that_is_asked_again_and_again_is_no_outage_and_three_are_one() -> None:
    judged = Availability()
    for _ in range(9):
        judged.unanswered("the same", Failure.REFUSED_REQUEST, all_are_down=False)
    assert judged.verdict is None
    judged.unanswered("another", Failure.BAD_ANSWER, all_are_down=False)
    judged.unanswered("a third", Failure.REFUSED_REQUEST, all_are_down=False)
    assert judged.verdict is Reason.REQUEST_REFUSED
    judged.answered(main_is_down=False)
    judged.unanswered("a fourth", Failure.REFUSED_REQUEST, all_are_down=False)
    assert judged.verdict is Reason.MODEL_ANSWERS


A_WHILE = 100.0  # longer than the pace of an endpoint that has asked to slow down


class Told(World):
    """A chain, and what it told."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.told: list[Reason | None] = []
        self.chain._on_verdict = self.told.append


@pytest.mark.parametrize("failure", [f for f in Failure if f.passes])
async def test_an_endpoint_is_called_away_when_its_circuit_breaker_gives_it_up_and_back_after_one_answer(
    failure: Failure,
) -> None:
    world = Told("main")
    world.endpoints[0].says = [no(failure)] * FAILURES
    for _ in range(FAILURES):
        world.now += A_WHILE
        await world.ask()
    assert world.told == [None] * (FAILURES - 1) + [availability.REASONS[failure]]
    world.now += FIRST_SECONDS
    assert isinstance(await world.ask(), Answer)
    assert world.told[-1] is Reason.MODEL_ANSWERS


async def test_a_long_wait_that_an_endpoint_asks_for_is_an_outage_at_once_and_a_short_one_is_not() -> None:
    short, long = Told("main"), Told("main")
    short.endpoints[0].says = [no(Failure.RATE_LIMITED, 2)]
    long.endpoints[0].says = [no(Failure.RATE_LIMITED, 60)]
    await short.ask()
    await long.ask()
    assert (short.told, long.told) == ([None], [Reason.RATE_LIMITED])
    assert isinstance(await long.ask(), NoAnswer)
    assert long.told[-1] is Reason.RATE_LIMITED
    long.now += 60
    await long.ask()
    assert long.told[-1] is Reason.MODEL_ANSWERS


async def test_while_a_fallback_answers_the_models_are_available_and_it_is_said_who_does() -> None:
    world = Told("main", "second")
    world.endpoints[0].says = [no(Failure.UNAUTHORIZED)] * FAILURES
    for _ in range(FAILURES):
        await world.ask()
    assert world.told == [Reason.MODEL_ANSWERS] * (FAILURES - 1) + [Reason.FALLBACK_ANSWERS]
    world.now += FIRST_SECONDS
    await world.ask()
    assert world.told[-1] is Reason.MODEL_ANSWERS


async def test_the_reason_is_the_main_models_when_all_are_down() -> None:
    world = Told("main", "second")
    world.endpoints[0].says = [no(Failure.QUOTA_EXHAUSTED)] * FAILURES
    world.endpoints[1].says = [no(Failure.UNREACHABLE)] * FAILURES
    for _ in range(FAILURES):
        await world.ask()
    assert world.told[-1] is Reason.QUOTA_EXHAUSTED


async def test_a_runner_that_stops_says_nothing_of_questions_that_it_cuts_short() -> None:
    world = Told("main")
    world.endpoints[0].says = [no(Failure.UNREACHABLE)] * FAILURES
    world.chain.stop()
    for _ in range(FAILURES):
        await world.ask()
    assert world.told == [None] * FAILURES
