"""Why: an endpoint that is down is not asked by everybody all the time, while another one could answer. Pure: its clock is given.

closed -> open after three failures in a row -> half open after a back-off: one call tries -> closed, or open for twice as long.
"""

from collections.abc import Callable
from enum import Enum, auto

FAILURES = 3
FIRST_SECONDS = 15.0
LONGEST_SECONDS = 300.0


class Entry(Enum):
    """Whether an endpoint may be asked. A TRIAL is the one call of a half-open breaker; each must be told the end of."""

    YES = auto()
    TRIAL = auto()
    NO = auto()


class Breaker:
    """What is known of one endpoint. Every entry that is not NO ends with `succeeded`, `failed` or `given_up`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0  # in a row, while closed
        self._opened = 0  # times in a row, without a success in between
        self._until = 0.0  # open before this time
        self._not_before = 0.0  # what the endpoint itself has said
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Also while half open: no success has been seen yet."""
        return self._opened > 0

    @property
    def wait_seconds(self) -> float:
        """Until it may be asked again, as far as is known; 0 now."""
        return max(0.0, max(self._until, self._not_before) - self._clock())

    @property
    def forbidden_seconds(self) -> float:
        """Until the time that the endpoint itself has named: before it nobody asks, not even for want of another."""
        return max(0.0, self._not_before - self._clock())

    def enter(self) -> Entry:
        """Asks for a call."""
        if self.wait_seconds > 0 or self._trying:
            return Entry.NO
        if not self.is_open:
            return Entry.YES
        self._trying = True
        return Entry.TRIAL

    def succeeded(self) -> None:
        """It answered; a late answer to a call from before it was opened is as good."""
        self._failures = self._opened = 0
        self._until = self._not_before = 0.0
        self._trying = False

    def failed(self, entry: Entry, retry_after: float | None = None) -> None:
        """It did not. `retry_after`: the seconds that it asked for, which are kept from the first failure on."""
        now = self._clock()
        if retry_after is not None:
            self._not_before = max(self._not_before, now + retry_after)
        if entry is Entry.TRIAL and self._trying:  # else another call's success has closed it meanwhile
            self._trying = False
            self._open(now)
        elif not self.is_open:
            self._failures += 1
            if self._failures >= FAILURES:
                self._open(now)

    def given_up(self, entry: Entry) -> None:
        """The call was ended from here: nothing is known, and the next may try."""
        if entry is Entry.TRIAL:
            self._trying = False

    def _open(self, now: float) -> None:
        self._failures = 0
        self._until = now + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._opened, 16))
        self._opened += 1
