"""Why: one question, however many endpoints it takes: the main model, then its fallbacks, those that are down left out.

It waits for its turn (pace.py) and for nothing else, and repeats nothing: when nobody has an answer, that is the outcome. Logs and
metrics name an endpoint by its place in the chain, never a text or a key.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Protocol

import structlog

from botfleet.conditions import Reason
from botfleet.model import MICROS, Model
from botfleet.store.rows import Spending
from botrunner.metrics import Metrics
from botrunner.model.availability import LONG_SECONDS, Availability
from botrunner.model.breaker import Breaker, Entry
from botrunner.model.ladder import order
from botrunner.model.messages import has_pictures, is_all_pictures, without_pictures
from botrunner.model.pace import Allowance, Pace
from botrunner.model.provider import Answer, ChatMessage, Failure, ModelProvider, NoAnswer

log = structlog.get_logger()

PATIENCE_SECONDS = 2.0
"""A turn that is further away is not waited for while another model may answer at once."""
PLACES = ("main", "fallback1", "fallback2", "fallback3")


class Endpoint(Protocol):
    """What is needed of a ModelProvider."""

    @property
    def allowance(self) -> Allowance | None:
        """What it told last of how often it may be asked."""

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        """One call."""

    async def close(self) -> None:
        """Closes its connections."""


class ModelChain:
    """Asks the models of a bot in their order."""

    def __init__(
        self,
        models: Sequence[Model],
        endpoints: Sequence[Endpoint],
        metrics: Metrics,
        *,
        on_verdict: Callable[[Reason | None], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """Args:
        endpoints: one for each model.
        on_verdict: called after each question with whether the models answer; None: nothing shows it yet.
        """
        self._models, self._endpoints, self._metrics, self._today = models, endpoints, metrics, today
        self._breakers = [Breaker(clock) for _ in models]
        self._paces = [Pace(model.requests_per_minute, clock) for model in models]
        self._last: list[Failure] = [Failure.UNREACHABLE for _ in models]
        self._availability, self._on_verdict = Availability(), on_verdict
        self._stop = asyncio.Event()

    @classmethod
    def of(
        cls,
        model: Model,
        keys: Sequence[str],
        metrics: Metrics,
        on_verdict: Callable[[Reason | None], None] = lambda _: None,
    ) -> "ModelChain":
        """The chain of a spec, with a key for each of its models."""
        providers = [ModelProvider(one, key) for one, key in zip(model.chain, keys, strict=True)]
        return cls(model.chain, providers, metrics, on_verdict=on_verdict)

    def stop(self) -> None:
        """The runner stops: the call under way may end, and none is begun after it."""
        self._stop.set()

    async def close(self) -> None:
        """Closes all connections."""
        for endpoint in self._endpoints:
            await endpoint.close()

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        """The first usable answer, with what all calls of this question cost; or why there is none.

        A request that is refused for what is in it ends the question: the next endpoint would be given the same. One with
        pictures is asked again without them; where there is nothing else to answer, those that see are asked, each in its turn.
        """
        return await self._ask(messages, order(self._models, cheaper=False))

    async def answer_cheaply(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        """The same, beginning with the cheapest."""
        return await self._ask(messages, order(self._models, cheaper=True))

    async def _ask(self, messages: Sequence[ChatMessage], places: Sequence[int]) -> Answer | NoAnswer:
        outcome = await self._first_answer(messages, places)
        if isinstance(outcome, Answer):
            self._availability.answered(main_is_down=self._is_down(self._breakers[0]))
        elif not self._stop.is_set():  # else nobody may have been asked
            question = hash(tuple(message["content"] for message in messages))
            all_are_down = all(map(self._is_down, self._breakers))
            self._availability.unanswered(question, outcome.failure, all_are_down=all_are_down)
        self._on_verdict(self._availability.verdict)
        return outcome

    @staticmethod
    def _is_down(breaker: Breaker) -> bool:
        return breaker.is_open or breaker.forbidden_seconds >= LONG_SECONDS

    async def _first_answer(self, messages: Sequence[ChatMessage], places: Sequence[int]) -> Answer | NoAnswer:
        spent: list[Spending] = []
        useless: Failure | None = None  # the first that was paid for
        blind, refused = not is_all_pictures(messages), False
        for place, entry in self._in_turn([place for place in places if blind or self._models[place].vision]):
            outcome = await self._call(place, entry, messages)
            if outcome is not None and self._refuses_pictures(place, outcome, messages):
                self._metrics.media.labels("picture", "model_refused").inc()
                if blind and not self._stop.is_set():
                    outcome = await self._call(place, entry, without_pictures(messages))
                refused = refused or not blind
            if outcome is None:
                break
            if (cost := self._spending(place, outcome)) is not None:
                spent.append(cost)
                self._metrics.cost.inc(cost.cost_micros / MICROS)
            if isinstance(outcome, Answer):
                return replace(outcome, spent=tuple(spent))
            if not outcome.failure.passes:
                useless = useless or outcome.failure
            if (outcome.failure is Failure.REFUSED_REQUEST and blind) or self._stop.is_set():
                break
        refused = refused and useless is Failure.REFUSED_REQUEST
        return NoAnswer(useless or self._last[0], self._wait(), tuple(spent), pictures_refused=refused)

    def _refuses_pictures(self, place: int, outcome: Answer | NoAnswer, messages: Sequence[ChatMessage]) -> bool:
        """Whether they may be why: some endpoints say so with 404, as of a model that they do not know."""
        if isinstance(outcome, Answer) or not self._models[place].vision or not has_pictures(messages):
            return False
        words = not is_all_pictures(messages)
        return outcome.failure is Failure.REFUSED_REQUEST or (words and outcome.failure is Failure.UNKNOWN_MODEL)

    def _in_turn(self, places: Sequence[int]) -> Iterator[tuple[int, Entry]]:
        """Those whose turn is soon, then those whose turn is not."""
        later = []
        for place, entry in self._enter(places):
            if self._paces[place].wait_seconds > PATIENCE_SECONDS and place != places[-1]:
                self._breakers[place].given_up(entry)
                later.append(place)
            else:
                yield place, entry
        if later:
            yield from self._enter(later)

    def _enter(self, places: Sequence[int]) -> Iterator[tuple[int, Entry]]:
        """Those that may be asked. When all are down nobody is left to spare them for: then each that allows it is asked."""
        anybody = False
        for place in places:
            if (entry := self._breakers[place].enter()) is not Entry.NO:
                anybody = True
                yield place, entry
        if not anybody:
            yield from ((place, Entry.YES) for place in places if not self._breakers[place].forbidden_seconds)

    async def _call(self, place: int, entry: Entry, messages: Sequence[ChatMessage]) -> Answer | NoAnswer | None:
        """None: the runner stopped before its turn came."""
        breaker, told = self._breakers[place], False
        try:
            if not await self._turn(place):
                return None
            with self._metrics.model_seconds.time():
                outcome = await self._endpoints[place].answer(messages)
            if isinstance(outcome, NoAnswer) and outcome.failure.passes:
                breaker.failed(entry, outcome.retry_after)
            else:
                breaker.succeeded()
            told = True
            self._hear(place, outcome)
        finally:
            if not told:
                breaker.given_up(entry)
            self._metrics.model_circuit_open.labels(PLACES[place]).set(breaker.is_open)
        self._note(place, outcome)
        return outcome

    async def _turn(self, place: int) -> bool:
        """Waits until one more request is within the pace of this endpoint. False: the runner stops."""
        if seconds := self._paces[place].book():
            self._metrics.model_paced_seconds.inc(seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stop.wait()
            return not self._stop.is_set()
        return True

    def _hear(self, place: int, outcome: Answer | NoAnswer) -> None:
        if isinstance(outcome, NoAnswer) and outcome.failure is Failure.RATE_LIMITED:
            self._paces[place].refused()
        else:
            self._paces[place].heard(self._endpoints[place].allowance)

    def _note(self, place: int, outcome: Answer | NoAnswer) -> None:
        self._metrics.tokens.labels("input").inc(outcome.input_tokens)
        self._metrics.tokens.labels("output").inc(outcome.output_tokens)
        if isinstance(outcome, Answer):
            self._metrics.model_answers.labels(PLACES[place], "cut_off" if outcome.cut_off else "whole").inc()
            return
        self._last[place] = outcome.failure
        self._metrics.model_failures.labels(outcome.failure.value).inc()
        log.warning(
            "model_gave_no_answer",
            endpoint=PLACES[place],
            reason=outcome.failure.value,
            retry_after=outcome.retry_after,
        )

    def _spending(self, place: int, outcome: Answer | NoAnswer) -> Spending | None:
        """None: the endpoint did no work for it."""
        if isinstance(outcome, NoAnswer) and outcome.failure not in (Failure.EMPTY_ANSWER, Failure.BAD_ANSWER):
            return None
        model, tokens = self._models[place], (outcome.input_tokens, outcome.output_tokens)
        return Spending(self._today(), model.name, *tokens, model.price.micros(*tokens) if model.price else 0)

    def _wait(self) -> float | None:
        """What all endpoints together have asked for."""
        seconds = min(breaker.forbidden_seconds for breaker in self._breakers)
        return seconds or None
