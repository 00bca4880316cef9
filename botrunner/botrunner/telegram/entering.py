"""Why: a person's account gets its session here, once, with the person at the terminal. A runner never does this.

Each time a session of its own: one that is used in two places is dead for good. It never shows or logs code, password or session.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from telethon import errors
from telethon.network.connection import ConnectionTcpFull

from botfleet.conditions import Reason
from botrunner.telegram.device import client_options, close_client
from botrunner.telegram.errors import LOST_LINK, wait_seconds, wire_name
from botrunner.telegram.login import PlainClient
from botrunner.telegram.net import resolve, trust
from botrunner.telegram.scanning import NotScannedError, scanned
from botrunner.telegram.session import new_session
from botrunner.telegram.types import ApiCredentials, Me, RefusedError, Server, TryAgainError

STEP_SECONDS = 40.0
END_SECONDS = 20.0
"""For the log-out of who gave up in the middle: a session that is left is in the account for good. A second Ctrl-C waits for nothing."""
TRIES = 3

_WORDS = {
    "API_ID_INVALID": "Telegram refuses api-id and api-hash. Copy both from my.telegram.org into the Secret.",
    "API_ID_PUBLISHED_FLOOD": "Telegram refuses this api-id, since many use it. Make your own at my.telegram.org.",
    "PASSWORD_HASH_INVALID": "The password is wrong.",
    "PHONE_CODE_EXPIRED": "The code is no longer valid. Begin again: Telegram sends a new one.",
    "PHONE_CODE_EMPTY": "The code is wrong.",
    "PHONE_CODE_INVALID": "The code is wrong.",
    "PHONE_NUMBER_BANNED": "Telegram has banned this phone number. Only Telegram can undo that.",
    "PHONE_NUMBER_FLOOD": "Too many codes were asked for with this number. Try again tomorrow.",
    "PHONE_NUMBER_INVALID": "That is no phone number. Write it with its country code, such as +996700123456.",
    "PHONE_NUMBER_UNOCCUPIED": "No Telegram account has this phone number. Make one with a Telegram app first.",
    "PHONE_PASSWORD_FLOOD": "Too many tries with this number. Try again tomorrow.",
    "USER_DEACTIVATED": "Telegram has deactivated the account. Only Telegram can undo that.",
    "USER_DEACTIVATED_BAN": "Telegram has deactivated the account. Only Telegram can undo that.",
}
_AGAIN = frozenset({"PASSWORD_HASH_INVALID", "PHONE_CODE_EMPTY", "PHONE_CODE_INVALID", "PHONE_NUMBER_INVALID"})


class NotEnteredError(Exception):
    """Telegram does not let the person in now; the message says why and what to do. `wait`: seconds that it asks for."""

    def __init__(self, told: str, wait: int = 0) -> None:
        super().__init__(told)
        self.wait = wait


class Asks(Protocol):
    """The person at the terminal."""

    async def phone(self) -> str:
        """The account's number."""

    async def code(self, sent_by: str) -> str:
        """What Telegram has sent. `sent_by`: how, by Telegram's own name."""

    async def password(self) -> str:
        """Of two-step verification."""

    def scan(self, link: str, seconds: float) -> None:
        """A code to be scanned with a phone that is logged in; the one before is good no more."""

    def scanned(self) -> None:
        """No code is to be scanned any more."""

    def wrong(self, told: str) -> None:
        """What was answered last will not do; it is asked again."""


@dataclass(frozen=True)
class Entered:
    """The account is in. `session`: a StringSession's text, with the key."""

    session: str = field(repr=False)
    me: Me


@contextlib.asynccontextmanager
async def entered(
    api: ApiCredentials, server: Server | None, asks: Asks, *, by_scan: bool = False
) -> AsyncIterator[Entered]:
    """Logs a person in with a new session; if the block fails, the session is ended again, so that none lies about.

    Args:
        by_scan: by a code that a phone scans, instead of by phone number and code.

    Raises:
        NotEnteredError: with what to do.
    """
    with _words():
        client = await _connected(api, server, updates=by_scan)
    try:
        with _words():
            user = await (_let_in(client, api, asks) if by_scan else _sign_in(client, asks))
        try:
            yield Entered(client.session.save(), Me(user.id, user.username, bool(user.bot)))
        except BaseException:
            await _end(client, STEP_SECONDS)
            raise
    finally:
        await close_client(client)


