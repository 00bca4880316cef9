"""Why: until when an answer is held back: by the working hours of its owner, by how much was said in its chat lately.

What is held back stays pending in the inbox, and what it is held back for is read from the store: a restart changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from botfleet.effective import EffectiveSpec
from botfleet.spec.schedule import OutsideHours
from botrunner.conversation.timetable import Timetable

WINDOW = timedelta(minutes=1)


@dataclass(frozen=True)
class Held:
    """Nothing is answered here before. `line`: what the chat is told about it, once for this `cause`."""

    until: datetime
    line: str | None = None
    cause: str | None = None


def after_the_rush(answered_at: datetime | None, now: datetime) -> datetime | None:
    """When the next answer of a chat may be written; None: now.

    Args:
        answered_at: when the answer was stored that lies as many back as a minute may have; None: there are not so many.
    """
    if answered_at is None:
        return None
    free = answered_at + WINDOW
    # A clock that was set back leaves stamps of the future: those of a later minute hold nobody.
    return free if now < free <= now + 2 * WINDOW else None


def outside_hours(spec: EffectiveSpec, now: datetime) -> Held | None:
    """Until the working hours begin; None: these are some, or the owner wants answers at any time."""
    schedule = spec.schedule
    if schedule is None or schedule.outside_hours == OutsideHours.REPLY:
        return None
    timetable = Timetable(schedule.time_zone, schedule.working_hours)
    opening = timetable.opening(now)
    if opening is None:
        return None
    since = timetable.closed_since(now)
    if schedule.outside_hours != OutsideHours.MESSAGE or since is None:
        return Held(opening)
    # The line's random_id follows from the chat and the end of the last hours, so neither a kill nor a restart repeats it.
    return Held(opening, schedule.message, f"closed:{since:%Y-%m-%dT%H:%MZ}")


class Holding:
    """Asks both."""

    def __init__(self, spec: EffectiveSpec, now: Callable[[], datetime]) -> None:
        self._spec, self._now = spec, now

    def held(self, answered_at: datetime | None) -> Held | None:
        """Until when a chat gets no answer; None: it may get one now. `answered_at`: as for `after_the_rush`."""
        now = self._now()
        closed = outside_hours(self._spec, now)
        if closed is not None:
            return closed
        free = after_the_rush(answered_at, now)
        return None if free is None else Held(free)
