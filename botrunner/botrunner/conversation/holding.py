"""Why: until when an answer is held back: by the working hours of its owner, by how much was said in its chat lately.

What is held back stays pending in the inbox, and what it is held back for is read from the store: a restart changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from botfleet.effective import EffectiveSpec
from botfleet.spec.schedule import OutsideHours
from botfleet.store.messages import MessagePath
from botrunner.conversation.timetable import Timetable

WINDOW = timedelta(minutes=1)


@dataclass(frozen=True)
class Held:
    """Nothing is answered here before. `line`: what the chat is told about it, once for this `cause`."""

    until: datetime
    line: str | None = None
    cause: str | None = None


def after_the_rush(answered_at: Sequence[datetime], limit: int, now: datetime) -> datetime | None:
    """When the next answer of a chat may be written; None: now.

    Args:
        answered_at: when the last answers were stored, the newest first, `limit` of them at least if there are so many.
    """
    if len(answered_at) < limit:
        return None
    free = answered_at[limit - 1] + WINDOW
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

    def __init__(self, path: MessagePath, spec: EffectiveSpec, now: Callable[[], datetime]) -> None:
        self._path, self._spec, self._now = path, spec, now

    async def held(self, peer_id: int) -> Held | None:
        """Until when this chat gets no answer; None: it may get one now."""
        now = self._now()
        closed = outside_hours(self._spec, now)
        if closed is not None:
            return closed
        limit = self._spec.limits.messages_per_minute_per_chat
        free = after_the_rush(await self._path.answered_at(peer_id, limit), limit, now)
        return None if free is None else Held(free)
