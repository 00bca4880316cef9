"""Why: what stands in the outbox reaches Telegram once, in the order of its chat, whatever happens in between.

A row is marked attempted before the send; what came of it is proved, or the same random_id is sent again. It decides nothing
about what is said.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import structlog

from botfleet.store.errors import StoreUnavailable
from botfleet.store.messages import MessagePath
from botfleet.store.rows import OutboxRow
from botfleet.store.tables import OutboxState
from botrunner.backoff import backoff
from botrunner.metrics import Metrics
from botrunner.telegram.sender import AccountLost, Outcome, Refused, Sender, Sent, Unknown, Wait

log = structlog.get_logger()

COMMAND = "command:"
UNKNOWN_SECONDS = 15.0  # at most between two sends of a row of which nobody knows what became of it


class Outgoing:
    """One task a chat with open rows. `run` owns the tasks; `poke` is called when rows were stored."""

    def __init__(
        self,
        path: MessagePath,
        sender: Sender,
        metrics: Metrics,
        on_sent: Callable[[], None] = lambda: None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path, self._sender, self._metrics, self._now = path, sender, metrics, now
        self._on_sent = on_sent
        self._poked: dict[int, asyncio.Event] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._account_wait = datetime.min.replace(tzinfo=UTC)
        self._idle = asyncio.Event()
        self._idle.set()

    def poke(self, peer_id: int) -> None:
        """There is something to send in this chat."""
        event = self._poked.get(peer_id)
        if event is not None:
            event.set()
        elif self._tasks is not None:
            self._poked[peer_id] = asyncio.Event()
            self._idle.clear()
            self._tasks.create_task(self._chat(peer_id), name=f"outgoing-{peer_id}")

    async def idle(self) -> None:
        """Waits until nothing is being sent and nothing waits for its turn."""
        await self._idle.wait()

    async def run(self) -> None:
        """Sends what a former run left, then what comes, until cancelled.

        Raises:
            LeaseLost: in an exception group.
        """
        async with asyncio.TaskGroup() as self._tasks:
            self._poke_all(await self._path.outgoing_chats())
            await asyncio.Event().wait()

    def _poke_all(self, peer_ids: Iterable[int]) -> None:
        for peer_id in peer_ids:
            self.poke(peer_id)

    async def _chat(self, peer_id: int) -> None:
        failures = 0
        while True:
            self._poked[peer_id].clear()
            try:
                row = await self._path.next_outgoing(peer_id)
                if row is None:
                    if self._poked[peer_id].is_set():
                        continue
                    break
                outcome = await self._one(row)
            except StoreUnavailable:
                failures += 1
                await asyncio.sleep(backoff(failures, longest=5))
                continue
            failures = failures + 1 if isinstance(outcome, Unknown | AccountLost) else 0
            if failures:
                await asyncio.sleep(backoff(failures, first=0.2, longest=UNKNOWN_SECONDS))
        del self._poked[peer_id]
        if not self._poked:
            self._idle.set()

    async def _one(self, row: OutboxRow) -> Outcome | None:
        await self._until(max(row.not_before or self._account_wait, self._account_wait))
        if (
            row.state == OutboxState.PENDING
            and not row.cause.startswith(COMMAND)
            and await self._path.opted_out(row.peer_id)
        ):
            await self._path.cancel(row, "OptedOut")
            return None
        await self._sender.wait_connected()
        if not await self._path.mark_attempted(row):
            return None  # closed meanwhile: an update has proved it sent
        with self._metrics.send_seconds.time():
            outcome = await self._sender.send(row)
        await self._record(row, outcome)
        return outcome

    async def _record(self, row: OutboxRow, outcome: Outcome) -> None:
        match outcome:
            case Sent(message_id=message_id):
                await self._path.mark_sent(row, message_id)
                self._metrics.sent.inc()
                self._on_sent()
                log.info("reply_sent", trace_id=row.trace_id, part=row.part)
            case Wait(seconds=seconds, whole_account=whole_account):
                until = self._now() + timedelta(seconds=seconds)
                if whole_account:
                    self._account_wait = max(self._account_wait, until)
                await self._path.defer(row, until, never_reached=True)
                self._metrics.send_failures.labels("wait").inc()
                log.warning("send_deferred", trace_id=row.trace_id, seconds=seconds, whole_account=whole_account)
            case Refused(reason=reason):
                await self._path.mark_failed(row, reason)
                self._metrics.send_failures.labels(reason).inc()
                log.warning("send_refused", trace_id=row.trace_id, reason=reason)
            case Unknown():
                self._metrics.send_failures.labels("unknown").inc()
                log.warning("send_unknown", trace_id=row.trace_id)
            case AccountLost():  # the connection ends by itself; the row waits for the next one
                self._metrics.send_failures.labels("account_lost").inc()

    async def _until(self, time: datetime) -> None:
        seconds = (time - self._now()).total_seconds()
        if seconds > 0:
            await asyncio.sleep(seconds)
