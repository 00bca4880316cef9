"""Why: who waits for an answer sees that it was read and that it is being written. Company, never a condition: nothing here can
delay an answer or fail one, and nothing of it is stored.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol

import structlog

from botfleet.store.rows import InboxRow

log = structlog.get_logger()

TYPING_SECONDS = 5.0
"""Telegram shows it for six seconds, or until the message comes (https://core.telegram.org/method/messages.setTyping)."""


class Shows(Protocol):
    """What is needed of `telegram.sender.Sender`. Best effort, with deadlines of its own."""

    async def typing(self, peer_id: int, access_hash: int | None, topic_id: int | None = None) -> None:
        """Show that an answer is being written, in this topic."""

    async def mark_read(self, peer_id: int, access_hash: int | None, message_id: int) -> None:
        """Mark a chat as read up to a message; nothing happens for a bot account."""


class Presence:
    """Shows it from tasks of its own, which nobody waits for."""

    def __init__(self, shows: Shows, *, typing: bool) -> None:
        """`typing`: as the owner said; a message that is being answered counts as read all the same."""
        self._shows, self._typing = shows, typing
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def answering(self, newest: InboxRow, still: Callable[[], Awaitable[bool]]) -> Iterator[None]:
        """While a model writes: `newest` is the last message that it answers; `still`: whether the answer is still wanted."""
        self._start(self._shows.mark_read(newest.peer_id, newest.access_hash, newest.message_id))
        if not self._typing:
            yield
            return
        typing = self._start(self._type(newest, still))
        try:
            yield
        finally:
            typing.cancel()

    async def _type(self, newest: InboxRow, still: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await self._shows.typing(newest.peer_id, newest.access_hash, newest.topic_id)
            await asyncio.sleep(TYPING_SECONDS)
            if not await still():
                return

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="presence")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("presence_not_shown", error=type(error).__name__)
