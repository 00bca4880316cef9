"""
Why: the data of a bot whose owner said so is erased, in an order in which a kill between any two calls only means: go on.
Never: begin by itself. It erases the row of exactly the object whose deletion the watch shows with the finalizer on it.
"""

from __future__ import annotations

from collections.abc import Callable

from botfleet.store.erasure import ErasureRepository
from botfleet_operator.ledger import Ledger
from botfleet_operator.lockout import Lockout
from botfleet_operator.plan import Identity

_LOOK_AGAIN_SECONDS = 1.0
BATCHES_MOST = 200
"""In one turn: other bots of this worker wait no longer than that takes."""


class Eraser:
    """Erases one bot: its role, its data, its keys, its user, its row. Each part can be repeated."""

    def __init__(self, ledger: Ledger, store: ErasureRepository, guard: Callable[[], None]) -> None:
        self._ledger, self._store, self._guard = ledger, store, guard
        self._lockout = Lockout(ledger)

    async def erase(self, identity: Identity, *, pods: bool) -> float | None:
        """As much as one turn may take.

        Args:
            pods: whether pods of it are left. One that has the lease is let end as after any stop.

        Returns seconds after which to come back; None: nothing of the bot is left but its tombstones.

        Raises StoreError and BusUnavailableError.
        """
        # What was read of the lease last may be a second old, and the pod younger than that.
        if pods and not self._lockout.has_begun(identity) and await self._ledger.lease_seconds(identity) > 0:
            return _LOOK_AGAIN_SECONDS
        await self._lockout.begin(identity)
        seconds = await self._lockout.seconds_left(identity)
        if seconds > 0:
            return seconds
        turns = 0
        async for _ in self._store.batches(identity.bot_id):
            self._guard()
            turns += 1
            if turns >= BATCHES_MOST:
                return 0.0
        await self._ledger.erase_keys(identity)
        self._guard()
        await self._ledger.remove_user(identity)
        await self._ledger.erase_row(identity)
        self._lockout.end(identity)
        return None
