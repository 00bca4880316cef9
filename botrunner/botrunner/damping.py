"""Why: each change of health is a write of the store and one of the API server; what goes to and fro must not become a storm.

Pure: its clock is given. Good news passes at once; bad news after good news waits until a minute has passed since the last.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

EVERY_SECONDS = 60.0


class Damped(Generic[T]):
    """One word about something, as it is told."""

    def __init__(
        self, first: T, severity: Callable[[T], int], clock: Callable[[], float], every: float = EVERY_SECONDS
    ) -> None:
        """Args:
        severity: 0 for a word that all is well; the worse, the higher.
        clock: monotonic seconds.
        every: seconds at least between two turns to the worse, or from one trouble to another.
        """
        self.told = first
        self._severity, self._clock, self._every = severity, clock, every
        self._not_before = float("-inf")

    def settle(self, true: T) -> T:
        """What is to be told while this is true. Ask again, now and then: what was held back becomes due."""
        if true == self.told:
            return self.told
        severity = self._severity(true)
        if severity and severity >= self._severity(self.told):
            if self._clock() < self._not_before:
                return self.told
            self._not_before = self._clock() + self._every
        self.told = true
        return true
