"""Why: what a runner tells about itself: to the probes at once, to the operator through the lease row. Enumerated words only."""

from datetime import UTC, datetime, timedelta

from botfleet.conditions import Reason
from botfleet.health import Health
from botrunner import __version__
from botrunner.health import Vitals
from botrunner.metrics import Metrics
from botrunner.ownership.keeper import LeaseKeeper
from botrunner.telegram.connection import Status

REPLY_REPORT_INTERVAL = timedelta(minutes=1)


class Reporter:
    """Holds the health as it was last told, and tells changes."""

    def __init__(self, keeper: LeaseKeeper, digest: str, vitals: Vitals, metrics: Metrics) -> None:
        self._keeper, self._vitals, self._metrics = keeper, vitals, metrics
        self._health = Health(spec_digest=digest, version=__version__, reason=Reason.STARTING)
        self._last_reply: datetime | None = None
        self._elsewhere = False

    def status(self, status: Status) -> None:
        """Telegram's side has changed."""
        known = {"account_id": status.me.id, "username": status.me.username} if status.me else {}
        self._tell(
            connected=status.connected,
            authorized=status.authorized,
            receiving=status.receiving,
            reason=status.reason,
            **known,
        )

    def refused(self, reason: Reason) -> None:
        """The account cannot be used until its secret changes."""
        self._tell(connected=False, authorized=False, receiving=None, reason=reason)

    def lease_elsewhere(self, elsewhere: bool) -> None:
        """Whether another runner holds the lease: for the probe only, since the lease's row is the other one's."""
        if elsewhere != self._elsewhere:
            self._elsewhere = elsewhere
            self._show()

    def replied(self) -> None:
        """A reply was sent; told at most once a minute."""
        self._last_reply = datetime.now(UTC)
        self.flush()

    def flush(self) -> None:
        """Tells the last reply when it is due."""
        told = self._health.last_reply_at
        due = told is None or datetime.now(UTC) - told >= REPLY_REPORT_INTERVAL
        if due and self._last_reply is not None and self._last_reply != told:
            self._tell(last_reply_at=self._last_reply)

    def _tell(self, **changes: object) -> None:
        self._health = self._health.model_copy(update=changes)
        self._show()
        self._keeper.report(self._health)

    def _show(self) -> None:
        why = Reason.LEASE_HELD_ELSEWHERE if self._elsewhere else self._health.reason or Reason.STARTING
        self._vitals.ready = self._health.ready
        self._vitals.why_not_ready = why.value
        self._metrics.connected.set(self._health.ready)
        self._metrics.receiving.set(self._health.ready and self._health.receiving is True)
