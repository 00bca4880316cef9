"""Why: Telegram names a wait in seconds, and a machine's clock that is set meanwhile makes it neither shorter nor longer.

Within a run the monotonic clock decides. The store has times, for the next run, which believes them for a while: what Telegram
says to the first send after that is exact again. It never waits itself.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from botfleet.store.rows import OutboxRow

BELIEVED = timedelta(hours=1)
"""At most, of what a former run left: a clock that was set back makes ten hours of twenty seconds."""


class Waits:
    """Of one account, and of its chats."""

    def __init__(self, now: Callable[[], datetime], clock: Callable[[], float] = time.monotonic) -> None:
        """`now`: the machine's time; `clock`: seconds that nobody sets."""
        self._now, self._clock = now, clock
        self._account = 0.0
        self._chats: dict[int, tuple[datetime, float]] = {}
        self.recalled = False
        """Whether it is known what a former run left of the account's wait."""

    def recall(self, until: datetime | None) -> datetime | None:
        """A former run left this of the account's wait. Returns what is believed of it."""
        self.recalled = True
        if until is None:
            return None
        until = min(until, self._now() + BELIEVED)
        self._account = max(self._account, self._at(until))
        return until

    def account(self, seconds: float) -> datetime:
        """The account waits from now on. Returns until when, as this machine tells the time, a longer wait included."""
        self._account = max(self._account, self._clock() + seconds)
        return self._now() + timedelta(seconds=self._account - self._clock())

    def chat(self, peer_id: int, seconds: float) -> datetime:
        """A chat waits from now on. Returns until when, as this machine tells the time: its row is to stand in the store so."""
        until = self._now() + timedelta(seconds=seconds)
        self._chats[peer_id] = until, self._clock() + seconds
        return until

    def left(self, row: OutboxRow) -> float:
        """Seconds until this may be sent; not above 0: now."""
        at = self._account
        if row.not_before is not None:
            known = self._chats.get(row.peer_id)
            if known is None or known[0] != row.not_before:
                known = row.not_before, self._at(min(row.not_before, self._now() + BELIEVED))
                self._chats[row.peer_id] = known
            at = max(at, known[1])
        return at - self._clock()

    def forget(self, peer_id: int) -> None:
        """Nothing is to be sent there any more."""
        self._chats.pop(peer_id, None)

    def _at(self, until: datetime) -> float:
        return self._clock() + (until - self._now()).total_seconds()
