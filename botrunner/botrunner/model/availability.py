"""Why: whether a bot's models answer, in one word for its owner, judged from what came of its questions. Pure; no clock.

One stumble is no outage: it is called one when the circuit breakers have given up every endpoint, or when three different
questions in a row had no answer. One answer ends it. Before the first word nothing is claimed.
"""

from collections.abc import Hashable

from botfleet.conditions import Reason
from botrunner.model.provider import Failure

QUESTIONS = 3  # different ones, in a row
LONG_SECONDS = 15.0  # a wait that an endpoint asks for is an outage of its own

REASONS = {
    Failure.UNAUTHORIZED: Reason.UNAUTHORIZED,
    Failure.RATE_LIMITED: Reason.RATE_LIMITED,
    Failure.QUOTA_EXHAUSTED: Reason.QUOTA_EXHAUSTED,
    Failure.UNKNOWN_MODEL: Reason.UNKNOWN_MODEL,
    Failure.UNREACHABLE: Reason.UNREACHABLE,
    Failure.TIMEOUT: Reason.TIMEOUT,
    Failure.SERVER_ERROR: Reason.SERVER_ERROR,
    Failure.REFUSED_REQUEST: Reason.REQUEST_REFUSED,
    Failure.BAD_ANSWER: Reason.BAD_ANSWER,
    Failure.EMPTY_ANSWER: Reason.BAD_ANSWER,
}


class Availability:
    """Of one chain of models."""

    def __init__(self) -> None:
        self.verdict: Reason | None = None  # None: no word yet
        self._questions: set[Hashable] = set()

    def answered(self, *, main_is_down: bool) -> None:
        """A question got a usable answer."""
        self._questions.clear()
        self.verdict = Reason.FALLBACK_ANSWERS if main_is_down else Reason.MODEL_ANSWERS

    def unanswered(self, question: Hashable, failure: Failure, *, all_are_down: bool) -> None:
        """A question got none. Asked again it counts once: what one message brings about says little of the next."""
        if len(self._questions) < QUESTIONS:
            self._questions.add(question)
        if all_are_down or len(self._questions) >= QUESTIONS:
            self.verdict = REASONS[failure]


def severity(verdict: Reason | None) -> int:
    """For `Damped`: an outage is worse than a fallback's answers, and those than the model's own."""
    if verdict in (None, Reason.MODEL_ANSWERS):
        return 0
    return 1 if verdict is Reason.FALLBACK_ANSWERS else 2
