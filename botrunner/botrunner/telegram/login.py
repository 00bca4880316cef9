"""Why: logging in is rare and dangerous: a new key each time earns flood waits of half an hour, a lost one loses messages.

So a plain client of its own does it, with the lease held: the whole session is stored before the import, and the state at
once after it. It takes nothing in. Private parts of Telethon that are used: _sender, _switch_dc, get_me (contract tests).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog
from telethon import TelegramClient, errors
from telethon.sessions import StringSession
from telethon.tl import functions, types

from botfleet.conditions import Reason
from botfleet.keys import Sealer, UnsealError
from botfleet.store.account import StoredAccount
from botfleet.store.rows import ACCOUNT_STATE, UpdateState
from botrunner.ownership.cutoff import CutOff
from botrunner.telegram.device import client_options, close_client
from botrunner.telegram.errors import (
    ACCOUNT_LOST,
    KEY_IS_DEAD,
    LOGIN_REFUSED,
    LOST_LINK,
    is_passing,
    wait_seconds,
    wire_name,
)
from botrunner.telegram.net import resolve, trust
from botrunner.telegram.session import new_session, parse_session
from botrunner.telegram.types import (
    ApiCredentials,
    BotToken,
    Credential,
    Me,
    RefusedError,
    Server,
    TryAgainError,
    UserSession,
)

_log = structlog.get_logger(__name__)

STEP_SECONDS = 20.0
LOGIN_AGAIN_AFTER = timedelta(hours=1)
"""A token logs in again, after its key died, at most this often."""


MayUse = Callable[[Me], Awaitable[bool]]


class Accounts(Protocol):
    """What a login needs of `botfleet.store.account.AccountRepository`."""

    async def load(self) -> StoredAccount | None: ...
    async def save_session(self, sealed: bytes, credential_digest: str) -> None: ...
    async def mark_authorized(self, username: str | None) -> None: ...
    async def note_token_login(self) -> None: ...
    async def discard(self) -> None: ...


class States(Protocol):
    """What a login needs of `botfleet.store.messages.MessagePath`."""

    async def states(self) -> dict[int, UpdateState]: ...
    async def set_baseline(self, state: UpdateState) -> None: ...


@dataclass(frozen=True)
class LoggedIn:
    """The account is in. `session`: a StringSession's text, with the key."""

    session: str = field(repr=False)
    me: Me


@dataclass(frozen=True)
class Login:
    """Everything that a login needs. `accounts` and `states` make the repositories of an account id."""

    api: ApiCredentials
    server: Server | None
    bot_id: str
    accounts: Callable[[int], Accounts]
    states: Callable[[int], States]
    sealer: Sealer
    guard: CutOff


class PlainClient(TelegramClient):  # type: ignore[misc]
    """Connects, and nothing else: it wants no updates, and does not load the server's state over ours."""

    async def get_me(self, input_peer: bool = False) -> None:
        """Nobody: connect() would ask, and then load the server's state."""

    async def ask(self, request: Any) -> Any:
        """One request, once, with a deadline and without Telethon's retries."""
        return await asyncio.wait_for(self._sender.send(request), STEP_SECONDS)


async def log_in(
    login: Login,
    credential: Credential,
    *,
    deadline: float,
    may_use: MayUse | None = None,
    may_begin: MayUse | None = None,
) -> LoggedIn:
    """Log the account in and leave it with a stored session and a stored state.

    Args:
        deadline: seconds for all of it.
        may_use: asked with who the account is before anything is stored for a person's account (its binding).
        may_begin: asked, once Telegram has let the account in, before it is stored where taking in begins.

    Raises:
        RefusedError: not with this credential.
        TryAgainError: not now.
        StoreError: the store does not do its part, or the lease is lost.
    """
    try:
        async with asyncio.timeout(deadline):
            address = None
            if login.server is not None:
                trust(login.server)
                address = await resolve(login.server)
            if isinstance(credential, BotToken):
                return await _BotLogin(login, credential, address, may_begin).run()
            return await _user(login, credential, address, may_use, may_begin)
    except (errors.RPCError, errors.AuthKeyNotFound, *LOST_LINK) as error:
        raise _translated(error) from error


def _translated(error: BaseException) -> Exception:
    name = wire_name(error)
    if name in LOGIN_REFUSED:
        return RefusedError(LOGIN_REFUSED[name])
    if name in ACCOUNT_LOST:
        return RefusedError(ACCOUNT_LOST[name])
    if not is_passing(error):
        _log.warning("telegram.login_failed", error=name)
    return TryAgainError(wait_seconds(error) or 1, name)


async def _user(
    login: Login, credential: UserSession, address: str | None, may_use: MayUse | None, may_begin: MayUse | None
) -> LoggedIn:
    session = parse_session(credential.string, login.server, address)
    async with _Connected(login, session) as client:
        me = await _who(client)
        if may_use is not None and not await may_use(me):
            raise TryAgainError(1.0, "NotBound", Reason.BINDING_PENDING)
        await _until_it_may_begin(me, may_begin)
        await _baseline(client, login.states(me.id))
    return LoggedIn(session.save(), me)


