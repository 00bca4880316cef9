"""Why: sends one row of the outbox and says what became of it. Every answer of Telegram is an outcome, none is retried here.

It never decides what is sent, when, or again; and never sends without the row's own random_id.
"""

import asyncio
import struct
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from telethon import errors
from telethon.tl import functions, types

from botfleet.conditions import Reason
from botfleet.store.rows import OutboxRow
from botrunner.ownership.cutoff import LeaseOverError
from botrunner.telegram.client import InboxClient
from botrunner.telegram.entities import input_peer, is_channel
from botrunner.telegram.errors import (
    ACCOUNT_LOST,
    ALREADY_SENT,
    CHAT_REFUSALS,
    FORMATTING_REFUSED,
    KEY_IS_DEAD,
    REPLY_GONE,
    WAIT_CHAT,
    SendReason,
    is_passing,
    wait_seconds,
    wire_name,
)
from botrunner.telegram.types import Me
from botrunner.telegram.wire_entities import wire_entities

_log = structlog.get_logger(__name__)

SEND_SECONDS = 20.0
SIDE_SECONDS = 5.0
MENU_SECONDS = 30.0
"""Nobody waits for the menu, and what is given up may have been done: it would be said twice."""
_REMEMBER = 1000


@dataclass(frozen=True)
class Sent:
    """Telegram has it. `message_id` None: it only said that it has had it before."""

    message_id: int | None


@dataclass(frozen=True)
class Unknown:
    """It may have been sent. The same row again, later: its random_id makes that harmless."""


@dataclass(frozen=True)
class Wait:
    """Telegram did not take it and says how long to wait. `whole_account`: no chat may be written to meanwhile."""

    seconds: float
    whole_account: bool


@dataclass(frozen=True)
class Refused:
    """Telegram will never take it. `reason` is a `SendReason`. `closes_chat`: nor anything else in this chat."""

    reason: str
    closes_chat: bool


@dataclass(frozen=True)
class AccountLost:
    """The account's authorization is gone, and nothing was sent. The life of the connection ends with the same reason.

    A bot account whose key died is not lost: the connection logs it in again, and the outcome is `Unknown`.
    """

    reason: Reason


Outcome = Sent | Unknown | Wait | Refused | AccountLost


