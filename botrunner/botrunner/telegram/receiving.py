"""Why: a connection that is up is no bot that listens: Telegram may have stopped to push, or Telethon may drop what it pushes.

So a quiet account asks Telegram how far it has counted, and compares. `Evidence` decides, without a clock and without I/O;
`Watch` asks, waits and tells. Neither may end the process, hang, or log more of an error than its name.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Protocol

import structlog
from telethon.tl import functions

from botfleet.store.rows import UpdateState
from botrunner.telegram.errors import ACCOUNT_LOST, wait_seconds, wire_name

_log = structlog.get_logger(__name__)

CHECK_SECONDS = 20.0
"""A quiet account is looked at this often. Two looks tell deafness, so it is told within 60 s, whatever a look costs."""
ANSWER_SECONDS = 8.0
CHECKS_IN_A_ROW = 2
PROOF_LASTS_CHECKS = 3
"""A proof is one for so many times CHECK_SECONDS."""
LONGEST_RECONNECT_PAUSE_CHECKS = 32
"""While nothing helps, connections are made anew after 2, 4, 8 … and at last so many times CHECK_SECONDS."""


class Remedy(StrEnum):
    """What is done about deafness; the words are labels of a metric."""

    CATCH_UP = "catch_up"
    RECONNECT = "reconnect"
    TAKE_STATE = "take_state"


class Evidence:
    """What is known of one account's receiving, over all its connections. Times are given: seconds that only grow."""

    def __init__(self, every: float = CHECK_SECONDS) -> None:
        """Args:
        every: seconds between two looks.
        """
        self.receiving: bool | None = None
        """None: there is no proof, and no proof of the contrary."""
        self.baseline: UpdateState | None = None
        """For TAKE_STATE: Telegram's state when ours was first seen ahead of it. What came since then is still to be had."""
        self._every = every
        self.proved_at = float("-inf")
        self._in_a_row = 0
        self._ours: UpdateState | None = None
        self._caught_up = False  # since Telegram pushed last
        self._reconnects = 0  # the same
        self._reconnect_not_before = float("-inf")
        self._qts_seen = 0
        self._qts_asked_for = 0

    def connected(self) -> None:
        """A connection begins. What another one proved is no proof for it; what was found deaf is so until the proof."""
        self.receiving = False if self.receiving is False else None
        self._in_a_row = 0

    def pushed(self, now: float) -> None:
        """Telegram has pushed an update, and it is stored."""
        self._caught_up, self._reconnects, self._reconnect_not_before = False, 0, float("-inf")
        self._proved(now)

    def unanswered(self, now: float) -> None:
        """A look that says nothing: no answer, or something was on its way."""
        if self.receiving and now - self.proved_at > PROOF_LASTS_CHECKS * self._every:
            self.receiving = None

    def compared(self, ours: UpdateState, theirs: UpdateState, now: float) -> Remedy | None:
        """A look: the stored state, and Telegram's at the same moment, with nothing on its way."""
        if ours.pts == theirs.pts:
            self._proved(now)
            return self._missed_qts(ours, theirs)
        ahead = ours.pts > theirs.pts
        if self._in_a_row and self._ours == ours and (self.baseline is not None) == ahead:
            self._in_a_row += 1
        else:
            self._in_a_row = 1
            self.baseline = theirs if ahead else None
        self._ours = ours
        if self._in_a_row < CHECKS_IN_A_ROW:
            self.unanswered(now)
            return None
        self.receiving = False
        return Remedy.TAKE_STATE if ahead else self._fetch(now)

    def _proved(self, now: float) -> None:
        self.receiving, self.proved_at, self._in_a_row = True, now, 0

    def _fetch(self, now: float) -> Remedy:
        """Each look fetches what was missed. A new connection is for pushes that stay away, and rarer while it is of no use."""
        if not self._caught_up or now < self._reconnect_not_before:
            self._caught_up = True
            return Remedy.CATCH_UP
        self._reconnects += 1
        pause = min(2**self._reconnects, LONGEST_RECONNECT_PAUSE_CHECKS) * self._every
        self._reconnect_not_before = now + pause
        return Remedy.RECONNECT

    def _missed_qts(self, ours: UpdateState, theirs: UpdateState) -> Remedy | None:
        """No verdict hangs on the qts: Telegram gives bots one in getState and not always the same in a difference. What is
        missing by it is fetched, once for each value."""
        missed = theirs.qts if theirs.qts > ours.qts else 0
        again = missed != 0 and missed == self._qts_seen and missed != self._qts_asked_for
        self._qts_seen = missed
        if not again:
            return None
        self._qts_asked_for = missed
        return Remedy.CATCH_UP


