"""Why: what stands in the outbox reaches Telegram once, in the order of its chat, whatever happens in between.

A row is marked attempted before the send; what came of it is proved, or the same random_id is sent again. It decides nothing
about what is said.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog

from botfleet.store.errors import StoreUnavailable
from botfleet.store.messages import MessagePath
from botfleet.store.rows import OutboxRow, Silence
from botfleet.store.tables import OutboxState
from botrunner.backoff import backoff
from botrunner.conversation.migrated import Migrated
from botrunner.conversation.patience import STORE_SECONDS, surely
from botrunner.conversation.skips import Skip
from botrunner.conversation.starting import STARTER
from botrunner.conversation.waits import Waits
from botrunner.conversation.workers import Workers
from botrunner.metrics import Metrics
from botrunner.telegram.errors import SendReason
from botrunner.telegram.sender import AccountLost, Outcome, Refused, Sent, Unknown, Wait, message_of

log = structlog.get_logger()

COMMAND = "command:"
UNKNOWN_SECONDS = 15.0  # at most between two sends of a row of which nobody knows what became of it
ACCOUNT = 0  # no chat has this id: under it the store keeps until when the whole account may write to nobody


def unwanted(silence: Silence, now: datetime) -> Skip | None:
    """Why what was stored for this person, and never attempted, is not said any more; None: it is said."""
    if silence.opted_out:
        return Skip.OPTED_OUT
    if silence.blocked:
        return Skip.BLOCKED
    if silence.taken_until is not None and now < silence.taken_until:
        return Skip.TAKEN_OVER
    return None


class Sends(Protocol):
    """What is needed of `telegram.sender.Sender`."""

    async def wait_connected(self) -> None:
        """Wait for a connection."""

    async def send(self, row: OutboxRow) -> Outcome:
        """Send; every answer, and none, is an outcome."""


class Outgoing:
    """One task a chat with open rows. `run` owns the tasks; `poke` is called when rows were stored."""

    def __init__(
        self,
        path: MessagePath,
        sender: Sends,
        metrics: Metrics,
        on_sent: Callable[[], None] = lambda: None,
        *,
        holds: Callable[[int], bool] = lambda _: False,
        on_account_wait: Callable[[datetime], None] = lambda _: None,
        on_peer_flood: Callable[[], None] = lambda: None,
        unsaid: Callable[[OutboxRow], Awaitable[bool]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`holds`: whether what goes to a chat waits for the end of a pause; `look_again` then says that it is over. `unsaid`:
        cancels what the bot was to write first, and says whether it did."""
        self._unsaid = unsaid
        self._path, self._sender, self._metrics, self._now, self._holds = path, sender, metrics, now, holds
        self._on_sent, self._on_account_wait, self._on_peer_flood = on_sent, on_account_wait, on_peer_flood
        self._waits = Waits(now)
        self._migrated = Migrated(path, now, self.poke)
        self._workers = Workers("outgoing", self._chat, self._open_chats)

    def poke(self, peer_id: int) -> None:
        """There is something to send in this chat."""
        self._workers.poke(peer_id)

    def look_again(self) -> None:
        """Some chats may have something to send: what was held, or what nobody has told of."""
        self._workers.look_again()

    async def idle(self) -> None:
        """Waits until nothing is being sent and nothing waits for its turn."""
        await self._workers.idle()

    async def run(self) -> None:
        """Sends what a former run left, then what comes, until cancelled.

        Raises:
            LeaseLost: in an exception group.
        """
        await self._workers.run()

    async def _open_chats(self, after: int | None) -> list[int]:
        return await self._path.outgoing_chats(after=after)

    async def _chat(self, peer_id: int, poked: asyncio.Event) -> None:
        try:
            await self._send_all(peer_id, poked)
        finally:
            self._waits.forget(peer_id)

    async def _send_all(self, peer_id: int, poked: asyncio.Event) -> None:
        failures = 0
        while True:
            poked.clear()
            try:
                row, behind = (None, False) if self._holds(peer_id) else await self._path.first_outgoing(peer_id)
                if row is None:
                    if poked.is_set():
                        continue
                    return
                with structlog.contextvars.bound_contextvars(trace_id=row.trace_id):
                    outcome = await self._one(row)
                if isinstance(outcome, Sent) and not behind and not poked.is_set():
                    return  # whoever stores another one pokes
            except StoreUnavailable:
                failures += 1
                await asyncio.sleep(backoff(failures, first=0.5, longest=STORE_SECONDS))
                continue
            failures = failures + 1 if isinstance(outcome, Unknown | AccountLost) else 0
            if failures:
                await asyncio.sleep(backoff(failures, first=0.2, longest=UNKNOWN_SECONDS))

    async def _one(self, row: OutboxRow) -> Outcome | None:
        if row.attempted_in is not None:
            return await self._migrated.resolve(row, self._sender.send)
        await self._until_allowed(row)
        if self._holds(row.peer_id):
            return None
        first = row.state == OutboxState.PENDING and row.cause.startswith(STARTER)
        if first and self._unsaid is not None and await self._unsaid(row):
            return None
        # A /stop, a block and a takeover take effect on rows that waited for their time or for a connection: they are looked
        # for with the last write.
        always = row.state != OutboxState.PENDING or row.cause.startswith(COMMAND)
        asker_id = None if always else await self._asker(row)
        with self._migrated.sending(row):
            if not await self._path.mark_attempted(row, always=always, asker_id=asker_id):
                reason = None if always else unwanted(await self._path.silence(row.peer_id, asker_id), self._now())
                if reason is not None:
                    await self._path.cancel(row, reason.value)
                return None  # or closed meanwhile: an update has proved it sent
            with self._metrics.send_seconds.time():
                outcome = await self._sender.send(row)
            await self._record_surely(row, outcome)
        return outcome

    async def _asker(self, row: OutboxRow) -> int | None:
        """Who is answered, where that is another one than the chat: in a group each opts out alone."""
        asked = message_of(row.cause) if row.peer_id < 0 else None
        return None if asked is None else await self._path.sender_of(row.peer_id, asked)

    async def _until_allowed(self, row: OutboxRow) -> None:
        """Waits out what Telegram has asked for, also what it asked of another chat meanwhile, and for a connection."""
        if not self._waits.recalled:
            until = self._waits.recall((await self._path.chat(ACCOUNT)).not_before)
            if until is not None:
                self._on_account_wait(until)
        while True:
            seconds = self._waits.left(row)
            if seconds > 0:
                await asyncio.sleep(seconds)
                continue
            await self._sender.wait_connected()
            if self._waits.left(row) <= 0:
                return

    async def _record_surely(self, row: OutboxRow, outcome: Outcome) -> None:
        """What Telegram said is not asked for twice: a store that is away is waited for, with the outcome in hand."""
        await surely(lambda: self._record(row, outcome))
        self._tell(row, outcome)

    async def _record(self, row: OutboxRow, outcome: Outcome) -> None:
        match outcome:
            case Sent(message_id=message_id):
                await self._path.mark_sent(row, message_id)
            case Wait(seconds=seconds, whole_account=whole_account):
                until = self._waits.chat(row.peer_id, seconds)
                if whole_account:
                    account_until = self._waits.account(seconds)
                    self._on_account_wait(account_until)
                    await self._path.set_not_before(ACCOUNT, account_until)
                # What was attempted before this attempt may have arrived: such a row stays attempted.
                await self._path.defer(row, until, never_reached=row.state == OutboxState.PENDING)
            case Refused() if await self._migrated.redirect(row, outcome):
                pass
            case Refused(reason=reason, closes_chat=closes_chat):
                await self._path.mark_failed(row, reason)
                if closes_chat:
                    await self._path.close_chat(row.peer_id, reason)

    def _tell(self, row: OutboxRow, outcome: Outcome) -> None:
        match outcome:
            case Sent():
                self._metrics.sent.inc()
                waited = (self._now() - row.created_at).total_seconds()
                self._metrics.stage_seconds.labels("sending").observe(max(0.0, waited))
                if row.cause.startswith(STARTER):
                    self._metrics.proactive_sent.inc()
                self._on_sent()
                log.info("reply_sent", trace_id=row.trace_id, part=row.part)
            case Wait(seconds=seconds, whole_account=whole_account):
                self._metrics.send_failures.labels("wait").inc()
                self._metrics.waits("account" if whole_account else "chat", seconds)
                log.warning("send_deferred", trace_id=row.trace_id, seconds=seconds, whole_account=whole_account)
            case Refused(reason=reason):
                self._metrics.send_failures.labels(reason).inc()
                if reason == SendReason.PEER_FLOOD:
                    self._on_peer_flood()
                log.warning("send_refused", trace_id=row.trace_id, reason=reason)
            case Unknown():
                self._metrics.send_failures.labels("unknown").inc()
                log.warning("send_unknown", trace_id=row.trace_id)
            case AccountLost():  # the connection ends by itself; the row waits for the next one
                self._metrics.send_failures.labels("account_lost").inc()
