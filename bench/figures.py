"""Why: many measurements as few numbers, printed in one form. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rounds:
    """One figure, measured once a round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The round in the middle."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Min / median / max."""
        return " / ".join(f"{value:.1f}" for value in (min(self.values), self.median, max(self.values)))


def ratio(product: Rounds, floor: Rounds) -> str:
    """Of the medians; a floor too small to be measured has none. What is small keeps two digits."""
    if floor.median <= 0:
        return "-"
    found = product.median / floor.median
    return f"{found:.2f}" if found >= 0.1 else f"{found:.2g}"


def percentile(values: Sequence[float], percent: int) -> float:
    """Of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns, the first to the left, the others to the right."""
    lines = [[str(cell) for cell in line] for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )
