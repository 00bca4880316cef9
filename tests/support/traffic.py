"""Why: people who go on writing whatever happens, and the receivers' count of what came of it."""

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field

from bench.kill.count import Verdict, judge, numbers_of, together
from botfleet_simulator.client.telegram import TelegramAdmin

PAUSE_SECONDS = 0.25
BACKLOG = 40  # in one chat, then nobody writes there: what is beyond 50 is skipped by policy, not lost
PATIENCE = 120.0


@dataclass
class Traffic:
    """Some chats with one bot; each message has a number of its own, each reply names those that it answers."""

    admin: TelegramAdmin
    username: str
    phones: list[str]
    pause: float = PAUSE_SECONDS
    """Seconds between two messages of one person."""
    sent: dict[str, list[int]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1001))
    _writing: "asyncio.Task[None] | None" = None
    _enough: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: dict[str, int] = field(default_factory=dict)
    _got: dict[str, list[int]] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def start(self) -> None:
        """From now on people write, until `stop` or `verdict`."""
        self._enough.clear()
        self._writing = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """Nobody writes any more. Raises what kept somebody from writing.

        Who is about to write does so first: a call given up half-way may have sent a number that is then nobody's.
        """
        writing, self._writing = self._writing, None
        self._enough.set()
        if writing is not None:
            await writing

    async def answered(self) -> None:
        """Until what was sent so far is answered. Raises TimeoutError."""
        sent = {phone: set(numbers) for phone, numbers in self.sent.items()}
        async with asyncio.timeout(PATIENCE):
            for phone, numbers in sent.items():
                while not numbers <= set(await self._named(phone)):  # noqa: ASYNC110 -- of another process
                    await asyncio.sleep(0.1)

    async def written(self, count: int) -> None:
        """Until every one has written so many more."""
        goal = {phone: len(self.sent.get(phone, ())) + count for phone in self.phones}
        async with asyncio.timeout(PATIENCE):
            while any(len(self.sent.get(phone, ())) < number for phone, number in goal.items()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def verdict(self) -> Verdict:
        """Once all is answered, and one more message of each: what would be said twice comes before its answer."""
        await self.stop()
        await self.answered()
        for phone in self.phones:
            await self._say(phone)
        await self.answered()
        return together([judge(numbers, await self._named(phone)) for phone, numbers in self.sent.items()])

    async def _write(self) -> None:
        for phone in itertools.cycle(self.phones):
            if len(self.sent.get(phone, ())) - len(set(await self._named(phone))) < BACKLOG:
                await self._say(phone)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self.pause / len(self.phones))
            if self._enough.is_set():
                return

    async def _say(self, phone: str) -> None:
        number = next(self._numbers)
        await self.admin.send_message(phone, self.username, f"message {number}")
        self.sent.setdefault(phone, []).append(number)

    async def _named(self, phone: str) -> list[int]:
        """The numbers of all replies so far; only those that are new are fetched."""
        async with self._reading:
            came = await self.admin.messages(phone, self.username, incoming=True, after_id=self._seen.get(phone, 0))
            known = self._got.setdefault(phone, [])
            if came:
                self._seen[phone] = came[-1].id
                known.extend(numbers_of(one.text for one in came))
            return known
