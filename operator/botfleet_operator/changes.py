"""
Why: an answer that tells how all of it is may be older than what was changed here while it was on its way.
Never: wait, or keep one change waiting for another: who looks leaves out what was being changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

N = TypeVar("N", bound=Hashable)


class Changes(Generic[N]):
    """Names that this process changes, and who looks at all of them meanwhile."""

    def __init__(self) -> None:
        self._under_way: list[N] = []
        self._looks: list[set[N]] = []

    @contextmanager
    def of(self, name: N) -> Iterator[None]:
        """Round the call that changes it, memory and all."""
        self._under_way.append(name)
        for seen in self._looks:
            seen.add(name)
        try:
            yield
        finally:
            self._under_way.remove(name)

    @contextmanager
    def look(self) -> Iterator[set[N]]:
        """Round the question. What it gives are the names of which the answer may be too old, or half of a change."""
        seen = set(self._under_way)
        self._looks.append(seen)
        try:
            yield seen
        finally:
            self._looks = [other for other in self._looks if other is not seen]
