"""
Why: before anything of a bot is given up, nobody may act in its name: its role is gone, and its runner no longer connected.
Never: touch data, or trust a lease beyond a term once nobody can renew it.
"""

from __future__ import annotations

import time

import structlog

from botfleet_operator.ledger import Ledger
from botfleet_operator.plan import Identity
from botfleet_operator.provision.database import RoleStaysError
from botfleet_operator.settings import LONGEST_LEASE_SECONDS

log = structlog.get_logger("botfleet.operator.lockout")

_MARGIN_SECONDS = 0.2


class Lockout:
    """Which objects' bots are locked out, and since when: the data of one may be living again under the next."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._since: dict[str, float] = {}

    def has_begun(self, identity: Identity) -> bool:
        """As far as this process knows."""
        return identity.uid in self._since

    async def begin(self, identity: Identity) -> None:
        """No new session, an end to those that there are, no role. Done again, it changes nothing."""
        try:
            await self._ledger.remove_role(identity)
        except RoleStaysError as error:
            # It is of no use to anybody: nothing has to wait for its name to go. The comparison tries that again.
            if not self.has_begun(identity):
                log.warning("role_stays_locked_out", role=identity.role, error=str(error))
        self._since.setdefault(identity.uid, time.monotonic())

    async def seconds_left(self, identity: Identity) -> float:
        """How much longer its runner may be connected to Telegram; 0: certainly it is not."""
        # Its role could have written any time there; without it nothing is renewed, so a term is the most that is left.
        most = self._since[identity.uid] + LONGEST_LEASE_SECONDS - time.monotonic()
        seconds = min(await self._ledger.lease_seconds(identity), most)
        return seconds + _MARGIN_SECONDS if seconds > 0 else 0.0

    def end(self, identity: Identity) -> None:
        """There is nothing left of it to hold."""
        self._since.pop(identity.uid, None)
