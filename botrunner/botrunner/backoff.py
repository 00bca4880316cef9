"""Why: one spelling of "try again, a little later each time, and not all at once"."""

import random


def backoff(attempt: int, *, first: float = 1.0, longest: float = 60.0) -> float:
    """Seconds before attempt number `attempt` (1 is the first repetition): doubled each time, with full jitter upwards.

    Source of the jitter: AWS Architecture Blog, "Exponential Backoff And Jitter" ("equal jitter").
    """
    ceiling = min(longest, first * 2.0 ** min(attempt - 1, 16))
    return ceiling / 2 + random.uniform(0, ceiling / 2)  # noqa: S311 -- spreads load, guards nothing
