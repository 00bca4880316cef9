"""Every way in which a file may not come is an outcome; the message is asked for anew, and nothing goes past the lease or a bound."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from telethon import errors as telethon_errors
from telethon.errors import rpc_message_to_error
from telethon.tl import functions, types

from botfleet.store.rows import InboxRow
from botrunner.ownership.cutoff import LeaseOverError
from botrunner.telegram.entities import Entities
from botrunner.telegram.files import Fetched, Files, NotNow, Unread
from botrunner.telegram.sender import Sender
from tests.unit.botrunner.telegram.test_attachments import VOICE, document, message

AT = datetime(2026, 1, 2, tzinfo=UTC)
CHANNEL = -1000000002001
DATA = b"x" * 5000


def error(name: str) -> Exception:
    return rpc_message_to_error(SimpleNamespace(error_code=400, error_message=name), None)


class Pieces:
    """As Telethon's iterator of a download."""

    def __init__(self, pieces: list[Any]) -> None:
        self._pieces, self.closed = pieces, False

    async def __aenter__(self) -> "Pieces":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, BaseException):
                raise piece
            if piece is None:
                await asyncio.Event().wait()
            yield piece


class Client:
    """Has one message; each download says the next thing."""

    def __init__(self, *downloads: list[Any], found: Any = None) -> None:
        self.downloads = [Pieces(pieces) for pieces in downloads]
        self.begun: list[Pieces] = []
        self.began = asyncio.Event()
        self.found = document(VOICE) if found is None else found
        self.requests: list[Any] = []
        self.entities = Entities()
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def stored_hash(self, peer_id: int) -> int | None:
        return 99

    async def ask(self, request: Any, deadline: float) -> Any:
        self.requests.append(request)
        if isinstance(self.found, BaseException):
            raise self.found
        return SimpleNamespace(messages=[self.found])

    def iter_download(self, location: Any, **options: Any) -> Pieces:
        self.begun.append(self.downloads.pop(0))
        self.began.set()
        return self.begun[-1]

    def fail(self, error: BaseException) -> None:
        self.failed.set_result(error)


def row(peer_id: int = 5) -> InboxRow:
    return InboxRow(peer_id, 1, 5, None, "", AT, None, None, None, "t", AT, "pending", None)


async def fetch(client: Client, peer_id: int = 5, most: int = 10_000) -> Any:
    sender = Sender()
    sender.attach(client, None)  # type: ignore[arg-type]
    return await Files(sender).fetch(row(peer_id), most)


async def test_a_file_comes_whole_in_pieces() -> None:
    client = Client([DATA[:4096], DATA[4096:]])
    assert await fetch(client) == Fetched(DATA)
    assert isinstance(client.requests[0], functions.messages.GetMessagesRequest)
    assert client.begun[0].closed
    assert "xxx" not in repr(Fetched(DATA))


async def test_a_message_of_a_channel_is_asked_for_in_its_channel() -> None:
    there = document(VOICE)
    there.peer_id = types.PeerChannel(2001)
    client = Client([DATA], found=there)
    assert await fetch(client, CHANNEL) == Fetched(DATA)
    assert isinstance(client.requests[0], functions.channels.GetMessagesRequest)
    assert client.requests[0].channel.access_hash == 99


async def test_a_reference_that_has_expired_is_cured_once_by_asking_for_the_message_again() -> None:
    client = Client([error("FILE_REFERENCE_EXPIRED")], [DATA])
    assert await fetch(client) == Fetched(DATA)
    assert len(client.requests) == 2
    assert await fetch(Client(*[[error("FILE_REFERENCE_EXPIRED")]] * 2)) is Unread.REFUSED


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (types.MessageEmpty(1, None), Unread.GONE),
        (message(None), Unread.GONE),
        (document(VOICE, size=10_001), Unread.TOO_LARGE),
    ],
)
async def test_what_is_gone_or_too_large_is_not_fetched(found: Any, outcome: Unread) -> None:
    assert await fetch(Client(found=found)) is outcome


async def test_what_is_another_chats_message_is_none_of_this_one() -> None:
    assert await fetch(Client(), peer_id=6) is Unread.GONE


async def test_more_than_the_file_has_is_left_where_it_is() -> None:
    client = Client([DATA, b"y", None])
    assert await fetch(client) is Unread.TOO_LARGE
    assert client.begun[0].closed


@pytest.mark.parametrize(
    ("problem", "outcome"),
    [
        (error("FLOOD_WAIT_17"), NotNow(17)),
        (error("RPC_CALL_FAIL"), NotNow()),
        (error("LOCATION_INVALID"), Unread.REFUSED),
        (ConnectionError("gone"), NotNow()),
        (TimeoutError(), NotNow()),
        (LeaseOverError("over"), NotNow()),
        (telethon_errors.AuthKeyNotFound(), NotNow()),
        (asyncio.CancelledError(), NotNow()),
    ],
    ids=repr,
)
async def test_every_error_is_an_outcome(problem: BaseException, outcome: Any) -> None:
    assert await fetch(Client([problem])) == outcome


async def test_an_account_that_is_lost_ends_the_client() -> None:
    client = Client(found=error("SESSION_REVOKED"))
    assert await fetch(client) == NotNow()
    assert client.failed.done()


async def test_a_connection_that_ends_ends_the_waiting() -> None:
    client = Client([None])
    fetching = asyncio.create_task(fetch(client))
    await client.began.wait()
    client.fail(ConnectionError("cut"))
    assert await fetching == NotNow()


async def test_without_a_connection_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botrunner.telegram.files.ASK_SECONDS", 0.01)
    assert await Files(Sender()).fetch(row(), 10) == NotNow()
