"""Why: what may grow in a run and what may not, as numbers. Pure: samples in, what is wrong out."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

GROWTH_MIB = 16.0
SLOPE_MIB_PER_HOUR = 16.0
"""Memory is wrong when both are exceeded: a first rush makes a step, a leak makes a slope and, in time, a growth."""
FILES = 8
TASKS = 24


@dataclass(frozen=True)
class Sample:
    """One look at one runner. `at`: seconds since the first."""

    at: float
    rss: float
    files: int
    tasks: int
    receiving: bool
    """By its own word."""


@dataclass(frozen=True)
class Figures:
    """What a run came to, of one runner. Growth is from the first quarter of the samples to the last, by their medians."""

    rss: float
    growth: float
    slope: float
    files: float
    tasks: float
    said: float
    """The share of the samples in which it said that it receives."""
    receiving: float
    """The share of the time that was no down time."""

    @classmethod
    def of(cls, samples: Sequence[Sample], down: float = 0.0) -> "Figures":
        """Of at least four samples of one process, and of the share of the time in which nothing was taken in."""
        slope = statistics.linear_regression([one.at / 3600 for one in samples], [one.rss for one in samples]).slope
        return cls(
            rss=max(one.rss for one in samples),
            growth=_growth(samples, lambda one: one.rss),
            slope=slope,
            files=_growth(samples, lambda one: one.files),
            tasks=_growth(samples, lambda one: one.tasks),
            said=statistics.fmean(one.receiving for one in samples),
            receiving=1 - down,
        )

    def wrong(self, receiving: float) -> list[str]:
        """What is beyond its limit, in words."""
        found = {
            "memory": self.growth > GROWTH_MIB and self.slope > SLOPE_MIB_PER_HOUR,
            "open files": self.files > FILES,
            "tasks": self.tasks > TASKS,
            "receiving": self.receiving < receiving,
        }
        return [name for name, beyond in found.items() if beyond]


def _growth(samples: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    quarter = max(1, len(samples) // 4)
    first, last = samples[:quarter], samples[-quarter:]
    return statistics.median(map(value, last)) - statistics.median(map(value, first))
