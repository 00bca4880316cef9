"""Why: what one chat remembers of a model that gives it no answer: when to ask again, when to ask no more, when to say so.

It is in memory alone: after a restart a turn gets its tries anew, and no message is lost.
"""

from collections.abc import Hashable
from enum import StrEnum

from botrunner.backoff import backoff
from botrunner.model.provider import Failure, NoAnswer

TRIES = 3  # for one turn, where what comes back is of no use: each of them may be paid for
PATIENCE = 3  # questions in a row without an answer before the person is told; a stumble is not worth a word
LONG_SECONDS = 15.0  # a wait that the endpoint has named is worth a word at once


class Failed(StrEnum):
    """Why a message is given up; the reasons that stand in the inbox."""

    MODEL_REFUSED = "ModelRefused"
    BAD_ANSWER = "BadAnswer"
    EMPTY_ANSWER = "EmptyAnswer"


_FAILED = {
    Failure.REFUSED_REQUEST: Failed.MODEL_REFUSED,
    Failure.BAD_ANSWER: Failed.BAD_ANSWER,
    Failure.EMPTY_ANSWER: Failed.EMPTY_ANSWER,
}


class Trouble:
    """Of one chat."""

    def __init__(self) -> None:
        self.failures = 0  # in a row, of the model or of the store
        self.again_at = 0.0  # by the monotonic clock: when the model may be asked again
        self._turn: Hashable = None
        self._useless = 0
        self._began_with: int | None = None

    def is_over(self) -> None:
        """A step succeeded."""
        self.failures = 0

    def is_answered(self) -> None:
        """The model answered: what comes next is another outage."""
        self._began_with = None

    def began_with(self, oldest: int) -> int:
        """The message that stands for this outage: the oldest that waited when the person was told first."""
        self._began_with = self._began_with or oldest
        return self._began_with

    def no_answer(self, turn: Hashable, no_answer: NoAnswer, now: float) -> Failed | None:
        """The model was asked about this turn in vain. Returns why the turn is given up; None: ask again at `again_at`.

        What passes (outages, rate limits, a wrong key) never ends a turn: it says nothing about the question.
        """
        self.failures += 1
        self.again_at = now + (no_answer.retry_after or backoff(self.failures))
        if no_answer.failure.passes:
            return None
        if turn != self._turn:
            self._turn, self._useless = turn, 0
        self._useless += 1
        return _FAILED[no_answer.failure] if self._useless >= TRIES else None

    def is_long(self, no_answer: NoAnswer) -> bool:
        """Whether the person should be told that nobody answers, if the owner wants that."""
        return self.failures >= PATIENCE or (no_answer.retry_after or 0) >= LONG_SECONDS
