"""Why: before each question the store says what the day has cost. It is read anew each time, so a restart forgets nothing.

Calls that are under way when the limit is reached are finished, answered and counted: a budget is exceeded by those at most.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Protocol

import structlog

from botfleet.model import Budget
from botfleet.store.usage import Spent
from botrunner.metrics import Metrics
from botrunner.model.ladder import Rung, rung

log = structlog.get_logger()


class Counted(Protocol):
    """What is needed of the store."""

    async def spent_on(self, day: date) -> Spent:
        """Everything that was counted on this day."""


def _nobody(_day: date, _spent: Spent, _reached: Rung) -> None:
    """Before anybody listens."""


class Purse:
    """One bot's budget and the day's spending."""

    def __init__(
        self,
        counted: Counted,
        budget: Budget,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.on_look: Callable[[date, Spent, Rung], None] = _nobody  # called with each look; must not block
        self._counted, self._budget, self._metrics, self._now = counted, budget, metrics, now
        self.day = date.min  # of the last look; it begins at 00:00 UTC
        self._told = (self.day, Rung.NORMAL)

    async def look(self) -> Rung:
        """How far the day's budget is used up now; told in the log once for each step of a day."""
        if not self._budget.limited:
            return Rung.NORMAL
        self.day = day = self._now().astimezone(UTC).date()
        spent = await self._counted.spent_on(day)
        for of, part, limit in (
            ("tokens", spent.tokens, self._budget.tokens),
            ("money", spent.micros, self._budget.micros),
        ):
            self._metrics.budget_used.labels(of).set(part / limit if limit else 0)
        reached = rung(spent, self._budget)
        if reached is not Rung.NORMAL and self._told < (day, reached):
            log.warning("budget", reached=reached.name.lower(), tokens=spent.tokens, micros=spent.micros)
        self._told = max(self._told, (day, reached))
        self.on_look(day, spent, reached)
        return reached
