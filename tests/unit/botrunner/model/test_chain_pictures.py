"""Promises of the chain about pictures: shown to those that see, the words to the others, and a refusal of pictures is no end."""

from collections.abc import Sequence
from dataclasses import replace

from botrunner.model.chain import ModelChain
from botrunner.model.messages import ChatMessage, Picture, has_pictures
from botrunner.model.provider import Answer, Failure, NoAnswer
from tests.unit.botrunner.model.test_chain import DAY, FakeEndpoint, World, no

LOOK: list[ChatMessage] = [{"role": "user", "content": "look", "picture": Picture("image/png", b"x")}]
ALONE: list[ChatMessage] = [
    {"role": "user", "content": "(a picture)", "picture": Picture("image/png", b"x", alone=True)}
]


class Looking(FakeEndpoint):
    """Refuses pictures, unless it sees."""

    sees = False
    refusal = Failure.REFUSED_REQUEST

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        self.asked += 1
        return no(self.refusal) if has_pictures(messages) and not self.sees else await super().answer(messages)


def world(*visions: bool) -> World:
    """Models that are said to see or not; none of their endpoints does."""
    made = World(*(f"m{place}" for place in range(len(visions))))
    made.models = [replace(model, vision=vision) for model, vision in zip(made.models, visions, strict=True)]
    made.endpoints = [Looking(model.name) for model in made.models]
    made.chain = ModelChain(made.models, made.endpoints, made.metrics, clock=lambda: made.now, today=lambda: DAY)
    return made


def refusals(made: World) -> float:
    return made.metrics.media.labels("picture", "model_refused")._value.get()


async def test_a_model_that_refuses_pictures_is_given_the_words_and_it_is_counted() -> None:
    made = world(True, True)
    answer = await made.chain.answer(LOOK)
    assert isinstance(answer, Answer) and answer.text == "m0"
    assert made.endpoints[1].asked == 0
    assert refusals(made) == 1


async def test_an_endpoint_may_say_it_as_of_a_model_that_it_does_not_know() -> None:
    made = world(True)
    made.endpoints[0].refusal = Failure.UNKNOWN_MODEL  # type: ignore[attr-defined]
    assert isinstance(await made.chain.answer(LOOK), Answer)


async def test_where_there_is_nothing_but_pictures_only_those_that_see_are_asked_each_in_its_turn() -> None:
    made = world(True, False, True)
    made.endpoints[2].sees = True  # type: ignore[attr-defined]
    answer = await made.chain.answer(ALONE)
    assert isinstance(answer, Answer) and answer.text == "m2"
    assert made.endpoints[1].asked == 0


async def test_when_all_refuse_them_that_is_the_outcome_and_no_endpoint_is_left_alone_for_it() -> None:
    made = world(True, False, True)
    for _ in range(5):
        outcome = await made.chain.answer(ALONE)
        assert isinstance(outcome, NoAnswer) and outcome.pictures_refused
    assert made.asked == [5, 0, 5]


async def test_an_outage_is_no_refusal_of_pictures() -> None:
    made = world(True)
    made.endpoints[0].refusal = Failure.TIMEOUT  # type: ignore[attr-defined]
    outcome = await made.chain.answer(ALONE)
    assert outcome == no(Failure.TIMEOUT)
    assert refusals(made) == 0


async def test_words_that_are_refused_too_end_the_question() -> None:
    made = world(True, True)
    made.endpoints[0].says = [no(Failure.REFUSED_REQUEST)]
    outcome = await made.chain.answer(LOOK)
    assert isinstance(outcome, NoAnswer)
    assert (outcome.failure, outcome.pictures_refused) == (Failure.REFUSED_REQUEST, False)
    assert made.endpoints[1].asked == 0
