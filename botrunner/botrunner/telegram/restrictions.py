"""Why: what Telegram forbids the account at the moment, in one word and a time for its owner. Pure: the time is given.

It decides nothing about sending: the outbox waits by itself, whatever is told here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botfleet.conditions import Reason

SHORTEST = timedelta(seconds=2)  # a wait that is over before anybody has read of it is not told
PEER_FLOOD_LASTS = timedelta(hours=1)


@dataclass(frozen=True)
class Restriction:
    """`reason` None: none is known. `until` None: Telegram has not said."""

    reason: Reason | None = None
    until: datetime | None = None


class Restrictions:
    """Of one account."""

    def __init__(self) -> None:
        self._restricted = False
        self._wait_until = self._wait_told_at = datetime.min.replace(tzinfo=UTC)
        self._peer_flood_at: datetime | None = None

    def waits(self, until: datetime, now: datetime) -> None:
        """Telegram has asked the whole account to wait."""
        if until - now >= SHORTEST:
            # A clock that was set back since makes hours of the seconds that were told: nobody knows when they end.
            known = self._wait_until if self._wait_told_at <= now else until
            self._wait_until, self._wait_told_at = max(known, until), now

    def peer_flood(self, now: datetime) -> None:
        """Telegram refuses messages because the account has written to too many strangers."""
        self._peer_flood_at = now

    def sent(self, now: datetime) -> None:
        """Telegram took a message. It names no end of PEER_FLOOD, and lets replies through meanwhile."""
        if self._peer_flood_at is not None and now - self._peer_flood_at >= PEER_FLOOD_LASTS:
            self._peer_flood_at = None

    def restricted(self, restricted: bool) -> None:
        """What Telegram says of the account itself."""
        self._restricted = restricted

    def at(self, now: datetime) -> Restriction:
        """What is to be told: what lasts longest first."""
        if self._restricted:
            return Restriction(Reason.RESTRICTED)
        if self._wait_told_at <= now < self._wait_until:
            return Restriction(Reason.FLOOD_WAIT, self._wait_until)
        return Restriction(Reason.PEER_FLOOD if self._peer_flood_at is not None else None)
