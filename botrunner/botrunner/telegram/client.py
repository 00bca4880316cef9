"""Why: the client that takes in. Each step of Telethon's update loop becomes one transaction, or the client is thrown away.

Built anew for each connection from the store; nothing in it outlives the connection. Private parts of Telethon that are used:
_preprocess_updates, _message_box, _mb_entity_cache, _sender (_handlers, send), _updates_queue, __call__ (contract tests).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Protocol

import structlog
from telethon import TelegramClient, errors, utils
from telethon._updates import EntityType
from telethon.tl import functions, types

from botfleet.store.errors import StoreError
from botfleet.store.rows import ACCOUNT_STATE, Incoming, Intake, Migration, Settled, UpdateState, Written
from botrunner.ownership.cutoff import CutOff
from botrunner.telegram.device import client_options, close_client
from botrunner.telegram.entities import Entities, bare_channel_id, channel_peer_id
from botrunner.telegram.errors import ACCOUNT_LOST, LOST_LINK, STATE_REFUSED, is_passing, wait_seconds, wire_name
from botrunner.telegram.intake import Collector, is_empty, moved_states, moves_only
from botrunner.telegram.messagebox import RecordingMessageBox
from botrunner.telegram.news import News, news_of
from botrunner.telegram.session import InboxSession
from botrunner.telegram.types import ApiCredentials, Me, OwnerTyping

_log = structlog.get_logger(__name__)

TAKE_IN_SECONDS = 15.0
OWED_SECONDS = 1.0
"""How long a state that moved alone, as by a send of ours, may wait for something to be stored with: a message costs a transaction less.
Killed meanwhile, the account's difference brings what moved it again, and it is known."""
LAST_STATE_SECONDS = 3.0
"""How long the store may take for the states that are still owed when the client is thrown away."""
DIFFERENCE_SECONDS = 20.0
REFUSALS = 3
"""So often in a row Telegram may refuse a state in a way that may pass, before the difference is given up."""
CHANNELS_AT_ONCE = 5
CHANNELS_PAUSE_SECONDS = 0.3
_LONGEST_PAUSE = 30.0

_DIFFERENCES = (functions.updates.GetDifferenceRequest, functions.updates.GetChannelDifferenceRequest)


class TakeIn(Protocol):
    """What the client needs of `botfleet.store.messages.MessagePath`."""

    async def take_in(self, intake: Intake) -> set[int]:
        """Store it all in one transaction; the peers with new pending messages."""

    async def settle(
        self, intake: Intake, *, migrations: Sequence[Migration] = (), own: Sequence[Written] = ()
    ) -> Settled:
        """The same, with what it makes of what stands already."""

    async def access_hash(self, peer_id: int) -> int | None:
        """As it was stored; None: not known."""


class BrokenClientError(RuntimeError):
    """The client has taken a state further than the store, or cannot go on: it and its session are to be thrown away."""


