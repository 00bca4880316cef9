"""Why: fetches what a message carries, when it is answered. The message is asked for anew each time: references to files expire.

Bounded in bytes and in time. It never goes past the lease: every connection, also to another data center, is of the guarded kind.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog
from telethon import errors, utils
from telethon.tl import functions, types

from botfleet.store.rows import InboxRow
from botrunner.telegram.attachments import Source, source_of
from botrunner.telegram.client import InboxClient
from botrunner.telegram.entities import input_peer, is_channel
from botrunner.telegram.errors import ACCOUNT_LOST, is_passing, wait_seconds, wire_name
from botrunner.telegram.sender import Sender

_log = structlog.get_logger(__name__)

ASK_SECONDS = 20.0
FETCH_SECONDS = 60.0
PIECE_BYTES = 128 * 1024


class Unread(StrEnum):
    """Why what a message carries cannot be read, now or later; for a metric."""

    GONE = "gone"
    TOO_LARGE = "too_large"
    REFUSED = "refused"


@dataclass(frozen=True)
class Fetched:
    """The bytes."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class NotNow:
    """The network's trouble, or Telegram's. `seconds`: how long Telegram wants us to wait; 0: it does not say."""

    seconds: int = 0


class _TooMuchError(Exception):
    """There came more than the file's size."""


class Files:
    """Fetches through whatever client sends now; lives as long as the runner."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def fetch(self, row: InboxRow, most: int) -> Fetched | Unread | NotNow:
        """What a message carries, at most so many bytes. Never raises what Telegram or the network does."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._sender.wait_connected(), ASK_SECONDS)
        client = self._sender.client
        if client is None:
            return NotNow()
        try:
            return await self._fetch(client, row, most)
        except _TooMuchError:
            return Unread.TOO_LARGE
        except errors.RPCError as error:
            return _outcome(client, error)
        except (errors.AuthKeyNotFound, OSError):  # time-outs and the end of the lease too
            return NotNow()

    async def _fetch(self, client: InboxClient, row: InboxRow, most: int) -> Fetched | Unread | NotNow:
        for attempt in (1, 2):
            message = await _message(client, row)
            if message is None:
                return Unread.GONE
            source = source_of(message, most)
            if source is None:
                return Unread.TOO_LARGE if source_of(message, 2**63) else Unread.GONE
            try:
                return Fetched(await _isolated(client, source))
            except errors.RPCError as error:
                if attempt == 2 or not wire_name(error).startswith("FILE_REFERENCE_"):
                    raise
        raise AssertionError("unreachable")


async def _message(client: InboxClient, row: InboxRow) -> Any | None:
    """The message as it is now; None: it is gone."""
    wanted = [types.InputMessageID(row.message_id)]
    if is_channel(row.peer_id):
        known = row.access_hash if row.access_hash is not None else client.entities.get(row.peer_id)
        if known is None:
            known = await client.stored_hash(row.peer_id)
        peer = input_peer(row.peer_id, known or 0)
        channel = types.InputChannel(peer.channel_id, peer.access_hash)
        answer = await client.ask(functions.channels.GetMessagesRequest(channel, wanted), ASK_SECONDS)
    else:
        answer = await client.ask(functions.messages.GetMessagesRequest(wanted), ASK_SECONDS)
    for message in answer.messages:
        if isinstance(message, types.Message) and utils.get_peer_id(message.peer_id) == row.peer_id:
            return message
    return None


async def _isolated(client: InboxClient, source: Source) -> bytes:
    """In a task of its own: Telethon cancels what waits for it when its connection ends, and that must end nothing else.

    Raises:
        errors.RPCError, OSError, _TooMuchError.
    """
    task = asyncio.get_running_loop().create_task(_download(client, source), name="media")
    try:
        ends: list[asyncio.Future[Any]] = [task, client.failed]
        await asyncio.wait(ends, timeout=FETCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() or task.cancelled():
            raise ConnectionError("the file did not come")
        return task.result()
    finally:
        task.cancel()


async def _download(client: InboxClient, source: Source) -> bytes:
    data = bytearray()
    pieces = client.iter_download(source.location, request_size=PIECE_BYTES, dc_id=source.data_center)
    async with pieces:
        async for piece in pieces:
            data += piece
            if len(data) > source.size:
                raise _TooMuchError
    return bytes(data)


def _outcome(client: InboxClient, error: errors.RPCError) -> Unread | NotNow:
    seconds = wait_seconds(error)
    if seconds or is_passing(error):
        return NotNow(seconds)
    name = wire_name(error)
    if name in ACCOUNT_LOST:
        client.fail(error)
        return NotNow()
    _log.warning("telegram.file_refused", error=name)
    return Unread.REFUSED
