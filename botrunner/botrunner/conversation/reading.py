"""Why: before a turn is answered, its voice messages are heard and its pictures fetched, where the owner wants that.

What was heard is stored at once, with its cost: a kill pays for nothing twice. What cannot be read is noted as that, and the turn
is decided anew. Pictures are held for one question, few at a time; nothing of them is stored.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import structlog

from botfleet.model import Model
from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow, Spending
from botrunner.conversation import media
from botrunner.conversation.media import Use, use_of
from botrunner.conversation.patience import surely
from botrunner.metrics import Metrics
from botrunner.model.messages import Picture
from botrunner.model.provider import Failure, NoAnswer
from botrunner.model.transcription import Heard
from botrunner.telegram.files import Fetched, NotNow, Unread

log = structlog.get_logger()

AT_ONCE = 2  # turns with pictures, and voice messages: what their bytes need has a bound, however many chats there are
TRIES = 3
_REMEMBERED = 1000

Pictures = list[Picture | None]
"""Beside the messages of a turn."""


class Fetches(Protocol):
    """What is needed of `telegram.files.Files`."""

    async def fetch(self, row: InboxRow, most: int) -> Fetched | Unread | NotNow:
        """What a message carries."""


class Hears(Protocol):
    """What is needed of `model.transcription.Transcriber`."""

    async def hear(self, data: bytes, kind: str | None) -> Heard | NoAnswer:
        """What is said in it."""


class Reading:
    """Reads what the messages of one account carry."""

    def __init__(
        self,
        path: MessagePath,
        model: Model,
        metrics: Metrics,
        files: Fetches | None,
        hears: Hears | None,
    ) -> None:
        """`files`, `hears` None: nothing is read."""
        self._path, self._model, self._metrics = path, model, metrics
        self._files, self._hears = files, hears
        self._seeing, self._hearing = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)
        self._tries: OrderedDict[tuple[int, int], int] = OrderedDict()

    def use(self, row: InboxRow) -> Use | None:
        """What is to be done with what a message carries, before it is answered."""
        found = None if self._files is None else use_of(row.media, row.words, self._model)
        return None if found is Use.HEAR and self._hears is None else found

    @contextlib.asynccontextmanager
    async def of(self, turn: Sequence[InboxRow]) -> AsyncIterator[Pictures | NoAnswer | None]:
        """The pictures of a turn, until the block ends. NoAnswer: not now. None: something was noted, decide anew."""
        voice = next((row for row in turn if self.use(row) is Use.HEAR), None)
        if voice is not None:
            # One at a time: each is paid for, and before the next one the budget is asked again.
            async with self._hearing:
                missing = await self._hear(voice)
            yield missing
        elif any(self.use(row) is Use.SEE for row in turn):
            async with self._seeing:
                yield await self._look(turn)
        else:
            yield [None] * len(turn)

    async def refused(self, turn: Sequence[InboxRow]) -> None:
        """No model takes the pictures of this turn."""
        for row in turn:
            if self.use(row) is Use.SEE:
                await self._note(row, "")

    async def _hear(self, row: InboxRow) -> NoAnswer | None:
        assert self._files is not None and self._hears is not None and row.media is not None  # noqa: S101 -- `use` says so
        fetched = await self._files.fetch(row, media.most_sound(self._model))
        if not isinstance(fetched, Fetched):
            return await self._not_fetched(row, "voice", fetched)
        heard = await self._hears.hear(fetched.data, row.media.get("type"))
        if isinstance(heard, NoAnswer):
            log.warning("transcription_failed", reason=heard.failure.value, trace_id=row.trace_id)
            if heard.failure.passes and not self._was_last_try(row):
                return heard
            await self._give_up(row, "voice", heard.failure.value, heard.spent)
            return None
        for direction, count in (("input", heard.spent.input_tokens), ("output", heard.spent.output_tokens)):
            self._metrics.tokens.labels(direction).inc(count)
        self._metrics.media.labels("voice", "read" if heard.text else "empty").inc()
        await self._note(row, heard.text, (heard.spent,))
        return None

    async def _look(self, turn: Sequence[InboxRow]) -> Pictures | NoAnswer | None:
        """The newest first: what is too many or too much is left out, and its words are read."""
        assert self._files is not None  # noqa: S101 -- `use` says so
        room, changed = max(media.TURN_BYTES, self._model.max_image_bytes), False
        pictures: Pictures = [None] * len(turn)
        for place in reversed(
            [place for place, row in enumerate(turn) if self.use(row) is Use.SEE][-media.MOST_PICTURES :]
        ):
            row = turn[place]
            fetched = await self._files.fetch(row, self._model.max_image_bytes)
            if not isinstance(fetched, Fetched):
                missing = await self._not_fetched(row, "picture", fetched)
                if missing is not None:
                    return missing
                changed = True
            elif (picture := media.picture_of(fetched.data, row)) is None:
                await self._give_up(row, "picture", "no_picture")
                changed = True
            elif len(fetched.data) <= room:
                room -= len(fetched.data)
                pictures[place] = picture
        if changed:
            return None
        self._metrics.media.labels("picture", "read").inc(sum(picture is not None for picture in pictures))
        return pictures

    async def _not_fetched(self, row: InboxRow, kind: str, why: Unread | NotNow) -> NoAnswer | None:
        if isinstance(why, Unread):
            await self._give_up(row, kind, why.value)
        elif why.seconds or not self._was_last_try(row):
            return NoAnswer(Failure.UNREACHABLE, float(why.seconds) or None)
        else:
            await self._give_up(row, kind, "not_fetched")
        return None

    async def _give_up(self, row: InboxRow, kind: str, reason: str, spent: Sequence[Spending] = ()) -> None:
        """It is answered as if it said nothing."""
        self._metrics.media.labels(kind, reason).inc()
        log.warning("media_not_read", kind=kind, reason=reason, trace_id=row.trace_id)
        await self._note(row, "", spent)

    async def _note(self, row: InboxRow, words: str, spent: Sequence[Spending] = ()) -> None:
        await surely(lambda: self._path.note_words(row.peer_id, row.message_id, words, spent))
        self._tries.pop((row.peer_id, row.message_id), None)

    def _was_last_try(self, row: InboxRow) -> bool:
        """Counted in memory: after a restart a message gets its tries anew."""
        key = (row.peer_id, row.message_id)
        self._tries[key] = self._tries.get(key, 0) + 1
        while len(self._tries) > _REMEMBERED:
            self._tries.popitem(last=False)
        return self._tries.get(key, 0) >= TRIES
