"""Codes to be scanned: new ones until one was, and a scan between two of them is not lost."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from telethon.tl import functions, types

from botrunner.telegram.scanning import CODES, LONGEST, SHORTEST, NotScannedError, good_for, link, scanned
from botrunner.telegram.types import ApiCredentials

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = SimpleNamespace(id=7)
pytestmark = pytest.mark.looptime


class Client:
    """Telethon's, as far as a scan needs it: answers the requests in turn."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.handlers: list[Callable[[object], Coroutine[Any, Any, None]]] = []

    async def __call__(self, request: object) -> object:
        self.asked.append(type(request).__name__)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def add_event_handler(self, handler: Callable[[object], Coroutine[Any, Any, None]], _: object) -> None:
        self.handlers.append(handler)

    def remove_event_handler(self, handler: Callable[[object], Coroutine[Any, Any, None]]) -> None:
        self.handlers.remove(handler)

    async def _switch_dc(self, number: int) -> None:
        self.asked.append(f"dc {number}")


def token(name: bytes) -> types.auth.LoginToken:
    return types.auth.LoginToken(datetime.now(UTC) + timedelta(seconds=30), name)


SUCCESS = types.auth.LoginTokenSuccess(SimpleNamespace(user=USER))


async def run(client: Client, shown: list[str], told_after: int | None = None) -> object:
    """`told_after`: Telegram tells of a scan while so many codes have been shown."""

    def show(what: str, _: float) -> None:
        shown.append(what)
        if len(shown) == told_after:
            asyncio.get_running_loop().call_later(1, lambda: asyncio.ensure_future(client.handlers[0](None)))

    async def step(what):
        return await what

    return await scanned(client, ApiCredentials(1, "hash"), show, step)


async def test_another_code_is_shown_when_one_is_over_until_one_is_scanned():
    client, shown = Client(token(b"one"), token(b"two"), SUCCESS), list[str]()
    began = asyncio.get_running_loop().time()
    assert await run(client, shown, told_after=2) is USER
    assert shown == [link(b"one"), link(b"two")]
    assert 29 < asyncio.get_running_loop().time() - began < 32
    assert client.handlers == []


async def test_a_scan_of_which_nobody_told_is_found_with_the_next_request():
    shown: list[str] = []
    assert await run(Client(token(b"one"), SUCCESS), shown) is USER
    assert len(shown) == 1


async def test_told_of_a_scan_that_let_nobody_in_the_next_code_is_shown_for_its_time():
    client, shown = Client(token(b"one"), token(b"two"), SUCCESS), list[str]()
    began = asyncio.get_running_loop().time()
    assert await run(client, shown, told_after=1) is USER
    assert asyncio.get_running_loop().time() - began > 29


async def test_an_account_of_another_data_center_is_followed_there():
    client = Client(types.auth.LoginTokenMigrateTo(4, b"moved"), SUCCESS)
    assert await run(client, []) is USER
    assert client.asked == [functions.auth.ExportLoginTokenRequest.__name__, "dc 4", "ImportLoginTokenRequest"]


async def test_codes_that_nobody_scans_come_to_an_end():
    shown: list[str] = []
    with pytest.raises(NotScannedError):
        await run(Client(token(b"same")), shown)
    assert len(shown) == CODES


@pytest.mark.parametrize(("seconds", "shown"), [(30, 30), (-900, SHORTEST), (900, LONGEST)])
def test_a_wrong_clock_neither_draws_codes_without_a_pause_nor_leaves_a_dead_one_standing(seconds: int, shown: float):
    assert good_for(NOW + timedelta(seconds=seconds), NOW) == shown