async def _end(client: PlainClient, seconds: float) -> None:
    """No session is left behind; best effort."""
    with contextlib.suppress(errors.RPCError, *LOST_LINK):
        async with asyncio.timeout(seconds):
            await client.log_out()


async def _connected(api: ApiCredentials, server: Server | None, *, updates: bool) -> PlainClient:
    address = None
    if server is not None:
        trust(server)
        address = await resolve(server)
    session = new_session(server, address)
    client = PlainClient(
        session,
        api.api_id,
        api.api_hash,
        receive_updates=updates,  # of a scan Telegram tells by one
        connection_retries=3,  # one new key in 256 fails once
        request_retries=1,
        **client_options(ConnectionTcpFull, session.server_address),
    )
    try:
        await _step(client.connect())
    except BaseException:
        await close_client(client)
        raise
    return client


async def _let_in(client: PlainClient, api: ApiCredentials, asks: Asks) -> Any:
    """Ended in the middle, also what Telegram has let in meanwhile is ended."""
    try:
        try:
            return await scanned(client, api, asks.scan, _step)
        finally:
            asks.scanned()
    except errors.SessionPasswordNeededError:
        return await _password(client, asks)
    except NotScannedError:
        raise NotEnteredError("Nobody has scanned the code. Begin again when your phone is at hand.") from None
    except asyncio.CancelledError:
        await _end(client, END_SECONDS)
        raise


async def _sign_in(client: PlainClient, asks: Asks) -> Any:
    phone, sent = await _again(asks, lambda: _ask_for_code(client, asks))
    by = type(sent.type).__name__.removeprefix("SentCodeType")

    async def code() -> Any:
        given = await asks.code(by)
        return await _step(client.sign_in(phone, given.strip(), phone_code_hash=sent.phone_code_hash))

    try:
        return await _again(asks, code)
    except errors.SessionPasswordNeededError:
        return await _password(client, asks)


async def _password(client: PlainClient, asks: Asks) -> Any:
    async def password() -> Any:
        return await _step(client.sign_in(password=await asks.password()))

    return await _again(asks, password)


async def _ask_for_code(client: PlainClient, asks: Asks) -> tuple[str, Any]:
    phone = "".join((await asks.phone()).split())
    return phone, await _step(client.send_code_request(phone))


async def _again(asks: Asks, what: Callable[[], Awaitable[Any]]) -> Any:
    """What a person mistypes is asked again, three times in all: Telegram counts too."""
    for left in reversed(range(TRIES)):
        try:
            return await what()
        except errors.RPCError as error:
            if wire_name(error) not in _AGAIN or not left:
                raise
            asks.wrong(_WORDS[wire_name(error)])
    raise AssertionError("the last try returns or raises")


async def _step(what: Awaitable[Any]) -> Any:
    async with asyncio.timeout(STEP_SECONDS):
        return await what


@contextlib.contextmanager
def _words() -> Iterator[None]:
    """What Telegram, or the way to it, says against it, in words."""
    try:
        yield
    except errors.RPCError as error:
        name, wait = wire_name(error), wait_seconds(error)
        if wait:
            raise NotEnteredError("Telegram asks to wait before it is asked again", wait) from None
        raise NotEnteredError(_WORDS.get(name, f"Telegram refuses the login: {name}.")) from None
    except RefusedError as error:
        told = "The server's public key cannot be used. Put its RSA key in PEM into the Secret."
        raise NotEnteredError(told if error.reason is Reason.API_CREDENTIALS_INVALID else error.reason.value) from None
    except TryAgainError:
        raise NotEnteredError("The server's name cannot be resolved. Check spec.account.dataCenter.address.") from None
    except LOST_LINK:
        raise NotEnteredError("There is no connection to Telegram. Check your network and try again.") from None
