"""Why: what a runner tells about itself: to the probes at once, to the operator through the lease row. Enumerated words only."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from botfleet.conditions import Reason
from botfleet.health import Health, Spent
from botfleet.store import usage
from botrunner import __version__
from botrunner.damping import Damped
from botrunner.health import Vitals
from botrunner.metrics import Metrics
from botrunner.model import availability
from botrunner.model.ladder import Rung
from botrunner.ownership.keeper import LeaseKeeper
from botrunner.telegram.connection import Status
from botrunner.telegram.restrictions import Restriction, Restrictions
from botrunner.telegram.standing import Standing

FIGURES_INTERVAL = timedelta(minutes=1)

RUNGS = {
    Rung.NORMAL: Reason.WITHIN_BUDGET,
    Rung.WARN: Reason.BUDGET_WARNING,
    Rung.CHEAPER: Reason.BUDGET_NEARLY_SPENT,
    Rung.EXHAUSTED: Reason.BUDGET_EXHAUSTED,
}


class Reporter:
    """Holds the health as it was last told, and tells changes: what is wrong at once, figures at most once a minute."""

    def __init__(
        self,
        keeper: LeaseKeeper,
        digest: str,
        vitals: Vitals,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keeper, self._vitals, self._metrics, self._now = keeper, vitals, metrics, now
        self._health = Health(spec_digest=digest, version=__version__, reason=Reason.STARTING)
        self._figures: dict[str, object] = {}  # the newest, told or not
        self._figures_told_at = datetime.min.replace(tzinfo=UTC)
        self._model_verdict: Reason | None = None
        self._model: Damped[Reason | None] = Damped(None, availability.severity, clock)
        self._restrictions = Restrictions()
        self._restriction = Damped(Restriction(), lambda told: int(told.reason is not None), clock)
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

    def standing(self, standing: Standing) -> None:
        """What Telegram says of the account itself."""
        self._restrictions.restricted(standing.restricted)
        if standing.privacy_mode != self._health.privacy_mode:
            self._tell(privacy_mode=standing.privacy_mode)
        self.flush()

    def model(self, verdict: Reason | None) -> None:
        """Whether the models answer."""
        self._model_verdict = verdict
        self.flush()

    def waits(self, until: datetime) -> None:
        """Telegram has asked the account to do nothing before this time."""
        self._restrictions.waits(until, self._now())
        self.flush()

    def peer_flood(self) -> None:
        """Telegram has refused a message because the account writes to too many strangers."""
        self._restrictions.peer_flood(self._now())
        self.flush()

    def spent(self, day: date, spent: usage.Spent, reached: Rung) -> None:
        """What the day has cost; a step of the ladder is told at once."""
        told, rung = self._health.spent, RUNGS[reached]
        new = Spent(day=day, tokens=spent.tokens, micros=spent.micros, rung=rung)
        self._figures["spent"] = new
        if told is None or told.rung is not rung:
            self._tell(spent=new)

    def waiting(self, messages: int) -> None:
        """So many messages wait for an answer."""
        self._figures["pending"] = messages

    def received(self) -> None:
        """A message was taken in."""
        self._figures["last_message_at"] = self._now()

    def replied(self) -> None:
        """A reply was sent; the first is told at once."""
        self._restrictions.sent(self._now())
        self._figures["last_reply_at"] = self._now()
        self.flush()

    def flush(self) -> None:
        """Tells what is due by now."""
        model = self._model.settle(self._model_verdict)
        limit = self._restriction.settle(self._restrictions.at(self._now()))
        changes = {
            "model": model,
            "restriction": limit.reason,
            "restricted_until": limit.until,
            **(self._figures if self._figures_are_due() else {}),
        }
        new = {name: value for name, value in changes.items() if value != getattr(self._health, name)}
        if new.keys() & self._figures.keys():
            self._figures_told_at = self._now()
        if new:
            self._tell(**new)

    def _figures_are_due(self) -> bool:
        first = self._health.last_reply_at is None and "last_reply_at" in self._figures
        return first or self._now() - self._figures_told_at >= FIGURES_INTERVAL

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
