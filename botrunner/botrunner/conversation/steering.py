"""Why: what a command does, and what is said to it. Each may be done again after a kill: it ends in the same state.

It holds whether the bot is paused, as the store has it: the lease makes this runner the only one that changes it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from botfleet.effective import EffectiveSpec
from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow
from botrunner.conversation import texts
from botrunner.conversation.access import person_of
from botrunner.conversation.commands import ADMINS, EVERYBODYS, Command, Reply, Told, listed, minutes_of, peer_of
from botrunner.conversation.knowing import obey_facts
from botrunner.conversation.patience import surely
from botrunner.metrics import Metrics

log = structlog.get_logger()


@dataclass
class Board:
    """What /status tells of this run, besides the store. None: not now, or not since the start."""

    connected_since: datetime | None = None
    last_reply_at: datetime | None = None


class Steering:
    """Obeys commands. `resumed` is called when the bot answers again after a pause."""

    def __init__(self, path: MessagePath, spec: EffectiveSpec, metrics: Metrics, board: Board | None = None) -> None:
        self._path, self._spec, self._metrics, self._board = path, spec, metrics, board or Board()
        self.paused = False
        """Whether the bot answers nobody, until an admin says /resume."""
        self.resumed: Callable[[], None] = lambda: None
        self._does: dict[Command, Callable[[InboxRow, tuple[str, ...]], Awaitable[Reply]]] = {
            Command.START: self._start,
            Command.STOP: self._stop,
            Command.FORGET: self._forget,
            Command.HELP: self._help,
            Command.STATUS: self._status,
            Command.PAUSE: self._pause,
            Command.RESUME: self._resume,
            Command.BLOCK: self._block,
            Command.UNBLOCK: self._unblock,
            Command.TAKE: self._take,
            Command.RELEASE: self._release,
            Command.FACTS: self._facts,
        }

    async def load(self) -> None:
        """As a former run left it; waits for the store."""
        self._set_paused(await surely(self._path.paused_at) is not None)

    def is_admin(self, person_id: int) -> bool:
        """Whether this person may steer the bot."""
        return person_id in self._spec.admins

    def holds(self, peer_id: int) -> bool:
        """Whether what is to be said in this chat waits for the end of a pause. Admins are told what they ask."""
        return self.paused and not self.is_admin(peer_id)

    async def obey(self, row: InboxRow, told: Told) -> Reply:
        """Do it, and say what to answer.

        Raises:
            StoreUnavailable: it may have been done.
        """
        return await self._does[told.command](row, told.words)

    async def _start(self, row: InboxRow, _: tuple[str, ...]) -> Reply:
        await self._path.opt_in(person_of(row.peer_id, row.sender_id))
        return Reply(texts.STARTED, discloses=True)

    async def _stop(self, row: InboxRow, _: tuple[str, ...]) -> Reply:
        await self._path.opt_out(person_of(row.peer_id, row.sender_id))
        return Reply(texts.STOPPED)

    async def _forget(self, row: InboxRow, _: tuple[str, ...]) -> Reply:
        await self._path.forget(row.peer_id, row.message_id)
        return Reply(texts.FORGOTTEN)

    async def _help(self, row: InboxRow, _: tuple[str, ...]) -> Reply:
        return Reply(texts.HELP + listed(EVERYBODYS | ADMINS if self.is_admin(row.peer_id) else EVERYBODYS), True)

    async def _status(self, _row: InboxRow, _: tuple[str, ...]) -> Reply:
        counts, paused = await self._path.counts(), await self._path.paused_at()
        since, replied = self._board.connected_since, self._board.last_reply_at
        lines = [
            f"Connected since {texts.at(since)}." if since else "Not connected.",
            f"Paused since {texts.at(paused)}: /resume ends that." if paused else "Not paused.",
            f"Messages that wait for an answer: {counts.pending}. To be sent: {counts.outgoing}.",
            f"Last message sent: {texts.at(replied)}." if replied else "No message sent since I started.",
            f"Chats that a person has taken over: {counts.takeovers}.",
            f"Model: {self._spec.model.name}.",
        ]
        return Reply("\n".join(lines))

    async def _pause(self, row: InboxRow, _: tuple[str, ...]) -> Reply:
        await self._path.pause(row.peer_id)
        self._set_paused(True)
        return Reply(texts.PAUSED)

    async def _resume(self, _row: InboxRow, _: tuple[str, ...]) -> Reply:
        await self._path.resume()
        self._set_paused(False)
        self.resumed()
        return Reply(texts.RESUMED)

    async def _block(self, row: InboxRow, words: tuple[str, ...]) -> Reply:
        person_id = peer_of(words)
        if person_id is None:
            return Reply(texts.NOBODY)
        if self.is_admin(person_id):
            return Reply(texts.NOT_AN_ADMIN)
        await self._path.block(person_id, row.peer_id)
        return Reply(texts.blocked(person_id))

    async def _unblock(self, _row: InboxRow, words: tuple[str, ...]) -> Reply:
        person_id = peer_of(words)
        if person_id is None:
            return Reply(texts.NOBODY)
        await self._path.unblock(person_id)
        return Reply(texts.unblocked(person_id))

    async def _take(self, row: InboxRow, words: tuple[str, ...]) -> Reply:
        peer_id, minutes = peer_of(words), minutes_of(words, self._spec.conversation.takeover_minutes)
        if peer_id is None:
            return Reply(texts.NOBODY)
        if minutes is None:
            return Reply(texts.NO_TIME)
        # Counted from when it was said: done again after a kill, it ends at the same time.
        until = row.date + timedelta(minutes=minutes)
        await self._path.begin_takeover(peer_id, until, row.peer_id)
        return Reply(texts.taken(peer_id, until))

    async def _release(self, _row: InboxRow, words: tuple[str, ...]) -> Reply:
        peer_id = peer_of(words)
        if peer_id is None:
            return Reply(texts.NOBODY)
        return Reply(texts.released(peer_id) if await self._path.end_takeover(peer_id) else texts.NOT_TAKEN)

    async def _facts(self, row: InboxRow, words: tuple[str, ...]) -> Reply:
        return await obey_facts(self._path, row, words)

    def _set_paused(self, paused: bool) -> None:
        if paused != self.paused:
            log.info("paused" if paused else "resumed")
        self.paused = paused
        self._metrics.paused.set(paused)
