"""Why: the account's life on Telegram under one lease: log in, connect, serve; after a failure everything anew from the store.

It ends with the lease, with a refusal, or when it is told to. It never keeps a client, nor its session, past its connection.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from botfleet.conditions import Reason
from botfleet.keys import Sealer
from botfleet.store.account import AccountRepository
from botfleet.store.engine import Store
from botfleet.store.errors import LeaseLost, StoreError, StoreUnavailable
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Incoming, Settled, UpdateState
from botrunner.backoff import backoff
from botrunner.ownership.binding import Bindings
from botrunner.ownership.keeper import Tenure
from botrunner.telegram import standing
from botrunner.telegram.client import InboxClient
from botrunner.telegram.entities import Entities
from botrunner.telegram.errors import ACCOUNT_LOST, LOST_LINK, WAIT_ACCOUNT, wire_name
from botrunner.telegram.login import LoggedIn, Login, log_in
from botrunner.telegram.net import resolve
from botrunner.telegram.receiving import CHECK_SECONDS, Remedy, Watch
from botrunner.telegram.sender import Sender
from botrunner.telegram.session import InboxSession, parse_session
from botrunner.telegram.types import (
    ApiCredentials,
    Credential,
    Me,
    OwnerTyping,
    RefusedError,
    Server,
    TryAgainError,
    UserSession,
)

_log = structlog.get_logger(__name__)

CONNECT_SECONDS = 20.0
LOGIN_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 15.0
BINDING_POLL_SECONDS = 1.0
STEADY_AFTER_SECONDS = 30.0
"""A connection that lasted this long was a good one: the next failure is again the first."""


@dataclass(frozen=True)
class Account:
    """Which account, and how it gets in."""

    api: ApiCredentials
    credential: Credential
    server: Server | None = None


@dataclass(frozen=True)
class Status:
    """What there is to tell. `authorized` None: not tried yet. `receiving`: updates come through, proved not long ago; None:
    not known. `reason`: why not connected, not authorized or not receiving."""

    connected: bool = False
    authorized: bool | None = None
    reason: Reason | None = Reason.STARTING
    receiving: bool | None = None
    me: Me | None = None


class End(StrEnum):
    """Why a life ended."""

    LEASE_LOST = "lease-lost"
    STOPPED = "stopped"
    REFUSED = "refused"


@dataclass(frozen=True)
class Ended:
    """`reason`, when refused: nothing helps until the credential changes."""

    end: End
    reason: Reason | None = None


class Telegram:
    """One account under one tenure. A changed credential, or a new lease, needs a new one."""

    def __init__(
        self,
        account: Account,
        store: Store,
        tenure: Tenure,
        sealer: Sealer,
        bindings: Bindings,
        *,
        on_pending: Callable[[set[int]], None],
        on_received: Callable[[Sequence[Incoming]], None] = lambda _: None,
        on_status: Callable[[Status], None] = lambda _: None,
        on_proof: Callable[[], None] = lambda: None,
        on_remedy: Callable[[Remedy], None] = lambda _: None,
        on_handed_over: Callable[[int], None] = lambda _: None,
        owner: OwnerTyping | None = None,
        on_settled: Callable[[Settled], None] = lambda _: None,
        on_lag: Callable[[int], None] = lambda _: None,
        on_wait: Callable[[float], None] = lambda _: None,
        on_standing: Callable[[standing.Standing], None] = lambda _: None,
        check_seconds: float = CHECK_SECONDS,
        standing_seconds: float = standing.EVERY_SECONDS,
    ) -> None:
        """Args:
        store: the bot's; every write carries the tenure's token.
        bindings: whether this bot may use the account.
        on_pending: called after each commit with the peers that have new messages; must not block.
        on_received: called before that with the messages.
        on_status: called with each change, from the event loop; must not block.
        on_proof: called with each proof that updates come through.
        on_remedy: called with what is done because they do not.
        on_handed_over: called with how many messages were closed because a person has taken their chat over.
        owner: what it means that the owner of a person's account types.
        on_settled: called with what an intake made of what stood already.
        on_lag: called with each look's difference of the counts, Telegram's less ours.
        on_wait: called with the seconds for which Telegram lets the account not even log in.
        on_standing: called with what Telegram says of the account itself, whether or not it is new.
        check_seconds: a quiet account is looked at this often.
        standing_seconds: and asked about itself this often.
        """
        self.sender = Sender()
        self._account = account
        self._store = store
        self._tenure = tenure
        self._sealer = sealer
        self._bindings = bindings
        self._on_pending, self._on_received = on_pending, on_received
        self._on_status = on_status
        self._on_handed_over, self._owner = on_handed_over, owner
        self._on_settled = on_settled
        self._on_wait = on_wait
        self._on_standing, self._standing_seconds = on_standing, standing_seconds
        self._watch = Watch(
            every=check_seconds, on_verdict=self._heard, on_proof=on_proof, on_remedy=on_remedy, on_lag=on_lag
        )
        self._status = Status()
        self._stop = asyncio.Event()
        self._logged_in: LoggedIn | None = None
        self._path: MessagePath | None = None

    @property
    def status(self) -> Status:
        """As it was last told."""
        return self._status

    @property
    def connected(self) -> bool:
        """Whether there is a connection that takes in and sends."""
        return self._status.connected

    @property
    def me(self) -> Me | None:
        """The account, once Telegram has said who it is."""
        return self._status.me

    @property
    def path(self) -> MessagePath | None:
        """The message path of the account, once it is logged in and bound."""
        return self._path

    def stop(self) -> None:
        """End the life; `run` returns when the connection is closed."""
        self._stop.set()

    async def run(self) -> Ended:
        """Live until the lease is lost, Telegram refuses the credential, or `stop`.

        Raises:
            StoreError: the store refuses in a way that will not pass.
        """
        live = asyncio.create_task(self._live(), name="telegram-live")
        stop = asyncio.create_task(self._stop.wait(), name="telegram-stop")
        lost = asyncio.create_task(self._tenure.lost.wait(), name="telegram-lost")
        try:
            await asyncio.wait((live, stop, lost), return_when=asyncio.FIRST_COMPLETED)
            if live.done():
                return await live
            return Ended(End.LEASE_LOST if self._tenure.lost.is_set() else End.STOPPED)
        finally:
            for task in (live, stop, lost):
                task.cancel()
            ended, *_ = await asyncio.gather(live, stop, lost, return_exceptions=True)
            if isinstance(ended, Exception):
                _log.warning("telegram.ended_with", error=type(ended).__name__)

    async def _live(self) -> Ended:
        failures = 0  # in a row
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            pause = 0.0
            try:
                await self._once()
            except RefusedError as refused:
                self._tell(connected=False, authorized=False, reason=refused.reason)
                return Ended(End.REFUSED, refused.reason)
            except TryAgainError as later:
                _log.info("telegram.try_again", after=round(later.after, 1), why=later.why)
                authorized = False if later.reason not in (None, Reason.BINDING_PENDING) else self._status.authorized
                self._tell(connected=False, authorized=authorized, reason=later.reason or Reason.DISCONNECTED)
                pause = later.after
                if later.why in WAIT_ACCOUNT:
                    self._on_wait(later.after)
                failures = 0 if later.reason is Reason.BINDING_PENDING else failures
            except StoreUnavailable:
                self._tell(connected=False, reason=Reason.DISCONNECTED)
            except LeaseLost:
                self._tenure.guard.cut()  # the token is stale: another one acts already, or will
                await self._tenure.lost.wait()
                return Ended(End.LEASE_LOST)
            failures = 1 if loop.time() - began > STEADY_AFTER_SECONDS else failures + 1
            again = backoff(failures, first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(max(pause, again))

    async def _once(self) -> None:
        """Get in and serve one connection; returns when it is lost for a reason that may pass."""
        await self._until_bound()
        if self._logged_in is None:
            self._logged_in = await self._log_in()
        me = self._logged_in.me
        if self._path is None:
            self._path = MessagePath(self._store, self._tenure.lease, me.id)
            self._path.on_handed_over = self._on_handed_over
        self._tell(authorized=True, me=me)
        cause = await self._serve(self._logged_in, self._path)
        _log.info("telegram.connection_ended", cause=wire_name(cause) if cause is not None else "closed")
        if cause is None:
            return
        if isinstance(cause, StoreError):
            raise cause
        if wire_name(cause) in ACCOUNT_LOST:
            self._logged_in = None
            if isinstance(self._account.credential, UserSession):
                raise RefusedError(ACCOUNT_LOST[wire_name(cause)]) from cause

    async def _until_bound(self) -> None:
        """Stay off Telegram until the operator has bound the credential that we have."""
        if not await self._bindings.may_use(self._account.credential):
            raise TryAgainError(BINDING_POLL_SECONDS, "NotBound", Reason.BINDING_PENDING)
        if self._status.me is not None and not await self._may_use_account(self._status.me):
            raise TryAgainError(BINDING_POLL_SECONDS, "NotBound", Reason.BINDING_PENDING)

    async def _may_use_account(self, me: Me) -> bool:
        bound = await self._bindings.may_use_account(self._account.credential, me.id)
        self._tell(me=me, **({} if bound else {"reason": Reason.BINDING_PENDING}))
        return bound

    async def _may_begin(self, me: Me) -> bool:
        """Telegram has accepted the credential. That is told, since what the account brings along waits for it."""
        if not await self._bindings.is_moving(self._account.credential, me.id):
            return True
        self._tell(authorized=True, me=me, reason=Reason.BINDING_PENDING)
        return False

    async def _log_in(self) -> LoggedIn:
        store, lease = self._store, self._tenure.lease
        login = Login(
            api=self._account.api,
            server=self._account.server,
            bot_id=lease.bot_id,
            accounts=lambda account_id: AccountRepository(store, lease, account_id),
            states=lambda account_id: MessagePath(store, lease, account_id),
            sealer=self._sealer,
            guard=self._tenure.guard,
        )
        return await log_in(
            login,
            self._account.credential,
            deadline=LOGIN_SECONDS,
            may_use=self._may_use_account,
            may_begin=self._may_begin,
        )

    async def _serve(self, logged_in: LoggedIn, path: MessagePath) -> BaseException | None:
        """One connection, from the stored state to its end; what ended it."""
        server = self._account.server
        key = parse_session(logged_in.session, server, await resolve(server) if server is not None else None)
        states = await path.states()
        entities = Entities(await path.channel_hashes())
        client = InboxClient(
            InboxSession(key.save(), states, entities.channels()),
            self._account.api,
            self._tenure.guard,
            logged_in.me,
            path,
            states,
            entities,
            on_pending=self._on_pending,
            on_received=self._on_received,
            is_answered=self.sender.is_answered,
            on_pushed=self._watch.pushed,
            owner=self._owner,
            migrated=await path.migrations(),
            on_settled=self._on_settled,
        )
        remedy: Remedy | None = None
        asking: asyncio.Task[None] | None = None
        self._watch.evidence.connected()
        try:
            cause = await _connect(client)
            if cause is not None:
                return cause
            self.sender.attach(client, logged_in.me)
            self._tell(connected=True, authorized=True, **_verdict(self._watch.evidence.receiving))
            asking = asyncio.create_task(
                standing.watch(client, self._on_standing, self._standing_seconds), name="telegram-standing"
            )
            cause, remedy = await _until_ended(client, self._watch)
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            self.sender.detach()
            if self._status.connected:
                self._tell(connected=False, reason=Reason.DISCONNECTED, receiving=None)
            await client.close()
        if remedy is Remedy.TAKE_STATE:
            await self._take_state(path, client.stored)
        return cause

    async def _take_state(self, path: MessagePath, ours: UpdateState) -> None:
        """Our state is ahead of Telegram's: another account's, or a restored server's. Everything below ours was dropped.

        The client is closed, so that it cannot store its own again. The next one fetches what has come since the first look.
        """
        theirs = self._watch.evidence.baseline
        if theirs is not None and await path.replace_baseline(theirs, was=ours):
            _log.warning("telegram.took_the_state_of_the_server", ours=ours.pts, theirs=theirs.pts)

    def _heard(self, receiving: bool | None) -> None:
        if self._status.connected:
            self._tell(**_verdict(receiving))

    def _tell(self, **changes: object) -> None:
        status = replace(self._status, **changes)  # type: ignore[arg-type]
        if status != self._status:
            self._status = status
            self._on_status(status)


def _verdict(receiving: bool | None) -> dict[str, object]:
    return {"receiving": receiving, "reason": Reason.DEAF if receiving is False else None}


async def _connect(client: InboxClient) -> BaseException | None:
    """Connect, with a deadline: Telethon has none in its handshake. What came in between, if it failed."""
    from telethon.errors import AuthKeyNotFound, RPCError

    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.connect()
    except (RPCError, AuthKeyNotFound, *LOST_LINK) as error:
        came_between: BaseException = error
        return came_between
    return None


async def _until_ended(client: InboxClient, watch: Watch) -> tuple[BaseException | None, Remedy | None]:
    """Wait for the end of a connection, watched: its cause, if there is one to be told, or the remedy that ends it."""
    disconnected = asyncio.ensure_future(client.disconnected)
    watching = asyncio.create_task(watch.run(client), name="telegram-receiving")
    try:
        await asyncio.wait((client.failed, disconnected, watching), return_when=asyncio.FIRST_COMPLETED)
        if client.failed.done():
            return client.failed.result(), None
        if disconnected.done():
            return disconnected.exception() if not disconnected.cancelled() else None, None
        broken = watching.exception()
        if broken is not None:  # nobody foresaw it: the next connection is watched anew
            _log.error("telegram.watch_broke", error=type(broken).__name__)
            return None, None
        return None, watching.result()
    finally:
        disconnected.cancel()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