class Sender:
    """Sends through whatever client there is now; lives as long as the runner."""

    def __init__(self) -> None:
        self._client: InboxClient | None = None
        self._me: Me | None = None
        self._answered: OrderedDict[int, None] = OrderedDict()
        self._attached = asyncio.Event()
        self._side_not_before = 0.0

    def attach(self, client: InboxClient, me: Me) -> None:
        """From now on this client sends."""
        self._client, self._me = client, me
        self._attached.set()

    @property
    def client(self) -> InboxClient | None:
        """What is connected now."""
        return self._client

    def detach(self) -> None:
        """There is no client for now."""
        self._client = None
        self._attached.clear()

    async def wait_connected(self) -> None:
        """Wait, for as long as it takes, until there is a connection to send through."""
        await self._attached.wait()

    def is_answered(self, random_id: int) -> bool:
        """Whether a send with this id has been reported as sent; its proof in an update says nothing new then."""
        return random_id in self._answered

    async def send(self, row: OutboxRow, *, deadline: float = SEND_SECONDS) -> Outcome:
        """Send a row whose attempt is stored already; waits for a connection. Never raises what Telegram or the network does.

        Args:
            deadline: seconds, for the connection and again for the answer.
        """
        try:
            await asyncio.wait_for(self._attached.wait(), deadline)
        except TimeoutError:
            return Unknown()
        client, me = self._client, self._me
        if client is None or me is None:
            return Unknown()  # lost again before it was our turn
        try:
            peer = await self._peer(client, row)
            if peer is None:
                return Refused(SendReason.PEER_UNKNOWN, closes_chat=False)
            return await self._send(client, row, peer, deadline)
        except LeaseOverError:
            return Unknown()
        except (errors.RPCError, errors.AuthKeyNotFound, OSError) as error:
            return self._outcome(client, me, error)
        except (UnicodeEncodeError, struct.error) as error:
            _log.error("telegram.row_cannot_be_sent", error=type(error).__name__)  # not of a form that can be written
            return Refused(SendReason.REFUSED, closes_chat=False)

    async def typing(self, peer_id: int, access_hash: int | None, topic_id: int | None = None) -> None:
        """Show that an answer is being written, for about six seconds. Best effort: nothing depends on it.

        Args:
            topic_id: of a forum, or the post under which it will stand.
        """
        peer = self._known_peer(self._client, peer_id, access_hash)
        if peer is not None:
            await self._side(functions.messages.SetTypingRequest(peer, types.SendMessageTypingAction(), topic_id))

    async def mark_read(self, peer_id: int, access_hash: int | None, message_id: int) -> None:
        """Mark a chat as read up to a message. Best effort; bots cannot, and nothing happens then."""
        peer = self._known_peer(self._client, peer_id, access_hash)
        if peer is None or self._me is None or self._me.bot or message_id < 0:
            return
        if is_channel(peer_id):
            channel = types.InputChannel(peer.channel_id, peer.access_hash)
            await self._side(functions.channels.ReadHistoryRequest(channel, message_id))
        else:
            await self._side(functions.messages.ReadHistoryRequest(peer, message_id))

    async def show_commands(self, commands: Iterable[tuple[str, str]]) -> bool:
        """Tell Telegram which commands a bot's private chats show. Best effort. False: not now, or not a bot."""
        if self._me is None or not self._me.bot:
            return False
        shown = [types.BotCommand(name, text) for name, text in commands]
        request = functions.bots.SetBotCommandsRequest(types.BotCommandScopeUsers(), "", shown)
        return await self._side(request, MENU_SECONDS)

    async def _side(self, request: Any, deadline: float = SIDE_SECONDS) -> bool:
        """Never raises what Telegram or the network does, and is silent for as long as Telegram wants that."""
        client, clock = self._client, asyncio.get_running_loop().time
        if client is None or clock() < self._side_not_before:
            return False
        try:
            await client.ask(request, deadline)
        except (errors.RPCError, errors.AuthKeyNotFound, OSError) as error:
            self._side_not_before = clock() + wait_seconds(error)
            return False
        return True

    async def _send(self, client: InboxClient, row: OutboxRow, peer: Any, deadline: float) -> Outcome:
        """With what a refusal names left out: the message that it answers may be gone."""
        reply_to, entities = row.reply_to_message_id or row.topic_id, wire_entities(row.entities)
        while True:
            request = functions.messages.SendMessageRequest(
                peer=peer,
                message=row.text,
                random_id=row.random_id,
                no_webpage=True,
                reply_to=_input_reply(reply_to, row.topic_id),
                entities=entities,
            )
            try:
                answer = await client.ask(request, deadline)
            except errors.RPCError as error:
                name = wire_name(error)
                if name in ALREADY_SENT:
                    self._remember(row.random_id)
                    return Sent(None)
                if name in REPLY_GONE and reply_to is not None:
                    reply_to = row.topic_id if reply_to != row.topic_id else None
                elif name in FORMATTING_REFUSED and entities is not None:
                    _log.warning("telegram.formatting_refused", error=name, trace_id=row.trace_id)
                    entities = None
                else:
                    raise
            else:
                self._remember(row.random_id)
                return Sent(sent_message_id(answer, row.random_id))

    def _remember(self, random_id: int) -> None:
        self._answered[random_id] = None
        while len(self._answered) > _REMEMBER:
            self._answered.popitem(last=False)

    def _outcome(self, client: InboxClient, me: Me, error: BaseException) -> Outcome:
        name = wire_name(error)
        seconds = wait_seconds(error)
        if seconds:
            return Wait(seconds, whole_account=name not in WAIT_CHAT)
        if name in ACCOUNT_LOST:
            client.fail(error)
            return Unknown() if me.bot and name in KEY_IS_DEAD else AccountLost(ACCOUNT_LOST[name])
        if name in CHAT_REFUSALS:
            refusal = CHAT_REFUSALS[name]
            return Refused(refusal.reason, refusal.closes_chat)
        if is_passing(error):
            return Unknown()
        _log.warning("telegram.send_refused", error=name)
        return Refused(SendReason.REFUSED, closes_chat=False)

    def _known_peer(self, client: InboxClient | None, peer_id: int, access_hash: int | None) -> Any | None:
        if client is None or self._me is None:
            return None
        if access_hash is None:
            access_hash = client.entities.get(peer_id)
        if access_hash is None and self._me.bot:
            access_hash = 0  # a bot may name a person who wrote to it without the hash
        return None if access_hash is None else input_peer(peer_id, access_hash)

    async def _peer(self, client: InboxClient, row: OutboxRow) -> Any | None:
        """The peer of a row. A message in short form brought no hash: Telegram tells it together with the message.

        Raises:
            errors.RPCError, TimeoutError, OSError: it could not be asked for.
        """
        known = self._known_peer(client, row.peer_id, row.access_hash)
        message_id = row.reply_to_message_id or message_of(row.cause)
        if message_id is not None and message_id < 0:
            message_id = None  # of the group that became this supergroup: Telegram knows it by no such number
        if known is not None:
            return known
        access_hash = await client.stored_hash(row.peer_id)
        if access_hash is not None or message_id is None:
            return self._known_peer(client, row.peer_id, access_hash)
        request = functions.messages.GetMessagesRequest([types.InputMessageID(message_id)])
        answer = await client.ask(request, SEND_SECONDS)
        client.entities.learn([*answer.users, *answer.chats])
        return self._known_peer(client, row.peer_id, None)


def _input_reply(reply_to: int | None, topic_id: int | None) -> Any | None:
    """To stand in a topic without answering a message of it is to answer its first one (https://core.telegram.org/api/forum)."""
    if reply_to is None:
        return None
    return types.InputReplyToMessage(reply_to, top_msg_id=topic_id if topic_id != reply_to else None)


def message_of(cause: str) -> int | None:
    """The message that caused a row ("reply:17"); None: none did."""
    tail = cause.rpartition(":")[2]
    return int(tail) if tail.isascii() and tail.removeprefix("-").isdigit() else None


def sent_message_id(answer: Any, random_id: int) -> int | None:
    """The id of the message that was sent, from the answer to sendMessage; None: the answer does not say.

    Source: https://core.telegram.org/api/updates -- a short answer is the message itself; a long one names the random id.
    """
    if isinstance(answer, types.UpdateShortSentMessage):
        return int(answer.id)
    for update in getattr(answer, "updates", None) or ():
        if isinstance(update, types.UpdateMessageID) and update.random_id == random_id:
            return int(update.id)
    return None
