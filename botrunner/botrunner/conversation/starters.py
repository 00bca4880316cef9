"""Why: the bot writes first where its owner wants that: one loop that looks now and then, and one message at a time.

What speaks against a message is `starting`'s to say. Nothing lives only here: who is due, what was written and how often stand in
the store, so a restart neither repeats a message nor forgets a cap. It waits for nobody's answer and holds none up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from botfleet.effective import EffectiveSpec
from botfleet.store.errors import StoreUnavailable
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Draft, OutboxRow
from botfleet.store.tables import OutboxState
from botrunner.conversation import texts
from botrunner.conversation.memory import recall
from botrunner.conversation.patience import set_within, surely
from botrunner.conversation.prompt import assemble
from botrunner.conversation.spending import Purse
from botrunner.conversation.starting import (
    LOOK,
    NUDGE,
    STARTER,
    Later,
    Rest,
    Start,
    Unsaid,
    day_of,
    decide,
    judge,
    persona_that_starts,
    rest,
    unsaid,
)
from botrunner.conversation.tokens import Estimate
from botrunner.metrics import Metrics
from botrunner.model.provider import Answer, ChatMessage, NoAnswer
from botrunner.telegram.format import split
from botrunner.telegram.formatted import Formatted
from botrunner.telegram.ids import random_id
from botrunner.telegram.intake import new_trace_id
from botrunner.telegram.markdown import render

log = structlog.get_logger()

DEAF = timedelta(seconds=5)
"""To the next look while it is not proved that messages come through: nobody is written to who may have just written."""
PAGE = 20  # people at whom one look looks
PAGE_SECONDS = 1.0  # to the next look when there are more
ENLIST_EVERY = timedelta(minutes=30)  # shorter than any silence: whoever is new is on the agenda before they are due
LONGEST_FAILURE = timedelta(hours=1)  # between two tries of a model that gives no answer


class Asks(Protocol):
    """What is needed of `chats.Conversations`."""

    purse: Purse
    estimate: Estimate

    async def ask_aside(self, prompt: list[ChatMessage]) -> Answer | NoAnswer:
        """A question of the bot's own, within the budget."""


