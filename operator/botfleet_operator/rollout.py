"""
Why: a new image, new defaults or another operator change the pods of many bots; they are restarted in waves, and a wave that does
not become Ready in time stops the rest (docs/rollouts.md). This is the decision: from where each bot stands to who goes next.
Never: a clock, a cluster, or a bot that is suspended, refused or being deleted: nobody waits for those.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from botfleet_operator.model import BotKey


class Place(StrEnum):
    """Where a bot that is not up to date stands."""

    PENDING = "pending"  # it has the old pod template
    IN_PROGRESS = "in progress"  # it has the new one, was Ready before and was not since
    FAILED = "failed"  # the same, for too long


@dataclass(frozen=True, slots=True)
class Standing:
    """One bot that is not up to date."""

    key: BotKey
    place: Place
    ready: bool = False  # it is now
    since: datetime | None = None  # when it got the new pod template


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast a roll-out may be. `size`: a number of bots, or a share of all ("10%")."""

    size: str = "10%"
    pause: timedelta = timedelta(seconds=30)
    timeout: timedelta = timedelta(seconds=300)

    def bots(self, fleet: int) -> int:
        """How many bots make a wave; at least one."""
        if self.size.endswith("%"):
            return max(1, ceil(fleet * int(self.size[:-1]) / 100))
        return int(self.size)


@dataclass(frozen=True, slots=True)
class Wave:
    """Bots that were let go and when. What is forgotten of it, by a change of the leader, makes a wave smaller, never larger."""

    bots: frozenset[BotKey]
    began: datetime


class Motion(StrEnum):
    """What the roll-out does."""

    IDLE = "idle"
    ROLLING = "rolling"
    PAUSED = "paused"
    HALTED = "halted"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `wave`: who may take the new pod template; `late`: who stops the roll-out; `wake`: when to decide anew."""

    motion: Motion
    wave: Wave | None = None
    late: tuple[BotKey, ...] = ()
    wake: datetime | None = None


def decide(
    standings: Collection[Standing],
    *,
    fleet: int,
    limits: Limits,
    now: datetime,
    wave: Wave | None = None,
    finished: datetime | None = None,
) -> Decision:
    """`wave`: the last one; `finished`: when the last bot of any wave was Ready again."""
    pending = {s.key: s for s in standings if s.place is Place.PENDING}
    under_way = [s for s in standings if s.place is Place.IN_PROGRESS]
    let_go = frozenset(key for key in (wave.bots if wave else ()) if key in pending)
    # Those that were not Ready before are nobody's measure: they may go, and are not waited for.
    hesitating = [key for key in let_go if pending[key].ready]
    late = {s.key for s in standings if s.place is Place.FAILED}
    late.update(s.key for s in under_way if s.since is not None and s.since + limits.timeout <= now)
    stuck = wave is not None and wave.began + limits.timeout <= now
    going = Wave(let_go, wave.began) if wave and let_go else None
    if late or (hesitating and stuck):
        # Who was let go and cannot (its Deployment is refused, say) may still: that ends the halt.
        still = going if not late else None
        return Decision(Motion.HALTED, still, tuple(sorted(late or hesitating)))
    if under_way or hesitating:
        ends = [s.since + limits.timeout for s in under_way if s.since is not None]
        if hesitating and wave is not None:
            ends.append(wave.began + limits.timeout)
        return Decision(Motion.ROLLING, going, wake=min(ends, default=None))
    waiting = sorted(key for key in pending if key not in let_go)
    if not waiting:
        return Decision(Motion.ROLLING if going else Motion.IDLE, going)
    rested = max((t + limits.pause for t in (finished, wave.began if wave else None) if t is not None), default=now)
    if rested > now:
        return Decision(Motion.PAUSED, going, wake=rested)
    return Decision(Motion.ROLLING, Wave(let_go | frozenset(waiting[: limits.bots(fleet)]), now))
