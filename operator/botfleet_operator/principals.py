"""
Why: memory of which roles, or Redis users, there are and which password each was given: a reconcile asks no server for that.
Never: know a password, or let an answer that was on its way undo what was done meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from botfleet_operator.changes import Changes

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Server(Protocol[V_co]):
    """PostgreSQL's roles, or Redis' users."""

    async def present(self) -> Mapping[str, V_co]: ...

    async def remove(self, name: str, /) -> None: ...


class Principals(Generic[V]):
    """All of one server, by name, with the generation of the credentials that they were given; 0: of none that is known.

    Args:
        generations: reads them from what the server tells.
    """

    def __init__(self, server: Server[V], generations: Callable[[Mapping[str, V]], Mapping[str, int]]) -> None:
        self._server, self._read_from = server, generations
        self._generations: dict[str, int] = {}
        self._changes = Changes[str]()
        self._read_at = float("-inf")

    def generation(self, name: str) -> int | None:
        """None: there is none of this name."""
        return self._generations.get(name)

    @property
    def seconds(self) -> float:
        """Since it was last asked which there are."""
        return time.monotonic() - self._read_at

    def changing(self, name: str) -> AbstractContextManager[None]:
        """Round everything that makes or changes it, `given` and `forget` too."""
        return self._changes.of(name)

    def given(self, name: str, generation: int) -> None:
        self._generations[name] = generation

    def forget(self, name: str) -> None:
        self._generations.pop(name, None)

    async def remove(self, name: str) -> None:
        with self.changing(name):
            self.forget(name)  # first: a removal that ends half-way leaves one that cannot log in
            await self._server.remove(name)

    async def read(self) -> tuple[Mapping[str, V], frozenset[str]]:
        """Asks the server. Memory follows, but for what was changed here while it answered.

        Returns:
            The answer, and the names that were given credentials and are not there any more, or with others.
        """
        with self._changes.look() as changed:
            answer = await self._server.present()
        before = self._generations
        kept = {name: generation for name, generation in before.items() if name in changed}
        told = {name: generation for name, generation in self._read_from(answer).items() if name not in changed}
        self._generations = told | kept
        self._read_at = time.monotonic()
        return answer, frozenset(n for n, given in before.items() if given and self._generations.get(n) != given)