class Listener(Protocol):
    """What a watch needs of `InboxClient`."""

    caught_up: asyncio.Event

    @property
    def stored(self) -> UpdateState: ...
    @property
    def in_difference(self) -> bool: ...
    async def ask(self, request: Any, deadline: float) -> Any: ...
    async def catch_up(self) -> None: ...
    def fail(self, error: BaseException) -> None: ...


class Watch:
    """Looks after one account's receiving, over all its connections."""

    def __init__(
        self,
        *,
        every: float = CHECK_SECONDS,
        on_verdict: Callable[[bool | None], None],
        on_proof: Callable[[], None] = lambda: None,
        on_remedy: Callable[[Remedy], None] = lambda _: None,
        on_lag: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Args:
        every: seconds between two looks at a quiet account.
        on_verdict: called with what is known, as often as there is news of it; must not block.
        on_proof: called with each proof.
        on_remedy: called with each remedy, before it is applied.
        on_lag: called at each look with how far Telegram's count is ahead of the stored one; negative: behind it.
        clock, sleep: the time, for tests.
        """
        self.evidence = Evidence(every)
        self._every = every
        self._on_verdict = on_verdict
        self._on_proof = on_proof
        self._on_remedy = on_remedy
        self._on_lag = on_lag
        self._now = clock
        self._sleep = sleep
        self._quiet_since = float("-inf")
        self._not_before = float("-inf")
        self._told_proof = float("-inf")

    def pushed(self) -> None:
        """An update that Telegram pushed is stored."""
        self._quiet_since = self._now()
        self.evidence.pushed(self._quiet_since)
        self._tell()

    async def run(self, client: Listener) -> Remedy:
        """Watch a connection; ends with the remedy that needs another one. Else it goes on until it is cancelled."""
        try:
            async with asyncio.timeout(self._every):
                await client.caught_up.wait()
        except TimeoutError:
            _log.info("telegram.not_caught_up_yet")
        while True:
            self._quiet_since = self._now()
            remedy = await self._look(client)
            self._tell()
            if remedy is not None:
                self._on_remedy(remedy)
                if remedy is not Remedy.CATCH_UP:
                    return remedy
                await self._catch_up(client)
            await self._quiet()

    async def _quiet(self) -> None:
        """Until nothing was pushed, and no look was taken, for as long as it is to be."""
        while (pause := self._quiet_since + self._every - self._now()) > 0:
            await self._sleep(pause)

    async def _look(self, client: Listener) -> Remedy | None:
        ours = client.stored
        theirs = None
        if self._now() >= self._not_before and not client.in_difference:
            theirs = await self._ask(client)
        if theirs is None or client.in_difference:
            self.evidence.unanswered(self._now())
            return None
        self._on_lag(theirs.pts - ours.pts)
        remedy = self.evidence.compared(ours, theirs, self._now())
        if ours.pts != theirs.pts:
            # Of an update on its way this says nothing; twice in a row, and with a remedy, it does.
            note = _log.info if remedy is None else _log.warning
            note("telegram.behind" if theirs.pts > ours.pts else "telegram.ahead", ours=ours.pts, theirs=theirs.pts)
        return remedy

    async def _ask(self, client: Listener) -> UpdateState | None:
        try:
            state = await client.ask(functions.updates.GetStateRequest(), ANSWER_SECONDS)
            return UpdateState(state.pts, state.qts, state.date, state.seq)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the bot goes on
            self._not_before = self._now() + wait_seconds(error)
            _log.info("telegram.state_not_told", error=wire_name(error), seconds=wait_seconds(error))
            if wire_name(error) in ACCOUNT_LOST:
                client.fail(error)
            return None

    async def _catch_up(self, client: Listener) -> None:
        _log.warning("telegram.catches_up")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await client.catch_up()
        except Exception as error:  # noqa: BLE001 -- the next look sees whether it helped
            _log.warning("telegram.catch_up_failed", error=type(error).__name__)

    def _tell(self) -> None:
        if self.evidence.proved_at > self._told_proof:
            self._told_proof = self.evidence.proved_at
            self._on_proof()
        self._on_verdict(self.evidence.receiving)