class Starters:
    """Writes first. `run` owns the work."""

    def __init__(
        self,
        path: MessagePath,
        spec: EffectiveSpec,
        account_id: int,
        asks: Asks,
        stored: Callable[[int], None],
        metrics: Metrics,
        *,
        paused: Callable[[], bool],
        receives: Callable[[], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`stored` is called with the chat in which there is something to send; `receives`: whether messages are proved to come
        through."""
        self._path, self._spec, self._account_id, self._asks = path, spec, account_id, asks
        self._stored, self._metrics, self._paused, self._receives = stored, metrics, paused, receives
        self._now = now
        self._closed = asyncio.Event()
        self._enlisted_to: int | None = 0
        self._enlisted_at: datetime | None = None
        self._failures = 0
        self._resting: Rest | None = None

    def close(self) -> None:
        """Begin nothing new."""
        self._closed.set()

    async def run(self) -> None:
        """Until closed or cancelled; where the owner does not want it, it ends at once."""
        if not self._spec.proactive.enabled:
            return
        wait = LOOK
        while not self._closed.is_set():
            try:
                wait = await self.look()
            except StoreUnavailable as error:
                log.warning("starters_wait", reason=str(error))
                wait = LOOK
            await set_within(self._closed, wait.total_seconds())

    async def look(self) -> timedelta:
        """Looks at those who are due, and writes to one of them at most. How long to wait for the next look.

        Raises:
            StoreUnavailable: the next look finds what there is.
        """
        now = self._now()
        if not self._receives():
            return DEAF
        resting = rest(self._spec, now, paused=self._paused()) or await self._rest_as_stored(now)
        self._tell(resting)
        if resting is not None:
            return min(LOOK, resting.until - now)
        await self._enlist(now)
        people = await self._path.due_to_start(now, PAGE)
        plan = decide(people, self._spec, now)
        for later in plan.later.values():
            if later.why is not None:
                self._skip(later.why)
        await self._path.look_later({peer_id: later.at for peer_id, later in plan.later.items()})
        if plan.start is not None:
            return await self._write(plan.start)
        return timedelta(seconds=PAGE_SECONDS) if len(people) == PAGE or self._enlisted_to else LOOK

    async def _rest_as_stored(self, now: datetime) -> Rest | None:
        reached = await self._asks.purse.look()
        written = await self._path.started_since(day_of(self._spec, now)[0])
        return rest(self._spec, now, paused=self._paused(), reached=reached, written=written)

    async def _enlist(self, now: datetime) -> None:
        """A page of the chats, from time to time all of them."""
        if self._enlisted_to is None:
            if self._enlisted_at is not None and timedelta(0) <= now - self._enlisted_at < ENLIST_EVERY:
                return
            self._enlisted_to = 0
        self._enlisted_to = await self._path.enlist(self._enlisted_to, now)
        self._enlisted_at = now

    async def _write(self, start: Start) -> timedelta:
        peer_id = start.person.peer_id
        answer = await self._asks.ask_aside(await self._prompt(peer_id))
        text = answer.text if isinstance(answer, Answer) else ""
        parts = split(render(texts.disclosed(text) if start.disclose and text.strip() else text))
        if not parts:
            return await self._without_answer(peer_id)
        self._failures = 0
        why = await self._changed(start) or await self._store(start, parts[0])
        if why is not None:
            self._skip(why)
        return LOOK

    async def _changed(self, start: Start) -> Unsaid | None:
        """What was decided, or written, while the model wrote."""
        person = await surely(lambda: self._path.acquaintance(start.person.peer_id))
        found = None if person is None else judge(person, self._spec, self._now())
        if self._paused():
            return Unsaid.TOO_LATE
        if isinstance(found, Start) and found.cause == start.cause:
            return None
        return found.why or Unsaid.WROTE if isinstance(found, Later) else Unsaid.WROTE

    async def _store(self, start: Start, whole: Formatted) -> Unsaid | None:
        """One message: what is longer than Telegram takes is left out."""
        peer_id = start.person.peer_id
        draft = Draft(
            cause=start.cause,
            random_id=random_id(self._account_id, peer_id, start.cause, 0, 0),
            text=whole.text,
            entities=whole.entities(),
            access_hash=start.person.access_hash,
            trace_id=new_trace_id(),
            discloses=start.disclose,
        )
        if not await surely(lambda: self._path.store_starter(start.person, draft, start.unanswered, start.next_at)):
            return Unsaid.WROTE
        log.info("starter_stored", trace_id=draft.trace_id)
        self._stored(peer_id)
        return None

    async def _prompt(self, peer_id: int) -> list[ChatMessage]:
        conversation = self._spec.conversation
        remembered = await self._path.remembered(peer_id, conversation.history_messages)
        past = recall(remembered, conversation, self._asks.estimate)
        facts = await self._path.facts(peer_id) if conversation.learn_facts else {}
        return assemble(persona_that_starts(self._spec), past.messages, [NUDGE], summary=past.summary, facts=facts)

    async def _without_answer(self, peer_id: int) -> timedelta:
        """Nobody is told: nobody has asked. The next person's turn comes first, should it be this one's words."""
        self._skip(Unsaid.NO_MODEL_ANSWER)
        await self._path.look_later({peer_id: self._now() + LONGEST_FAILURE})
        self._failures += 1
        return min(LONGEST_FAILURE, LOOK * (1 << min(self._failures, 10)))

    def _skip(self, why: Unsaid) -> None:
        self._metrics.proactive_skipped.labels(why.value).inc()

    def _tell(self, resting: Rest | None) -> None:
        if (resting and resting.why) != (self._resting and self._resting.why):
            log.info("starters_rest", reason=resting.why.value) if resting else log.info("starters_go_on")
        self._resting = resting


def give_way(path: MessagePath, metrics: Metrics) -> Callable[[int], Awaitable[None]]:
    """For the conversations: what the bot was to write first gives way to what the person has written, before that is
    answered; so the model is not told that it was said, nor is a disclosure counted that it was to make."""

    async def heard(peer_id: int) -> None:
        row = await path.next_outgoing(peer_id)
        if row is None or row.state != OutboxState.PENDING or not row.cause.startswith(STARTER):
            return
        if await path.cancel_starter(row, Unsaid.WROTE.value):
            metrics.proactive_skipped.labels(Unsaid.WROTE.value).inc()
            log.info("starter_not_sent", trace_id=row.trace_id, reason=Unsaid.WROTE.value)

    return heard


def unless_it_is_late(
    path: MessagePath, spec: EffectiveSpec, metrics: Metrics, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Callable[[OutboxRow], Awaitable[bool]]:
    """For the sender: cancels what the bot was to write first and does not any more. Whether that was so."""

    async def cancelled(row: OutboxRow) -> bool:
        person = await path.acquaintance(row.peer_id) if spec.proactive.enabled else None
        why = unsaid(row.created_at, person, spec, now())
        if why is None or not await path.cancel_starter(row, why.value):
            return False
        metrics.proactive_skipped.labels(why.value).inc()
        log.info("starter_not_sent", trace_id=row.trace_id, reason=why.value)
        return True

    return cancelled
