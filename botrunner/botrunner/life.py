"""Why: one life of the account: from a lease and a credential to the loss of either, or to the stop.

Telegram, the conversations, the outgoing messages and the relay live and end together; what they leave is in the store.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from botfleet.bus.inprocess import InProcessBus
from botfleet.bus.port import Bus
from botfleet.bus.relay import Relay
from botfleet.bus.streams import StreamBus
from botfleet.spec.access import Groups
from botfleet.store.errors import LeaseLost
from botfleet.store.events import EventRepository
from botfleet.store.retention import RetentionRepository
from botfleet.store.rows import Incoming, Settled
from botrunner.config import read_own
from botrunner.conversation.chats import Conversations
from botrunner.conversation.commands import is_release
from botrunner.conversation.menu import keep_shown
from botrunner.conversation.outgoing import Outgoing
from botrunner.conversation.skips import Skip
from botrunner.conversation.starters import Starters, give_way, unless_it_is_late
from botrunner.conversation.steering import Board, Steering
from botrunner.gauges import watch_budget, watch_queues
from botrunner.metrics import Metrics
from botrunner.model.chain import ModelChain
from botrunner.model.transcription import Transcriber
from botrunner.opening import OpenStore
from botrunner.ownership.binding import Bindings
from botrunner.ownership.keeper import Tenure
from botrunner.prepare import Credentials, Prepared
from botrunner.reporter import Reporter
from botrunner.retention import keep_small
from botrunner.telegram.connection import End, Ended, Status, Telegram
from botrunner.telegram.files import Files
from botrunner.telegram.standing import Standing
from botrunner.telegram.types import OwnerTyping

log = structlog.get_logger()

SENDING_GRACE_SECONDS = 5.0
MODEL_GRACE_SECONDS = 2.0  # beyond the model's own time limit


class Life:
    """Built anew for each lease and each credential."""

    def __init__(
        self,
        prepared: Prepared,
        opened: OpenStore,
        credentials: Credentials,
        tenure: Tenure,
        bindings: Bindings,
        reporter: Reporter,
        metrics: Metrics,
    ) -> None:
        self._prepared, self._opened, self._tenure = prepared, opened, tenure
        self._reporter, self._metrics = reporter, metrics
        keys = (credentials.model_key, *credentials.fallback_keys)
        self._model = ModelChain.of(prepared.spec.model, keys, metrics, reporter.model)
        voices, key = prepared.spec.model.transcription, credentials.transcription_key
        self._transcriber = Transcriber(voices, key) if voices is not None and key is not None else None
        self._in = asyncio.Event()
        self._board = Board()
        self._menu = asyncio.Event()
        self._connected = False
        self._hides = False
        self._receives = False
        self._conversations: Conversations | None = None
        self._outgoing: Outgoing | None = None
        self._starters: Starters | None = None
        self._relayer: Relay | None = None
        self._telegram = Telegram(
            credentials.account,
            opened.store,
            tenure,
            opened.sealer,
            bindings,
            on_pending=self._pending,
            on_received=self._received,
            on_status=self._status,
            on_proof=metrics.receiving_proof.set_to_current_time,
            on_settled=self._settled,
            on_remedy=lambda remedy: metrics.receiving_remedies.labels(remedy.value).inc(),
            on_handed_over=metrics.skipped.labels(Skip.TAKEN_OVER.value).inc,
            owner=OwnerTyping(timedelta(minutes=prepared.spec.conversation.takeover_minutes), is_release),
            on_lag=metrics.state_lag.set,
            on_wait=self._login_waits,
            on_standing=self._standing,
        )

    async def run(self, stop: asyncio.Event, changed: Callable[[], Coroutine[Any, Any, None]]) -> Ended:
        """Lives until the lease is lost, Telegram refuses, the credential changes, or the stop.

        Raises:
            StoreError: the store refuses in a way that will not pass.
        """
        ended = Ended(End.LEASE_LOST)
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [
                    tasks.create_task(self._talk(), name="talk"),
                    tasks.create_task(self._relay(), name="relay"),
                    tasks.create_task(self._keep_small(), name="retention"),
                    tasks.create_task(self._stop_when(stop), name="stop"),
                    tasks.create_task(self._end_when(changed), name="changed"),
                ]
                ended = await self._telegram.run()
                for task in others:
                    task.cancel()
        except* LeaseLost:
            self._tenure.guard.cut()
            await self._tenure.lost.wait()
        finally:
            await self._model.close()
            if self._transcriber is not None:
                await self._transcriber.close()
        return ended

    def _pending(self, peer_ids: set[int]) -> None:
        if self._relayer is not None:
            self._relayer.tell()
        if self._conversations is not None:
            self._conversations.poke(peer_ids)

    def _settled(self, settled: Settled) -> None:
        if settled.answered_before:
            self._metrics.skipped.labels(Skip.ANSWERED_BEFORE.value).inc(settled.answered_before)
        if self._outgoing is not None:
            self._outgoing.look_again()  # what a group had to send, its supergroup has now

    def _received(self, messages: Sequence[Incoming]) -> None:
        self._metrics.received.inc(len(messages))
        self._reporter.received()
        for message in messages:
            log.info("message_received", trace_id=message.trace_id, peer_id=message.peer_id)

    def _login_waits(self, seconds: float) -> None:
        self._metrics.waits("login", seconds)
        self._reporter.waits(datetime.now(UTC) + timedelta(seconds=seconds))

    def _standing(self, standing: Standing) -> None:
        hides = bool(standing.privacy_mode) and self._prepared.spec.access.groups == Groups.ALL
        if hides and not self._hides:
            log.warning("privacy_mode_hides_group_messages")
        self._hides = hides
        self._reporter.standing(standing)

    def _status(self, status: Status) -> None:
        self._reporter.status(status)
        if status.connected:
            if not self._connected:
                self._metrics.connections.inc()
                # Whose account it is, is for its owner's eyes: in a cluster many read the logs, and the status tells it.
                alone = self._prepared.settings.standalone
                log.info("connected", **({"username": status.me.username} if alone and status.me else {}))
                self._board.connected_since = datetime.now(UTC)
                self._menu.set()
            self._in.set()
            if self._conversations is not None:
                # What was committed while the last client was thrown away was not announced.
                self._conversations.look_again()
        else:
            self._board.connected_since = None
        self._connected = status.connected
        self._receives = status.connected and status.receiving is True

    def _replied(self) -> None:
        self._reporter.replied()
        self._board.last_reply_at = datetime.now(UTC)
        if self._relayer is not None:
            self._relayer.tell()

    async def _talk(self) -> None:
        """From the first connection on: answers and sends, over reconnects, until the life ends."""
        await self._in.wait()
        path, me = self._telegram.path, self._telegram.me
        if path is None or me is None:
            raise AssertionError("connected without an account")
        sender, spec = self._telegram.sender, self._prepared.spec
        steering = Steering(path, spec, self._metrics, self._board)
        await steering.load()
        outgoing = Outgoing(
            path,
            sender,
            self._metrics,
            self._replied,
            holds=steering.holds,
            unsaid=unless_it_is_late(path, spec, self._metrics),
            on_account_wait=self._reporter.waits,
            on_peer_flood=self._reporter.peer_flood,
        )
        conversations = Conversations(
            path,
            spec,
            self._model,
            me,
            outgoing.poke,
            self._metrics,
            sender,
            steering,
            before=give_way(path, self._metrics) if spec.proactive.enabled else None,
            files=Files(sender),
            hears=self._transcriber,
        )
        conversations.purse.on_look = self._reporter.spent
        starters = Starters(
            path,
            spec,
            me.id,
            conversations,
            outgoing.poke,
            self._metrics,
            paused=lambda: steering.paused,
            receives=lambda: self._receives,
        )
        self._outgoing, self._conversations, self._starters = outgoing, conversations, starters
        steering.resumed = self._look_again
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(outgoing.run(), name="outgoing")
            tasks.create_task(conversations.run(), name="conversations")
            tasks.create_task(watch_queues(path, self._metrics, self._reporter), name="queues")
            if spec.limits.budget.limited:
                tasks.create_task(watch_budget(conversations.purse), name="budget")
            tasks.create_task(starters.run(), name="starters")
            if me.bot:
                tasks.create_task(keep_shown(path, sender, self._menu), name="menu")

    def _look_again(self) -> None:
        """A pause is over."""
        if self._conversations is not None and self._outgoing is not None:
            self._conversations.look_again()
            self._outgoing.look_again()

    async def _relay(self) -> None:
        """The bot's events to its stream; alone, to whoever listens in the process."""
        settings = self._prepared.settings
        if settings.redis_url is None:
            bus: Bus = InProcessBus()
        else:
            bus = StreamBus(settings.redis_url, read_own(settings, "redis-password"), settings.bus_prefix)
        self._relayer = Relay(EventRepository(self._opened.store, self._tenure.lease), bus)
        try:
            await self._relayer.run()
        finally:
            await bus.close()

    async def _keep_small(self) -> None:
        finished = RetentionRepository(self._opened.store, self._tenure.lease)
        await keep_small(finished, self._prepared.settings.clean_up_seconds)

    async def _stop_when(self, stop: asyncio.Event) -> None:
        """SIGTERM: no new answer; what the model is writing is stored, what is stored is sent, as far as the grace goes."""
        await stop.wait()
        grace = self._prepared.spec.model.longest_call_seconds
        log.info("stopping", grace=grace)
        self._model.stop()
        if self._starters is not None:
            self._starters.close()
        if self._conversations is not None and self._outgoing is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace + MODEL_GRACE_SECONDS):
                    await self._conversations.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SENDING_GRACE_SECONDS):
                    await self._outgoing.idle()
        self._telegram.stop()

    async def _end_when(self, changed: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await changed()
        log.info("credentials_changed")
        self._telegram.stop()
