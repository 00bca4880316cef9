"""A person for tests: unmodified Telethon that logs in by phone, writes, and collects what comes back in order of arrival.

What a lost connection swallowed is fetched from the chat's history; it must never answer twice with one message.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from telethon import TelegramClient, events, utils
from telethon.crypto import rsa
from telethon.errors import SessionPasswordNeededError
from telethon.sessions import StringSession

from botfleet_simulator.client.http import WAIT_SECONDS
from botfleet_simulator.client.telegram import TelegramAdmin

CONNECT_SECONDS = 60.0
CALL_SECONDS = 60.0
LOOK_SECONDS = 1.0
API_ID, API_HASH = 1, "simulated"
Peer = int | str


@dataclass(frozen=True, slots=True)
class Said:
    """A message that the person sent."""

    id: int
    peer_id: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A message that the person got."""

    id: int
    peer_id: int
    sender_id: int | None
    text: str
    date: float
    reply_to: int | None


class Person:
    """A person at a Telegram client. Use as an async context manager."""

    def __init__(
        self,
        host: str,
        port: int,
        public_key: str,
        *,
        phone: str,
        admin: TelegramAdmin | None = None,
        code: Callable[[str], Awaitable[str]] | None = None,
        password: str | None = None,
        session: str | None = None,
    ) -> None:
        """`code` gives the login code for a phone; by default it is read at the admin port."""
        rsa.add_key(public_key, old=False)
        stored = StringSession(session)
        if session is None:
            stored.set_dc(2, host, port)
        if code is None and admin is not None:
            code = admin.code
        self._phone, self._password, self._code = phone, password, code
        self.client = TelegramClient(stored, API_ID, API_HASH, connection_retries=None, retry_delay=0.2)
        self.id = 0
        self._replies: dict[int, dict[int, Reply]] = {}
        self._taken: dict[int, int] = {}
        self._began: dict[int, int] = {}  # what was said first in a chat: nothing older answers it
        self._arrived = asyncio.Event()

    @property
    def session_string(self) -> str:
        """The session, to come back with."""
        return str(StringSession.save(self.client.session))

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._log_in()
        except BaseException:
            await self._disconnect()
            raise
        self.client.add_event_handler(self._on_message, events.NewMessage(incoming=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disconnect()

    async def say(self, peer: Peer, text: str, *, reply_to: int | None = None) -> Said:
        """Send a text."""
        async with asyncio.timeout(CALL_SECONDS):
            entity = await self.client.get_input_entity(peer)
            sent = await self.client.send_message(entity, text, reply_to=reply_to, parse_mode=None)
        said = Said(sent.id, utils.get_peer_id(entity))
        self._began.setdefault(said.peer_id, said.id)
        return said

    def replies(self, peer: Peer) -> list[Reply]:
        """All that came in a chat so far, in order of arrival. The peer must have been written to or be an id."""
        return list(self._replies.get(self._known_id(peer), {}).values())

    async def wait_reply(self, peer: Peer, timeout: float = WAIT_SECONDS) -> Reply:
        """The next message of a chat that this method has not returned yet. Raises TimeoutError."""
        peer_id = await self._peer_id(peer)
        position = self._taken.get(peer_id, 0)
        found = await self.wait_replies(peer, position + 1, timeout=timeout)
        self._taken[peer_id] = position + 1
        return found[position]

    async def wait_replies(self, peer: Peer, count: int, timeout: float = WAIT_SECONDS) -> list[Reply]:
        """Wait until that many messages have come in a chat, and return all. Raises TimeoutError."""
        peer_id = await self._peer_id(peer)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while len(found := self.replies(peer_id)) < count:
            left = deadline - loop.time()
            if left <= 0:
                raise TimeoutError(f"{len(found)} of {count} replies of {peer} within {timeout} s")
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), min(left, LOOK_SECONDS))
            except TimeoutError:
                await self._look_back(peer_id, max(left, 0.1))
        return found

    async def _log_in(self) -> None:
        await self.client.connect()
        if not await self.client.is_user_authorized():
            await self.client.send_code_request(self._phone)
            if self._code is None:
                raise ValueError("a login needs `admin` or `code`")
            code = await self._code(self._phone)
            with contextlib.suppress(SessionPasswordNeededError):
                await self.client.sign_in(self._phone, code)
            if not await self.client.is_user_authorized():
                await self.client.sign_in(password=self._password)
        self.id = (await self.client.get_me()).id

    async def _disconnect(self) -> None:
        async with asyncio.timeout(CALL_SECONDS):
            await self.client.disconnect()

    async def _on_message(self, event: Any) -> None:
        self._note(event.chat_id, event.message)

    def _note(self, peer_id: int, message: Any) -> None:
        chat = self._replies.setdefault(peer_id, {})
        if message.id in chat or message.action is not None:
            return
        reply_to = message.reply_to.reply_to_msg_id if message.reply_to else None
        sender = message.sender_id
        chat[message.id] = Reply(message.id, peer_id, sender, message.message, message.date.timestamp(), reply_to)
        self._arrived.set()

    async def _look_back(self, peer_id: int, seconds: float) -> None:
        newest = max(self._replies.get(peer_id, {}), default=self._began.get(peer_id, 0))
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                missed = [message async for message in self.client.iter_messages(peer_id, min_id=newest, limit=200)]
                for message in reversed(missed):
                    if not message.out:
                        self._note(peer_id, message)

    async def _peer_id(self, peer: Peer) -> int:
        async with asyncio.timeout(CALL_SECONDS):
            return int(await self.client.get_peer_id(peer))

    def _known_id(self, peer: Peer) -> int:
        if isinstance(peer, int):
            return peer
        return int(utils.get_peer_id(self.client.session.get_input_entity(peer)))
