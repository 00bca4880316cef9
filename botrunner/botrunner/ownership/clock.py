"""Why: until when may this process act for its account? Fencing protects the database; Telegram checks no token, so the clock must.

It never talks to the database, and never gives back a right that has once run out.
"""

import threading
import time
from collections.abc import Callable

ACT_FOR = 2 / 3
"""The part of the term for which the holder acts; the rest is the distance to whoever takes over."""


def now() -> float:
    """Seconds of a clock that nobody sets, and which goes on while the machine sleeps (Linux: CLOCK_BOOTTIME)."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class LeaseClock:
    """How long one lease may be acted on: two thirds of the term after the last renewal that succeeded was **sent**.

    Thread-safe: the event loop renews, the cut-off's thread reads. Once past its limit, or ended, it stays so.
    """

    def __init__(self, term: float, sent_at: float, *, clock: Callable[[], float] = now) -> None:
        """Args:
        term: of the lease, in seconds.
        sent_at: when the acquisition was sent, by `clock`.
        """
        self.term = term
        self._clock = clock
        self._lock = threading.Lock()
        self._limit = sent_at + term * ACT_FOR
        self._over = False

    def renewed(self, sent_at: float) -> bool:
        """A renewal that was sent at `sent_at` has succeeded.

        Returns:
            False: too late, the right to act had run out before; the lease must be acquired anew.
        """
        with self._lock:
            if self._is_over():
                return False
            self._limit = max(self._limit, sent_at + self.term * ACT_FOR)
            return True

    def end(self) -> None:
        """No more acting under this lease: it is lost, or about to be released."""
        with self._lock:
            self._over = True

    def may_act(self) -> bool:
        """Whether anything may go to Telegram now."""
        with self._lock:
            return not self._is_over()

    def remaining(self) -> float:
        """Seconds until the limit; 0 when it is over."""
        with self._lock:
            return 0.0 if self._is_over() else self._limit - self._clock()

    def age(self) -> float:
        """Seconds since the last renewal that succeeded was sent."""
        with self._lock:
            return max(0.0, self._clock() - (self._limit - self.term * ACT_FOR))

    def _is_over(self) -> bool:
        if not self._over and self._clock() >= self._limit:
            self._over = True
        return self._over
