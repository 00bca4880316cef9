"""Why: what a text costs in tokens is not known before the endpoint has counted it; so it is estimated, and the endpoint's
counts correct the estimate. No vocabulary is downloaded, and any model will do. Pure: no clock, no I/O.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from botfleet.store.rows import HistoryRow

BYTES_A_TOKEN = 4.0  # of UTF-8: English has about 4 letters a token, Russian about 2 of two bytes each
FRAME = 4  # tokens around each message: its role, and where it ends
WEIGHT = 0.3  # of one count
LEAST, MOST = 0.2, 5.0


class Estimate:
    """Tokens of texts, by their bytes and by how far the estimates before were from the endpoint's counts."""

    def __init__(self) -> None:
        self._factor = 1.0

    def of(self, text: str) -> int:
        """Tokens of one message."""
        return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN * self._factor) + FRAME

    def of_all(self, texts: Iterable[str]) -> int:
        """Tokens of a prompt."""
        return sum(self.of(text) for text in texts)

    def learn(self, texts: Iterable[str], counted: int) -> None:
        """The endpoint has counted these texts as one prompt (0: it does not tell)."""
        if counted <= 0:
            return
        wanted = self._factor * counted / self.of_all(texts)
        self._factor = min(MOST, max(LEAST, self._factor + WEIGHT * (wanted - self._factor)))


def newest_within(history: Sequence[HistoryRow], tokens: int, of: Callable[[str], int]) -> list[HistoryRow]:
    """The newest messages that together stay within a budget, in their order, without a gap."""
    kept: list[HistoryRow] = []
    for row in reversed(history):
        tokens -= of(row.text)
        if tokens < 0:
            break
        kept.append(row)
    return kept[::-1]
