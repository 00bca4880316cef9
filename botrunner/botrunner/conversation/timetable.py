"""Why: when the working hours of a schedule are, by the clock on its owner's wall. Pure: it is told what time it is.

A time that the clock passes twice (summer time ends) begins hours at the first and ends them at the second; one that it
leaps over (summer time begins) is as much later as the leap is long.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from botfleet.spec.schedule import Day, WorkingHours

_DAYS = list(Day)
_AROUND = 16  # days in which hours must be: they come back each week, but the clock can leap over those of one day
LONGEST_WAIT = timedelta(days=28)
"""Beyond this nobody counts working hours any more."""


@dataclass(frozen=True)
class Timetable:
    """Working hours in a time zone."""

    time_zone: str
    hours: tuple[WorkingHours, ...]

    def is_open(self, now: datetime) -> bool:
        """Whether these are working hours."""
        return any(opens <= now < closes for opens, closes in self._periods(now, before=2, after=1))

    def opening(self, now: datetime) -> datetime | None:
        """When the next working hours begin; None: these are some."""
        return None if self.is_open(now) else self._next(now)

    def closed_since(self, now: datetime) -> datetime | None:
        """When the last working hours ended; None: these are some."""
        if self.is_open(now):
            return None
        return max(closes for _, closes in self._periods(now, before=_AROUND, after=0) if closes <= now)

    def waited(self, since: datetime, now: datetime) -> timedelta:
        """How much of this time were working hours: nobody waits too long because of the others."""
        if now - since > LONGEST_WAIT:
            return now - since
        days = (now - since).days + 2
        periods = self._periods(now, before=days, after=1)
        return sum((max(timedelta(0), min(closes, now) - max(opens, since)) for opens, closes in periods), timedelta(0))

    def _next(self, now: datetime) -> datetime:
        return min(opens for opens, _ in self._periods(now, before=0, after=_AROUND) if opens > now)

    def _periods(self, now: datetime, *, before: int, after: int) -> list[tuple[datetime, datetime]]:
        """The hours that begin on these days, in order; what touches or overlaps is one."""
        today = now.astimezone(ZoneInfo(self.time_zone)).date()
        days = (today + timedelta(days=offset) for offset in range(-before - 1, after + 1))
        return list(_joined(sorted(period for day in days for period in self._of(day))))

    def _of(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        zone = ZoneInfo(self.time_zone)
        for hours in self.hours:
            if _DAYS[day.weekday()] not in hours.days:
                continue
            opens, closes = time.fromisoformat(hours.opens), time.fromisoformat(hours.closes)
            until = day if closes > opens else day + timedelta(days=1)
            period = _instant(day, opens, zone, fold=0), _instant(until, closes, zone, fold=1)
            if period[0] < period[1]:  # the clock can leap over all of it
                yield period


def _instant(day: date, at: time, zone: ZoneInfo, fold: int) -> datetime:
    local = datetime.combine(day, at, zone).replace(fold=fold)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        return local.replace(fold=0).astimezone(UTC)  # the clock leaps over it
    return instant


def _joined(periods: Iterable[tuple[datetime, datetime]]) -> Iterator[tuple[datetime, datetime]]:
    current: tuple[datetime, datetime] | None = None
    for opens, closes in periods:
        if current is None or opens > current[1]:
            if current is not None:
                yield current
            current = (opens, closes)
        else:
            current = (current[0], max(current[1], closes))
    if current is not None:
        yield current
