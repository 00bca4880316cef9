"""A model and a Telegram that say what a test tells them, and a store that stops at any step."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from botfleet.store.rows import OutboxRow, Spending
from botrunner.model.provider import Answer, ChatMessage, NoAnswer
from botrunner.telegram.sender import Outcome, Sent
from tests.waiting import DEADLINE


def turn_of(prompt: Sequence[ChatMessage]) -> list[str]:
    """What was said since the bot spoke last."""
    turn: list[str] = []
    for message in prompt[1:]:
        turn = [] if message["role"] == "assistant" else [*turn, message["content"]]
    return turn


@dataclass
class FakeModel:
    """Answers by naming what was said since its last answer; `go` keeps answers back, `fail` failures, which come first."""

    failures: list[NoAnswer] = field(default_factory=list)
    says: Callable[[list[str]], str] = lambda turn: "re: " + " ".join(turn)
    turns: list[list[str]] = field(default_factory=list)
    prompts: list[list[str]] = field(default_factory=list)
    asked_with: list[Sequence[ChatMessage]] = field(default_factory=list)
    cheaply: list[list[str]] = field(default_factory=list)
    spent: tuple[Spending, ...] = ()
    busy: int = 0
    most_busy: int = 0

    def __post_init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.fail = asyncio.Event()
        self.fail.set()
        self.asked = asyncio.Condition()

    async def answer_cheaply(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        self.cheaply.append(turn_of(messages))
        return await self.answer(messages)

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        turn = turn_of(messages)
        self.prompts.append([message["content"] for message in messages])
        self.asked_with.append(messages)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            async with self.asked:
                self.turns.append(turn)
                self.asked.notify_all()
            if self.failures:
                await self.fail.wait()
                return self.failures.pop(0)
            await self.go.wait()
            return Answer(self.says(turn), cut_off=False, input_tokens=1, output_tokens=1, spent=self.spent)
        finally:
            self.busy -= 1

    async def wait_asked(self, times: int) -> None:
        async with asyncio.timeout(DEADLINE), self.asked:
            await self.asked.wait_for(lambda: len(self.turns) >= times)


@dataclass
class FakeTelegram:
    """A sender, and behind it a Telegram that takes each random_id once. `outcomes` come first, without a delivery."""

    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    delivered: dict[int, list[str]] = field(default_factory=dict)
    sends: list[tuple[int, int]] = field(default_factory=list)
    known: dict[int, tuple[str, Any]] = field(default_factory=dict)
    formatting: list[Any] = field(default_factory=list)
    shown: list[tuple[Any, ...]] = field(default_factory=list)
    shows: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self.connected = asyncio.Event()
        self.connected.set()
        self.go = asyncio.Event()
        self.go.set()
        self.changed = asyncio.Condition()

    async def wait_connected(self) -> None:
        await self.connected.wait()

    async def send(self, row: OutboxRow) -> Outcome:
        self.sends.append((row.peer_id, row.random_id))
        await self._tell()
        await self.go.wait()
        if self.outcomes.get(row.peer_id):
            return self.outcomes[row.peer_id].pop(0)
        if row.random_id in self.known:
            same = (row.text, row.entities)
            assert self.known[row.random_id] == same, "one random_id, two texts: the second would never arrive"
            return Sent(None)
        self.known[row.random_id] = (row.text, row.entities)
        self.formatting.append(row.entities)
        self.delivered.setdefault(row.peer_id, []).append(row.text)
        await self._tell()
        return Sent(1000 + len(self.known))

    async def typing(self, peer_id: int, access_hash: int | None, topic_id: int | None = None) -> None:
        await self._show("typing", peer_id, *([] if topic_id is None else [topic_id]))

    async def mark_read(self, peer_id: int, access_hash: int | None, message_id: int) -> None:
        await self._show("read", peer_id, message_id)

    async def _show(self, *what: Any) -> None:
        self.shown.append(what)
        await self._tell()
        if self.shows is not None:
            await self.shows()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self.changed:
            await self.changed.wait_for(condition)


class Steps:
    """Counts the calls that leave the program and stumbles at one of them, before or after its effect."""

    def __init__(self, at: int | None = None, *, after: bool = False, error: Exception | None = None) -> None:
        self.at, self.after, self.error = at, after, error
        self.names: list[str] = []
        self.stopped = asyncio.Event()

    async def take(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.names.append(name)
        if len(self.names) - 1 != self.at:
            return await call()
        if self.after:
            await call()
        if self.error is not None:
            raise self.error
        self.stopped.set()
        return await asyncio.Event().wait()  # killed here: nothing comes after


class Stumbling:
    """Any object whose async methods are steps."""

    def __init__(self, of: Any, steps: Steps) -> None:
        self._of, self._steps = of, steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._of, name)

        async def step(*args: Any, **named: Any) -> Any:
            return await self._steps.take(name, lambda: method(*args, **named))

        return step
