"""Why: what a day's spending means for the next question, decided from numbers alone."""

from collections.abc import Sequence
from enum import IntEnum

from botfleet.model import Budget, Model
from botfleet.store.usage import Spent

WARN_PERCENT = 80
CHEAPER_PERCENT = 95


class Rung(IntEnum):
    """How far a day's budget is used up; the later, the further."""

    NORMAL = 0
    WARN = 1
    CHEAPER = 2
    EXHAUSTED = 3


def rung(spent: Spent, budget: Budget) -> Rung:
    """The highest that tokens or money have reached; integers, so that a limit is reached exactly at its number."""
    return max(_rung(spent.tokens, budget.tokens), _rung(spent.micros, budget.micros))


def _rung(spent: int, limit: int) -> Rung:
    if not limit:
        return Rung.NORMAL
    if spent >= limit:
        return Rung.EXHAUSTED
    if 100 * spent >= CHEAPER_PERCENT * limit:
        return Rung.CHEAPER
    return Rung.WARN if 100 * spent >= WARN_PERCENT * limit else Rung.NORMAL


def order(models: Sequence[Model], *, cheaper: bool) -> list[int]:
    """The places of a chain's models in the order in which to ask them.

    `cheaper`: first the cheapest by price; where no fallback tells its price, the last one, which owners put there as the
    least. A main model that is no dearer than any fallback stays first.
    """
    places = list(range(len(models)))
    if not cheaper or len(models) == 1:
        return places
    costs = {place: price.input + price.output for place in places if (price := models[place].price) is not None}
    first = min(costs, key=costs.__getitem__) if costs.keys() - {0} else places[-1]
    return [first, *(place for place in places if place != first)]
