"""Promises of a bot's menu: Telegram is told once, and what hinders that is tried again though the connection stays."""

import asyncio
from collections.abc import Iterable

import pytest

from botfleet.store.errors import StoreUnavailable
from botrunner.conversation import menu
from botrunner.conversation.menu import AGAIN_SECONDS, LONGEST_AGAIN_SECONDS, MENU, keep_shown
from tests.waiting import DEADLINE


class Telegram:
    """Takes the commands, or not, as a test says."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.told: list[tuple[tuple[str, str], ...]] = []

    async def show_commands(self, commands: Iterable[tuple[str, str]]) -> bool:
        self.told.append(tuple(commands))
        return self.answers.pop(0)


class Store:
    """Remembers; `away` times it does not."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.digest: str | None = None

    async def commands_digest(self) -> str | None:
        return self.digest

    async def set_commands_digest(self, digest: str) -> None:
        self.away -= 1
        if self.away >= 0:
            raise StoreUnavailable("away")
        self.digest = digest


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest that each may take; over at once, and no new connection has come."""
    made: list[float] = []

    async def set_within(_event: asyncio.Event, seconds: float) -> bool:
        made.append(seconds)
        return False

    monkeypatch.setattr(menu, "set_within", set_within)
    monkeypatch.setattr(menu, "backoff", lambda attempt, *, first, longest: min(longest, first * 2 ** (attempt - 1)))
    return made


async def kept(store: Store, telegram: Telegram) -> None:
    """One connection, which stays."""
    connected = asyncio.Event()
    connected.set()
    await asyncio.wait_for(keep_shown(store, telegram, connected), DEADLINE)


async def test_what_telegram_takes_at_once_is_said_once_over_all_runs(pauses: list[float]) -> None:
    store, telegram = Store(), Telegram(True)
    await kept(store, telegram)
    await kept(store, telegram)
    assert telegram.told == [MENU]
    assert pauses == []


async def test_what_hinders_is_tried_again_while_the_connection_stays_and_rarer_each_time(pauses: list[float]) -> None:
    telegram = Telegram(*[False] * 9, True)
    await kept(Store(), telegram)
    assert telegram.told == [MENU] * 10
    assert pauses[:3] == [AGAIN_SECONDS, 2 * AGAIN_SECONDS, 4 * AGAIN_SECONDS]
    assert pauses[-1] == LONGEST_AGAIN_SECONDS


async def test_a_store_that_is_away_once_telegram_was_told_makes_nobody_tell_it_again(pauses: list[float]) -> None:
    store, telegram = Store(away=2), Telegram(True)
    await kept(store, telegram)
    assert telegram.told == [MENU]
    assert store.digest is not None
    assert len(pauses) == 2


async def test_a_new_connection_ends_the_pause() -> None:
    telegram, connected = Telegram(False, True), asyncio.Event()
    keeping = asyncio.create_task(keep_shown(Store(), telegram, connected))
    async with asyncio.timeout(DEADLINE):
        while telegram.answers:
            connected.set()
            await asyncio.sleep(0)
        await keeping
    assert telegram.told == [MENU] * 2