class _BotLogin:
    def __init__(self, login: Login, token: BotToken, address: str | None, may_begin: MayUse | None) -> None:
        try:
            self._account_id = token.account_id
        except ValueError as error:
            raise RefusedError(Reason.TOKEN_INVALID) from error
        self._login = login
        self._token = token
        self._address = address
        self._may_begin = may_begin
        self._accounts = login.accounts(self._account_id)
        self._context = f"telegram-session/{login.bot_id}/{self._account_id}"

    async def run(self) -> LoggedIn:
        stored = await self._accounts.load()
        session = self._usable(stored)
        if stored is not None and session is not None:
            try:
                return await self._with(session, stored=stored)
            except (errors.RPCError, errors.AuthKeyNotFound) as error:
                if wire_name(error) not in KEY_IS_DEAD:
                    raise
                await self._bury(stored, wire_name(error))
        return await self._with(new_session(self._login.server, self._address), stored=None)

    def _usable(self, stored: StoredAccount | None) -> StringSession | None:
        """The stored session, if it belongs to this token and can be read; one that cannot counts as none."""
        if stored is None or stored.session is None or stored.credential_digest != self._token.digest:
            return None
        try:
            text = self._login.sealer.open(stored.session, self._context).decode()
            return parse_session(text, self._login.server, self._address)
        except (UnsealError, UnicodeDecodeError, RefusedError):
            _log.warning("telegram.stored_session_unreadable")
            return None

    async def _bury(self, stored: StoredAccount, why: str) -> None:
        """The key is dead for good: forget it, unless the token has logged in for that reason within the hour."""
        last = stored.token_login_at
        if last is not None and (wait := (last + LOGIN_AGAIN_AFTER - datetime.now(UTC)).total_seconds()) > 0:
            raise TryAgainError(wait, why, ACCOUNT_LOST[why])
        _log.warning("telegram.session_discarded", error=why)
        await self._accounts.discard()
        await self._accounts.note_token_login()

    async def _with(self, session: StringSession, *, stored: StoredAccount | None) -> LoggedIn:
        async with _Connected(self._login, session) as client:
            await self._save(session, stored)
            me = None if stored is None else await self._known(client, stored)
            if me is None:
                me = await self._import(client, session)
            if me.id != self._account_id:
                raise RefusedError(Reason.TOKEN_INVALID)
            await self._accounts.mark_authorized(me.username)
            await _until_it_may_begin(me, self._may_begin)
            await _baseline(client, self._login.states(me.id))
        return LoggedIn(session.save(), me)

    async def _save(self, session: StringSession, stored: StoredAccount | None) -> None:
        """Before the import: a key that is authorized and not stored would be lost with the process."""
        if stored is None:
            sealed = self._login.sealer.seal(session.save().encode(), self._context)
            await self._accounts.save_session(sealed, self._token.digest)

    async def _known(self, client: PlainClient, stored: StoredAccount) -> Me | None:
        """Who the stored key belongs to; None: it was never authorized, so it is imported, not replaced."""
        try:
            return await _who(client)
        except errors.RPCError as error:
            if stored.authorized_at is None and wire_name(error) == "AUTH_KEY_UNREGISTERED":
                return None
            raise

    async def _import(self, client: PlainClient, session: StringSession) -> Me:
        api = self._login.api
        for _ in range(3):
            request = functions.auth.ImportBotAuthorizationRequest(
                0, api.api_id, api.api_hash, self._token.token.strip()
            )
            try:
                answer = await client.ask(request)
            except (errors.UserMigrateError, errors.PhoneMigrateError, errors.NetworkMigrateError) as error:
                await client._switch_dc(error.new_dc)  # a new key, at another address: store it before the import
                await self._save(session, None)
                continue
            _log.info("telegram.logged_in_with_token")
            return _me(answer.user)
        raise TryAgainError(60, "DataCenterUnsettled")


class _Connected:
    """A plain client, connected for the length of a block."""

    def __init__(self, login: Login, session: StringSession) -> None:
        self._client = PlainClient(
            session,
            login.api.api_id,
            login.api.api_hash,
            receive_updates=False,
            connection_retries=3,  # one new key in 256 fails once
            request_retries=1,
            **client_options(login.guard.connection_class(), session.server_address),
        )

    async def __aenter__(self) -> PlainClient:
        try:
            await self._client.connect()
        except BaseException:
            await close_client(self._client)
            raise
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await close_client(self._client)


async def _who(client: PlainClient) -> Me:
    return _me((await client.ask(functions.users.GetUsersRequest([types.InputUserSelf()])))[0])


def _me(user: Any) -> Me:
    return Me(user.id, user.username, bool(user.bot))


async def _until_it_may_begin(me: Me, may_begin: MayUse | None) -> None:
    if may_begin is not None and not await may_begin(me):
        raise TryAgainError(1.0, "AccountMoving", Reason.BINDING_PENDING)


async def _baseline(client: PlainClient, states: States) -> None:
    """Where taking in begins, for an account that was never here: now."""
    if ACCOUNT_STATE in await states.states():
        return
    state = await client.ask(functions.updates.GetStateRequest())
    await states.set_baseline(UpdateState(state.pts, state.qts, state.date, state.seq))
