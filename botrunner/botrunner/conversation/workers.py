"""Why: one task a chat, never two, and never more than a bound of them; what does not fit is looked for again in the store.

It knows nothing of what a worker does. Nothing lives only here: a chat is found again by `look`, so a poke may be left out.
When all places are taken by chats that wait, some more are heard in passing: a chat that needs a place then leaves, and comes back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from botfleet.store.errors import StoreUnavailable
from botrunner.backoff import backoff

log = structlog.get_logger()

Work = Callable[[int, asyncio.Event], Awaitable[None]]
Look = Callable[[int | None], Awaitable[list[int]]]

AT_ONCE = 500  # chats with a worker that may wait; a task with a store's rows in hand costs a few kilobytes
PASSING = 20  # chats besides them whose workers may not wait; half of these places are kept for those that poke
LOOK_SECONDS = 60.0  # also unasked: what was stored while nobody listened is found without waiting for a reconnect


class Workers:
    """The tasks of one kind of work. `run` owns them; `poke` says that a chat has something to do."""

    def __init__(self, name: str, work: Work, look: Look, *, at_once: int = AT_ONCE, passing: int = 0) -> None:
        """Args:
        work: serves one chat until nothing is left; its event is set by each poke.
        look: a page of the chats above the given one that have something to do, in order.
        passing: so many more workers there may be. They ask `may_wait` before they wait for anything but the store.
        """
        self._name, self._work, self._find = name, work, look
        self._at_once, self._passing = at_once, passing
        self._poked: dict[int, asyncio.Event] = {}
        self._placed: set[int] = set()
        self._last: int | None = None  # of those found, the last that got a place: the next look goes on after it
        self._room = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._closed = False
        self._left_out = False
        self._look = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def poke(self, peer_id: int) -> bool:
        """There is something to do in this chat. False: no room (or no `run`) now; it is looked for again."""
        if self._begin(peer_id, self._passing):
            return True
        if self._passing:
            self._look.set()  # in passing there is room in a moment, and a look waits for that
        else:
            self._left_out = True
        return False

    def poke_all(self, peer_ids: Iterable[int]) -> None:
        """As `poke`, for several."""
        for peer_id in peer_ids:
            self.poke(peer_id)

    def may_wait(self, peer_id: int) -> bool:
        """For a worker that has to wait, for however long. False: there is no room for that. It is to end then; its chat is
        looked for again when half of the places are free."""
        if peer_id not in self._placed and len(self._placed) >= self._at_once:
            self._left_out = True
            return False
        self._placed.add(peer_id)
        return True

    def close(self) -> None:
        """No chat gets a worker any more; those at work are poked."""
        self._closed = True
        for event in self._poked.values():
            event.set()

    async def idle(self) -> None:
        """Wait until no worker is at work."""
        await self._idle.wait()

    def look_again(self) -> None:
        """Some chats may have something to do of which nobody has told."""
        self._look.set()

    async def run(self) -> None:
        """Serve what a former run left, then what comes, until cancelled.

        Raises:
            ExceptionGroup: what a worker raised.
        """
        async with asyncio.TaskGroup() as self._tasks:
            try:
                await self._look_and_serve()
            finally:
                self._closed = True  # a group that ends takes no task any more

    async def _look_and_serve(self) -> None:
        failures = 0
        while True:
            self._look.clear()
            try:
                await self._poke_found()
            except StoreUnavailable:
                failures += 1
                log.warning("store_unavailable", work=self._name, failures=failures)
                await asyncio.sleep(backoff(failures, first=0.5, longest=5))
                continue
            failures = 0
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _poke_found(self) -> None:
        """Each chat that has something to do, once, in order, beginning where the places ended the last time: however many
        chats have more to do all the time, each has its turn."""
        first = after = self._last
        around = first is None
        while not self._closed:
            peer_ids = await self._find(after)
            for peer_id in peer_ids:
                if around and first is not None and peer_id > first:
                    return
                if not await self._begin_found(peer_id):
                    return
            if peer_ids:
                after = peer_ids[-1]
            elif around:
                return
            else:
                around, after = True, None

    async def _begin_found(self, peer_id: int) -> bool:
        """Waits for room in passing, which never lasts. False: there is no such room."""
        new = peer_id not in self._poked
        while not self._begin(peer_id, (self._passing + 1) // 2):
            if not self._passing or self._closed:
                self._left_out = True
                return False
            self._room.clear()
            await self._room.wait()
        if new and peer_id in self._placed:
            self._last = peer_id
        return True

    def _begin(self, peer_id: int, passing: int) -> bool:
        """Pokes the chat's worker, or makes one: with a place, else in passing, if fewer than `passing` are there."""
        event = self._poked.get(peer_id)
        if event is not None:
            event.set()
            return True
        if self._tasks is None or self._closed:
            return False
        if len(self._placed) < self._at_once:
            self._placed.add(peer_id)
        elif len(self._poked) - len(self._placed) >= passing:
            return False
        event = self._poked[peer_id] = asyncio.Event()
        self._idle.clear()
        self._tasks.create_task(self._serve(peer_id, event), name=self._name)
        return True

    async def _serve(self, peer_id: int, poked: asyncio.Event) -> None:
        structlog.contextvars.bind_contextvars(peer_id=peer_id)  # of this task; logs.py makes a mark of it
        try:
            await self._work(peer_id, poked)
        except Exception:
            self._closed = True  # the group ends with this
            raise
        finally:
            del self._poked[peer_id]
            self._placed.discard(peer_id)
            self._room.set()
            if self._left_out and len(self._placed) <= self._at_once // 2:
                self._left_out = False
                self._look.set()
            if not self._poked:
                self._idle.set()
