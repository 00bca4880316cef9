"""Why: the relay knows one shape of a bus, whatever is behind it. Events leave the store in order, at least once."""

from collections.abc import Sequence
from typing import Protocol

from botfleet.store.events import Event


class BusUnavailable(Exception):  # noqa: N818 - named for what it tells
    """The events were not taken, or not all of them: hand them over again later. Consumers drop repetitions by id."""


class Bus(Protocol):
    """Where events go."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand over these events, in this order.

        Raises:
            BusUnavailable: not all of them were taken for certain.
        """
        ...

    async def close(self) -> None:
        """No event comes any more."""
        ...
