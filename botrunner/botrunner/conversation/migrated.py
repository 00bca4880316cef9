"""Why: an answer is under way while its group becomes a supergroup: it goes out there, once, or nobody can tell and it is given up.

Telegram refuses what is sent to the group from then on, and may say so before the news of it has come in.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from botfleet.store.messages import MessagePath
from botfleet.store.rows import CHANNELS_BELOW, OutboxRow
from botfleet.store.tables import OutboxState
from botrunner.telegram.errors import SendReason
from botrunner.telegram.sender import Outcome, Refused, Sent

log = structlog.get_logger()

NEWS_WITHIN = timedelta(seconds=2)
"""The news of the supergroup is on its way when the group refuses; after that the refusal is what it says."""
LOOK_SECONDS = 0.2


class Migrated:
    """What becomes of rows of groups that are supergroups now."""

    def __init__(self, path: MessagePath, now: Callable[[], datetime], poke: Callable[[int], None]) -> None:
        self._path, self._now, self._poke = path, now, poke
        self._doubted: set[int] = set()
        self._under_way: set[int] = set()

    @contextlib.contextmanager
    def sending(self, row: OutboxRow) -> Iterator[None]:
        """While a row is sent and what came of it is recorded."""
        self._under_way.add(row.random_id)
        try:
            yield
        finally:
            self._under_way.discard(row.random_id)

    async def resolve(self, row: OutboxRow, send: Callable[[OutboxRow], Awaitable[Outcome]]) -> Outcome | None:
        """A row that was attempted in the group, by a send that may still be under way, or by one that was killed.

        The same send in the group says whether it had arrived, if anything can.
        """
        if row.attempted_in is None:
            raise ValueError("it was attempted where it is")
        if row.random_id in self._under_way:
            await asyncio.sleep(LOOK_SECONDS)
            return None  # whoever sends it records what came of it meanwhile
        outcome = await send(replace(row, peer_id=row.attempted_in, access_hash=0))
        if isinstance(outcome, Sent):
            await self._path.mark_sent(row, None)  # its id is the group's
        elif isinstance(outcome, Refused) and await self._path.give_up_uncertain(row, SendReason.MIGRATED):
            log.warning("send_uncertain", trace_id=row.trace_id, reason=SendReason.MIGRATED.value)
        return outcome

    async def redirect(self, row: OutboxRow, outcome: Outcome) -> bool:
        """Whether a refused row is a supergroup's now, or may be in a moment: it is pending again, and goes out there."""
        if not _may_have_moved(row, outcome):
            return False
        new = await self._path.follow_migration(row.peer_id)
        if new is None and row.random_id in self._doubted:
            return False
        until = self._now() + (timedelta() if new is not None else NEWS_WITHIN)
        await self._path.defer(row, until, never_reached=True)
        self._doubted.add(row.random_id)
        if new is not None:
            self._doubted.discard(row.random_id)
            self._poke(new)
        return True


def _may_have_moved(row: OutboxRow, outcome: Outcome) -> bool:
    """A group's row that was attempted for the first time, so that it has certainly not arrived."""
    refused = isinstance(outcome, Refused) and outcome.reason == SendReason.PEER_UNKNOWN
    return refused and CHANNELS_BELOW < row.peer_id < 0 and row.state == OutboxState.PENDING
