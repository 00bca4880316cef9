"""Promises of the workers: never more than the bound, each chat has its turn, and nobody's wait keeps another from being heard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from botrunner.conversation.workers import Workers
from tests.waiting import DEADLINE, until


class Chats:
    """What a store knows: who has something to do, a page at a time."""

    def __init__(self, *peer_ids: int, page: int = 2) -> None:
        self.due, self.page = set(peer_ids), page

    async def look(self, after: int | None) -> list[int]:
        return sorted(peer_id for peer_id in self.due if after is None or peer_id > after)[: self.page]


@contextlib.asynccontextmanager
async def at_work(workers: Workers) -> AsyncIterator[None]:
    running = asyncio.create_task(workers.run())
    try:
        async with asyncio.timeout(DEADLINE):
            yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Crowd:
    """Chats that wait for `go` if they may; what is heard of each is noted, and the most workers that there were."""

    def __init__(self, chats: Chats, at_once: int, passing: int) -> None:
        self.chats, self.go = chats, asyncio.Event()
        self.heard: list[int] = []
        self.served: list[int] = []
        self.most = 0
        self.workers = Workers("test", self._work, chats.look, at_once=at_once, passing=passing)

    async def _work(self, peer_id: int, _poked: asyncio.Event) -> None:
        self.most = max(self.most, len(self.workers._poked))
        self.heard.append(peer_id)
        await asyncio.sleep(0)  # a look into the store
        if self.workers.may_wait(peer_id):
            await self.go.wait()
            self.chats.due.discard(peer_id)
            self.served.append(peer_id)


async def test_while_all_places_wait_everybody_else_is_heard_in_passing_and_never_more_than_the_bound_at_once() -> None:
    crowd = Crowd(Chats(*range(1, 31)), at_once=3, passing=4)
    async with at_work(crowd.workers):
        await until(lambda: set(crowd.heard) == crowd.chats.due)
        assert sorted(crowd.heard) == sorted(crowd.chats.due), "each once"
        crowd.chats.due.add(99)
        assert crowd.workers.poke(99)
        await until(lambda: 99 in crowd.heard)
        assert crowd.served == []
    assert crowd.most <= 3 + 4


async def test_who_was_heard_in_passing_gets_a_place_when_there_are_some() -> None:
    crowd = Crowd(Chats(*range(1, 8)), at_once=2, passing=2)
    async with at_work(crowd.workers):
        await until(lambda: set(crowd.heard) == crowd.chats.due)
        crowd.go.set()
        await until(lambda: not crowd.chats.due)
    assert sorted(crowd.served) == list(range(1, 8))


async def test_who_pokes_when_nobody_else_can_even_be_heard_is_heard_in_a_moment() -> None:
    store = asyncio.Event()
    chats = Chats(1)
    heard: list[int] = []

    async def work(peer_id: int, _poked: asyncio.Event) -> None:
        heard.append(peer_id)
        await (asyncio.Event() if workers.may_wait(peer_id) else store).wait()
        chats.due.discard(peer_id)

    workers = Workers("test", work, chats.look, at_once=1, passing=1)
    async with at_work(workers):
        await until(lambda: heard == [1])
        chats.due |= {2, 3}
        assert [workers.poke(peer_id) for peer_id in (2, 3)] == [True, False]
        await until(lambda: heard == [1, 2])
        store.set()
        await until(lambda: heard == [1, 2, 3])


async def test_each_chat_has_its_turn_though_others_have_more_to_do_all_the_time() -> None:
    chats = Chats(*range(1, 8), page=3)
    served: list[int] = []
    go = asyncio.Event()

    async def work(peer_id: int, _poked: asyncio.Event) -> None:
        await go.wait()
        served.append(peer_id)

    workers = Workers("test", work, chats.look, at_once=2)
    async with at_work(workers):
        go.set()
        await until(lambda: set(served) == chats.due)