class InboxClient(TelegramClient):  # type: ignore[misc]
    """Takes updates in. `failed` ends with the error that ended the client, if one did."""

    def __init__(
        self,
        session: InboxSession,
        api: ApiCredentials,
        guard: CutOff,
        me: Me,
        path: TakeIn,
        states: dict[int, UpdateState],
        entities: Entities,
        *,
        on_pending: Callable[[set[int]], None],
        on_received: Callable[[Sequence[Incoming]], None] = lambda _: None,
        is_answered: Callable[[int], bool] = lambda _: False,
        on_pushed: Callable[[], None] = lambda: None,
        owner: OwnerTyping | None = None,
        migrated: Mapping[int, int] = MappingProxyType({}),
        on_settled: Callable[[Settled], None] = lambda _: None,
    ) -> None:
        """Args:
        session: made of the same `states` and of the channels of `entities`.
        states: as stored, by channel id; 0 is the account's and must be there.
        on_pending: called after each commit with the peers that have new messages.
        on_received: called before that with the messages.
        is_answered: whether a send with this random_id has been reported as sent already.
        on_pushed: called when an update of the account that Telegram pushed is stored.
        owner: what it means that a person types who has this account; no matter for a bot account.
        migrated: groups that are known to be supergroups now, by their old id.
        on_settled: called with what an intake made of what stood already.
        """
        if ACCOUNT_STATE not in states:
            raise ValueError("without a stored state Telethon would skip what was missed")
        super().__init__(
            session,
            api.api_id,
            api.api_hash,
            catch_up=True,
            connection_retries=1,
            request_retries=1,
            **client_options(guard.connection_class(), session.server_address),
        )
        self.entities = entities
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._path = path
        self._guard = guard
        self._stored = dict(states)
        self._me = me
        self._collector = Collector(me.id, entities, None if me.bot else owner)
        self._migrated = dict(migrated)
        self._on_settled = on_settled
        self._on_pending, self._on_received = on_pending, on_received
        self._is_answered = is_answered
        self._on_pushed = on_pushed
        self.caught_up = asyncio.Event()
        """Set once what was missed before this connection has been fetched and stored, or Telegram refuses to tell it."""
        self._channels_to_fetch: list[int] = []
        self._channels_waiting: set[int] = set()
        self._channels_not_before = 0.0
        self._background: set[asyncio.Task[None]] = set()
        self._storing: set[asyncio.Task[None]] = set()
        self._in_order = asyncio.Lock()
        self._owed: dict[int, UpdateState] = {}
        self._paying = False
        self._message_box = RecordingMessageBox(self._log["messagebox"])
        self._mb_entity_cache.set_self_user(me.id, me.bot, None)
        created = types.NewSessionCreated.CONSTRUCTOR_ID
        self._telethon_on_new_session: Callable[[Any], Awaitable[None]] = self._sender._handlers[created]
        self._sender._handlers[created] = self._on_new_session

    def fail(self, error: BaseException) -> None:
        """This client cannot go on; whoever runs it reads `failed`."""
        if not self.failed.done():
            self.failed.set_result(error)

    @property
    def stored(self) -> UpdateState:
        """How far the account was taken in: everything up to there that is to be kept is stored."""
        return self._owed.get(ACCOUNT_STATE) or self._stored[ACCOUNT_STATE]

    @property
    def in_difference(self) -> bool:
        """Whether the account's difference is being fetched, or is about to be."""
        return self._message_box.in_difference()

    async def close(self) -> None:
        """Throw the client away: within a few seconds, or when the transaction under way has ended. States that moved alone are
        stored, if the client has not failed and the lease is held."""
        for task in self._background:
            task.cancel()
        await close_client(self)
        # What failed is not reported as forgotten: the store says the truth.
        await asyncio.gather(*self._storing, return_exceptions=True)
        if self._owed and not self.failed.done() and self._guard.may_act():
            await self._pay_last()

    # -- taking in

    async def _preprocess_updates(self, updates: Any, users: Any, chats: Any) -> list[Any]:
        """Runs serially, after the pts moved and before anything is dispatched. Returns nothing to dispatch."""
        self._mb_entity_cache.extend(users, chats)
        raw, pushed = self._message_box.take(), self._message_box.take_pushed()
        raw.add(updates, users, chats)
        states = moved_states(self._stored, self._message_box.session_state())
        intake = self._collector.collect(raw, states)
        if intake.sent:
            proofs = tuple(proof for proof in intake.sent if not self._is_answered(proof[0]))
            intake = replace(intake, sent=proofs)
        intake, news = news_of(raw, intake, self._me, self._migrated)
        if news or not is_empty(intake):
            alone = moves_only(intake, self._stored) and not news
            try:
                await (self._owe(states) if alone else self._store(lambda: intake, news))
            except Exception as error:
                raise BrokenClientError("what was received could not be stored") from error
            self._follow(news)
        self._taken_in(pushed)
        return []

    def _taken_in(self, pushed: bool) -> None:
        if pushed:
            self._on_pushed()
        if not self.in_difference:
            self.caught_up.set()

    def _follow(self, news: News) -> None:
        """A supergroup of which nothing was taken in yet counts from its beginning: what was said there is fetched."""
        if not news.migrated:
            return
        _log.info("telegram.groups_became_supergroups", groups=len(news.migrated))
        self._migrated.update(news.migrated)
        self.entities.keep(news.hashes)
        channels = [bare_channel_id(peer_id) for peer_id in news.migrated.values()]
        for channel_id in channels:
            access_hash = self.entities.get(channel_peer_id(channel_id))
            if access_hash is not None:
                self._mb_entity_cache.hash_map.setdefault(channel_id, (access_hash, EntityType.MEGAGROUP))
        unknown = self._message_box.begin_anew(channels)
        if unknown:
            self._fetch_soon(unknown)

    async def _store(self, what: Callable[[], Intake], news: News | None = None) -> None:
        """Not cut short by a disconnect: what is under way is brought to its end, and announced. An error ends the client."""
        storing = asyncio.get_running_loop().create_task(self._take_in(what, news or News()), name="telegram-take-in")
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        try:
            await asyncio.shield(storing)
        except Exception as error:
            self.fail(error)
            _log.warning("telegram.take_in_failed", error=type(error).__name__)
            raise

    async def _take_in(self, what: Callable[[], Intake], news: News) -> None:
        async with self._in_order:
            intake = what()
            async with asyncio.timeout(TAKE_IN_SECONDS):
                pending = await (self._settle(intake, news) if news else self._path.take_in(intake))
            self._stored.update(intake.states)
            self._owed.clear()
        if pending:
            self._on_received([message for message in intake.messages if message.peer_id in pending])
            self._on_pending(pending)

    async def _settle(self, intake: Intake, news: News) -> set[int]:
        settled = await self._path.settle(intake, migrations=news.migrations, own=news.written)
        if settled.answered_before:
            _log.warning("telegram.answered_by_a_forgotten_run", messages=settled.answered_before)
        self._on_settled(settled)
        return settled.pending

    async def _owe(self, states: dict[int, UpdateState]) -> None:
        """These moved and nothing came with them: stored with what comes next, or soon by themselves."""
        async with self._in_order:
            self._owed.update(states)
        if not self._paying:
            self._paying = True
            self._start(self._pay())

    async def _pay(self) -> None:
        await asyncio.sleep(OWED_SECONDS)
        self._paying = False
        if self._owed:
            await self._store(lambda: Intake(states=dict(self._owed)))

    async def _pay_last(self) -> None:
        """Nothing comes in any more. Whoever serves the account next, another bot perhaps, is spared what moved them."""
        try:
            async with asyncio.timeout(LAST_STATE_SECONDS):
                await self._path.take_in(Intake(states=dict(self._owed)))
        except (StoreError, TimeoutError) as error:
            _log.info("telegram.last_state_not_stored", error=type(error).__name__)
            return
        self._stored.update(self._owed)
        self._owed.clear()

    # -- catching up

    async def catch_up(self) -> None:
        """Fetch what was missed: the account's difference, and every stored channel's, a few at a time."""
        if not self._message_box.catch_up_queued:
            self._message_box.catch_up_queued = True
            await super().catch_up()
        channels = [channel_id for channel_id in self._stored if channel_id != ACCOUNT_STATE]
        fetching = bool(self._channels_to_fetch)
        self._channels_to_fetch.extend(channel for channel in channels if channel not in self._channels_to_fetch)
        if self._channels_to_fetch and not fetching:
            self._start(self._fetch_channels())

    async def _fetch_channels(self) -> None:
        while self._channels_to_fetch:
            now = self._channels_to_fetch[:CHANNELS_AT_ONCE]
            self._fetch_soon(now)
            del self._channels_to_fetch[: len(now)]
            await asyncio.sleep(CHANNELS_PAUSE_SECONDS)

    def _fetch_soon(self, channel_ids: list[int]) -> None:
        self._message_box.begin(channel_ids)
        # The update loop waits for its queue: something harmless wakes it.
        wake = types.UpdateShort(types.UpdateConfig(), datetime.fromtimestamp(0, UTC))
        self._updates_queue.put_nowait(wake)

    async def _on_new_session(self, message: Any) -> None:
        """The server began a new session: what it had queued for the old one is gone."""
        await self._telethon_on_new_session(message)
        await self.catch_up()

    async def _handle_auto_reconnect(self) -> None:
        """Telethon would not fetch the gap."""
        await self.catch_up()

    # -- requests of the update loop

    async def __call__(self, request: Any, ordered: bool = False, flood_sleep_threshold: int | None = None) -> Any:
        """Differences are asked for again until they come: Telethon would give them up until the next gap, or 15 minutes."""
        if isinstance(request, functions.updates.GetDifferenceRequest):
            return await self._account_difference(request)
        if isinstance(request, functions.updates.GetChannelDifferenceRequest):
            return await self._channel_difference(request)
        return await super().__call__(request, ordered, flood_sleep_threshold)

    async def _account_difference(self, request: Any) -> Any:
        """Where Telegram refuses the state itself, asking again does not help, nor does a new connection: Telethon goes on with
        what is pushed, and whoever compares the states finds out what is wrong with ours (receiving.py)."""
        attempt = 0
        while True:
            try:
                return await self.ask(request, DIFFERENCE_SECONDS)
            except (errors.RPCError, TimeoutError) as error:
                attempt += 1
                if wire_name(error) in STATE_REFUSED and (attempt >= REFUSALS or not is_passing(error)):
                    _log.warning("telegram.difference_refused", error=wire_name(error))
                    self.caught_up.set()
                    raise _not_now(request) from error
                await asyncio.sleep(self._pause(error, attempt))

    async def _channel_difference(self, request: Any) -> Any:
        """Of one channel: the account's own updates do not wait for it."""
        channel_id = request.channel.channel_id
        clock = asyncio.get_running_loop().time
        pause = self._channels_not_before - clock()
        if pause <= 0:
            try:
                return await self.ask(request, DIFFERENCE_SECONDS)
            except (errors.RPCError, TimeoutError) as error:
                seconds = wait_seconds(error)
                if not (seconds or is_passing(error) or wire_name(error) in ACCOUNT_LOST):
                    raise  # Telethon knows: it forgets a channel that we are not in any more, and tries others later
                pause = self._pause(error, 1)
                if seconds:  # of this kind of request, whatever the channel
                    self._channels_not_before = clock() + pause
        if channel_id not in self._channels_waiting:
            self._channels_waiting.add(channel_id)
            self._start(self._fetch_later(channel_id, pause))
        raise _not_now(request)

    def _pause(self, error: BaseException, attempt: int) -> float:
        """How long to wait before the same again.

        Raises:
            BrokenClientError: waiting does not help.
        """
        seconds = wait_seconds(error)
        if seconds:
            _log.info("telegram.difference_waits", seconds=seconds)
            return seconds
        if (
            wire_name(error) in ACCOUNT_LOST
            or not is_passing(error)
            or (isinstance(error, TimeoutError) and attempt > 2)
        ):
            self.fail(error)
            raise BrokenClientError("the difference cannot be fetched") from error
        return float(min(_LONGEST_PAUSE, 2.0**attempt) * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads load

    async def _fetch_later(self, channel_id: int, pause: float) -> None:
        await asyncio.sleep(pause)
        self._channels_waiting.discard(channel_id)
        self._fetch_soon([channel_id])

    # -- requests of ours

    async def stored_hash(self, peer_id: int) -> int | None:
        """The access hash of somebody whom the memory has let go; None: nobody has told us.

        Raises:
            StoreUnavailable: the store is away.
        """
        return await self._path.access_hash(peer_id)

    async def ask(self, request: Any, deadline: float) -> Any:
        """Send one request, once, without Telethon's retries: errors and flood waits come back at once.

        Raises:
            telethon.errors.RPCError: Telegram refused.
            TimeoutError: no answer in time; whether it was executed is unknown.
            ConnectionError: the connection ended; the same.
        """
        await request.resolve(self, utils)
        answer = self._sender.send(request)
        try:
            await asyncio.wait([answer, self.failed], timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return _result(answer)
            if self.failed.done():
                raise ConnectionError("the connection has ended")
            raise TimeoutError("no answer in time")
        finally:
            # Nothing if it is done. Else Telethon still takes the late answer's updates: a late proof of a send is kept.
            answer.cancel()

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.fail(task.exception() or RuntimeError())


def _not_now(request: Any) -> errors.ServerError:
    """What Telethon takes for that: it ends this attempt and keeps the state."""
    return errors.ServerError(request, "LATER")


def _result(answer: "asyncio.Future[Any]") -> Any:
    if answer.cancelled():  # Telethon cancels what is pending when it disconnects …
        raise ConnectionError("the connection has ended")
    error = answer.exception()
    if isinstance(error, LOST_LINK) and not isinstance(error, OSError):  # … or hands on what ended the connection
        raise ConnectionError(f"the connection has ended: {type(error).__name__}") from error
    return answer.result()
