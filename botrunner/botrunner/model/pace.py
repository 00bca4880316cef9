"""Why: a bot asks an endpoint no faster than its owner says, and bots that share a key share it evenly without knowing of each other.

Pure: its clock is given. An endpoint tells how many requests of a minute a key has left; when they run low, or one was refused, each bot
halves its rate, and otherwise raises it by a little at a time. Additive increase and multiplicative decrease lead those who share a
limit to equal shares (Chiu and Jain, 1989), as they do in TCP. The rate is kept by the generic cell rate algorithm: in the order of
asking, with a few requests at once after a pause.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MINUTE = 60.0
BURST_SECONDS = 5.0
"""So much of its time may be saved up: what a chat asks at once is not spread without need."""
LOW = 0.1
"""Of the limit: less than this left, and all who share it slow down."""
LEAST = 12.0
"""Requests a minute, or half of a limit that is lower than twice that: however crowded a key is, nobody is shut out."""
SHARE_A_SECOND = 0.001
"""Of the limit: by so much a rate rises each second while nothing speaks against it."""
UNKNOWN_LIMIT = 600.0
"""Requests a minute, where the endpoint tells no limit: how steeply the rate rises, and where it counts as free again."""
HOLD_SECONDS = 10.0
"""One shortage is heard of more than once; it halves the rate once."""


@dataclass(frozen=True)
class Allowance:
    """What an endpoint says that its key may ask: `limit` requests a minute, of which so many `remaining` now."""

    limit: float
    remaining: float


def allowance_of(headers: Mapping[str, str]) -> Allowance | None:
    """From `x-ratelimit-*-requests`, as OpenAI names them; None where they are missing, or no numbers."""
    try:
        limit, remaining = (float(headers[f"x-ratelimit-{what}-requests"]) for what in ("limit", "remaining"))
    except (KeyError, ValueError):
        return None
    if not (0 < limit < math.inf and 0 <= remaining < math.inf):
        return None
    return Allowance(limit, remaining)


class Pace:
    """How fast one bot asks one endpoint."""

    def __init__(self, requests_per_minute: int | None, clock: Callable[[], float]) -> None:
        """`requests_per_minute`: the owner's bound; None: only what the endpoint tells."""
        self._most = float(requests_per_minute) if requests_per_minute else math.inf
        self._clock = clock
        self._shared = math.inf  # what seems to be left by those who share the key
        self._limit = UNKNOWN_LIMIT
        self._next = clock()  # when the next request is due, at an even pace
        self._hold_until = -math.inf
        self._heard_at = clock()
        self._lately, self._counted_at = 0.0, clock()  # about how many were asked within a minute

    @property
    def rate(self) -> float:
        """Requests a minute; inf: as many as there are."""
        return min(self._most, self._shared)

    @property
    def wait_seconds(self) -> float:
        """How long the next request would have to wait."""
        return max(0.0, self._due(self._clock()) - self._clock())

    def book(self) -> float:
        """A place for one request; the seconds until it may begin. Places are given in the order of asking."""
        now = self._clock()
        self._count(now)
        due = self._due(now)
        if not math.isinf(self.rate):
            self._next = due + MINUTE / self.rate
        return max(0.0, due - now)

    def heard(self, allowance: Allowance | None) -> None:
        """A request was answered, with this in its headers."""
        now = self._clock()
        if allowance is not None:
            self._limit = allowance.limit
            if allowance.remaining < LOW * allowance.limit:
                self._slower(now)
                return
        if not math.isinf(self._shared):
            self._shared += self._limit * SHARE_A_SECOND * (now - self._heard_at)
            if self._shared >= self._limit:
                self._shared = math.inf
        self._heard_at = now

    def refused(self) -> None:
        """A request was refused, since there were too many."""
        self._slower(self._clock())

    def _due(self, now: float) -> float:
        if math.isinf(self.rate):
            return now
        saved = max(0.0, BURST_SECONDS - MINUTE / self.rate)
        return max(self._next, now - saved)

    def _slower(self, now: float) -> None:
        self._heard_at = now
        if now < self._hold_until:
            return
        self._hold_until = now + HOLD_SECONDS
        self._count(now, 0)
        least = min(LEAST, self._limit / 2)
        self._shared = max(least, min(self._shared, self._lately, self._limit) / 2)
        self._next = max(self._next, now + MINUTE / self._shared)

    def _count(self, now: float, requests: int = 1) -> None:
        self._lately = self._lately * math.exp((self._counted_at - now) / MINUTE) + requests
        self._counted_at = now
