"""Why: each chat with pending messages gets one worker: debounce, decide, ask the model, store the answer. Chats go on side by
side; within one chat everything is in order. A message never lives only here: the inbox has it until its answer is stored.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Protocol

import structlog

from botfleet.effective import EffectiveSpec
from botfleet.store.errors import StoreUnavailable
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Draft, InboxRow, NewerPending, Stored
from botfleet.store.tables import InboxState
from botrunner.backoff import backoff
from botrunner.conversation import texts
from botrunner.conversation.memory import Summaries, recall
from botrunner.conversation.outgoing import COMMAND
from botrunner.conversation.policy import (
    AskModel,
    ChatFacts,
    Command,
    Pending,
    RunCommand,
    Skip,
    SkipMessages,
    Step,
    next_step,
)
from botrunner.conversation.presence import Presence, Shows
from botrunner.conversation.prompt import assemble
from botrunner.conversation.tokens import Estimate
from botrunner.conversation.workers import Workers
from botrunner.metrics import Metrics
from botrunner.model.provider import Answer, ChatMessage, NoAnswer
from botrunner.telegram.format import split
from botrunner.telegram.formatted import Formatted
from botrunner.telegram.ids import random_id
from botrunner.telegram.markdown import render
from botrunner.telegram.types import Me

log = structlog.get_logger()

CONCURRENT_REPLIES = 5  # replies beyond the first wait
LONGEST_DEBOUNCE = 5  # times debounceSeconds: somebody who never pauses is answered all the same
GENERATIONS = 3  # generated again at most so often because of newer messages
STORE_SECONDS = 5.0  # at most between two tries of the store


class Model(Protocol):
    """What is needed of `model.provider.ModelProvider`."""

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        """One call."""


class Conversations:
    """The workers of one account's chats. `run` owns them; `poke` says that a chat has pending messages."""

    def __init__(
        self,
        path: MessagePath,
        spec: EffectiveSpec,
        model: Model,
        me: Me,
        stored: Callable[[int], None],
        metrics: Metrics,
        shows: Shows,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path, self._spec, self._model, self._me = path, spec, model, me
        self._stored, self._metrics, self._now = stored, metrics, now
        self._presence = Presence(shows, typing=spec.conversation.typing)
        self._slots = asyncio.Semaphore(CONCURRENT_REPLIES)
        self._stop = asyncio.Event()
        self._workers = Workers("chat", self._chat, self._pending_chats)
        self._estimate = Estimate()
        self._summaries = Summaries(path, spec.conversation, self._estimate, self._call)

    def poke(self, peer_ids: Iterable[int]) -> None:
        """These chats have pending messages."""
        self._workers.poke_all(peer_ids)

    async def drain(self) -> None:
        """Begins nothing new and waits until the answers under way are stored."""
        self._stop.set()
        self._summaries.close()
        self._workers.close()
        await self._workers.idle()

    async def idle_memory(self) -> None:
        """Waits until nothing is being summed up."""
        await self._summaries.idle()

    def look_again(self) -> None:
        """Some chats may have pending messages of which nobody has told."""
        self._workers.look_again()

    async def run(self) -> None:
        """Answers what a former run left, then what comes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._workers.run(), name="conversations")
            tasks.create_task(self._summaries.run(), name="summaries")

    async def _pending_chats(self, after: int | None) -> list[int]:
        return await self._path.pending_chats(limit=100, after=after)

    async def _chat(self, peer_id: int, poked: asyncio.Event) -> None:
        failures = 0
        again_at = 0.0  # when the model may be asked again
        while not self._stop.is_set():
            try:
                left = await self._one_step(peer_id, poked, again_at)
            except StoreUnavailable:
                failures += 1
                await self._pause(backoff(failures, first=0.5, longest=STORE_SECONDS))
            except _NoAnswerYetError as error:
                failures += 1
                again_at = time.monotonic() + (error.retry_after or backoff(failures))
            else:
                failures = failures if left is _Left.WAITED else 0
                if left is _Left.NOTHING and not poked.is_set():
                    return

    async def _one_step(self, peer_id: int, poked: asyncio.Event, again_at: float) -> "_Left":
        """Does the next thing in this chat."""
        poked.clear()
        seen = await self._look(peer_id)
        if seen is None:
            return _Left.NOTHING
        match seen.step:
            case SkipMessages() as step:
                await self._skip(peer_id, step)
            case RunCommand(message_id=message_id, command=command):
                await self._command(next(r for r in seen.pending if r.message_id == message_id), command)
            case AskModel() if (seconds := again_at - time.monotonic()) > 0:
                # A poke ends the wait, not the back-off: what came may be a command, which needs no model.
                await _set_within(poked, seconds)
                return _Left.WAITED
            case AskModel():
                waited = await self._debounce(seen.pending, poked) or self._slots.locked()
                async with self._slots:
                    if not self._stop.is_set():
                        await self._answer(peer_id, None if waited else seen)
        return _Left.MAYBE_MORE

    async def _look(self, peer_id: int) -> "_Seen | None":
        """What waits in the chat and what is to be done first; None: nothing waits."""
        situation = await self._path.situation(peer_id)
        if situation is None:
            return None
        facts = ChatFacts(peer_id, situation.opted_out, situation.disclosed_at, situation.last_said_at)
        pending = [Pending(r.message_id, r.text, r.date) for r in situation.pending]
        step = next_step(pending, facts, self._spec.persona, self._me.username, self._now())
        return None if step is None else _Seen(situation.pending, step)

    async def _is_wanted(self, peer_id: int) -> bool:
        """Whether what is being written may be said: not when its question is gone, nor after a /stop."""
        seen = await self._look(peer_id)
        match seen.step if seen is not None else None:
            case AskModel():
                return True
            case SkipMessages(reason=reason):
                return reason is not Skip.OPTED_OUT
        return False

    async def _skip(self, peer_id: int, step: SkipMessages) -> None:
        await self._path.close_inbox(peer_id, step.message_ids, InboxState.SKIPPED, step.reason.value)
        self._metrics.skipped.labels(step.reason.value).inc(len(step.message_ids))

    async def _debounce(self, rows: Sequence[InboxRow], poked: asyncio.Event) -> bool:
        """Waits until nothing came for `debounceSeconds`, counted from the newest message's arrival; whether it had to."""
        quiet = self._spec.conversation.debounce_seconds
        since = (self._now() - max(row.received_at for row in rows)).total_seconds()
        end = time.monotonic() + quiet * LONGEST_DEBOUNCE
        wait = first = quiet - max(0.0, since)
        while wait > 0 and not self._stop.is_set():
            if not await _set_within(poked, min(wait, max(0.0, end - time.monotonic()))):
                break
            poked.clear()
            wait = quiet
        return first > 0

    async def _answer(self, peer_id: int, seen: "_Seen | None") -> None:
        """Asks the model about all that is pending and stores the answer, generating again while newer messages come.

        Args:
            seen: what was read right before; None: it is read anew. What comes in between is found by the storing.
        """
        given: _Given | None = None
        for generation in itertools.count(1):
            seen = seen or await self._look(peer_id)
            while seen is not None and isinstance(seen.step, SkipMessages):  # a picture throws no answer away
                await self._skip(peer_id, seen.step)
                seen = await self._look(peer_id)
            if seen is None or not isinstance(seen.step, AskModel):
                return  # what was asked is gone (deleted, or stopped): the next step deals with what is there
            step, rows, seen = seen.step, seen.pending, None
            turn = [row for row in rows if row.message_id in step.message_ids]
            said = [row.text for row in turn]
            # What is newer is no part of this turn (a command), or has come too often: paid for, and good.
            final = given is not None and (generation > GENERATIONS or (given.step, given.said) == (step, said))
            if given is None or not final:
                if self._stop.is_set():
                    return
                remembered = await self._path.remembered(peer_id, self._spec.conversation.history_messages)
                past = recall(remembered, self._spec.conversation, self._estimate)
                facts = await self._path.facts(peer_id) if self._spec.conversation.learn_facts and peer_id > 0 else {}
                prompt = assemble(self._spec.persona.prompt, past.messages, said, summary=past.summary, facts=facts)
                with self._presence.answering(turn[-1], lambda: self._is_wanted(peer_id)):
                    answer = await self._ask(prompt)
                given = _Given(step, said, turn, answer, past.sum_up_to is not None)
            if await self._store(peer_id, given.turn, given.answer, given.step.disclose, final):
                if given.due:
                    self._summaries.poke(peer_id)
                return

    async def _store(self, peer_id: int, turn: Sequence[InboxRow], answer: Answer, disclose: bool, final: bool) -> bool:
        """Stores an answer, however long the store is away: it is paid for. False: newer messages came, nothing was written."""
        whole = render(texts.disclosed(answer.text) if disclose else answer.text)
        drafts = self._drafts(turn[-1], f"reply:{turn[-1].message_id}", whole, in_history=True, discloses=disclose)
        failures = 0
        while True:
            # Stopping, no further model call begins: what there is stands, and what is newer waits for the next start.
            final = final or self._stop.is_set()
            try:
                stored = await self._path.store_answer(peer_id, turn, drafts, replies_are_final=final)
            except StoreUnavailable:
                failures += 1
                await asyncio.sleep(backoff(failures, first=0.5, longest=STORE_SECONDS))
                continue
            if not isinstance(stored, NewerPending):
                self._note_answered(turn, stored)
                self._stored(peer_id)
                return True
            if not self._stop.is_set():
                return False

    async def _ask(self, prompt: list[ChatMessage]) -> Answer:
        answer = await self._call(prompt)
        if isinstance(answer, Answer):
            return answer
        log.warning("model_gave_no_answer", reason=answer.failure.value, retry_after=answer.retry_after)
        raise _NoAnswerYetError(answer.retry_after)

    async def _call(self, prompt: list[ChatMessage]) -> Answer | NoAnswer:
        with self._metrics.model_seconds.time():
            answer = await self._model.answer(prompt)
        if isinstance(answer, Answer):
            self._metrics.tokens.labels("input").inc(answer.input_tokens)
            self._metrics.tokens.labels("output").inc(answer.output_tokens)
            self._estimate.learn((message["content"] for message in prompt), answer.input_tokens)
        else:
            self._metrics.model_failures.labels(answer.failure.value).inc()
        return answer

    async def _command(self, row: InboxRow, command: Command) -> None:
        """The effect comes before the confirmation: killed in between, the person is opted out and is told after the restart."""
        if command is Command.STOP:
            await self._path.opt_out(row.peer_id)
            text, discloses = texts.STOPPED, False
        else:
            await self._path.opt_in(row.peer_id)
            text, discloses = texts.STARTED, True
        drafts = self._drafts(row, f"{COMMAND}{row.message_id}", Formatted(text), in_history=False, discloses=discloses)
        try:
            stored = await self._path.store_answer(row.peer_id, [row], drafts, replies_are_final=True)
        finally:
            self._stored(row.peer_id)  # also when the store's answer was lost: it may be there
        if isinstance(stored, Stored):
            self._note_answered([row], stored)

    def _drafts(self, row: InboxRow, cause: str, whole: Formatted, *, in_history: bool, discloses: bool) -> list[Draft]:
        return [
            Draft(
                cause=cause,
                part=part,
                random_id=random_id(self._me.id, row.peer_id, cause, 0, part),
                text=piece.text,
                entities=piece.entities(),
                access_hash=row.access_hash,
                reply_to_message_id=None,
                trace_id=row.trace_id,
                in_history=in_history,
                discloses=discloses,
            )
            for part, piece in enumerate(split(whole))
        ]

    def _note_answered(self, rows: Sequence[InboxRow], stored: Stored) -> None:
        if not stored.closed:
            return  # a replay, or all were deleted meanwhile
        self._metrics.answered.inc(stored.closed)
        for row in rows:
            self._metrics.reply_seconds.observe(max(0.0, (self._now() - row.received_at).total_seconds()))
        log.info("answer_stored", trace_id=rows[-1].trace_id, messages=stored.closed)

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the runner stops."""
        await _set_within(self._stop, seconds)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set before the time was over."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


@dataclass(frozen=True)
class _Seen:
    """What waits in a chat, and what is to be done with it first."""

    pending: list[InboxRow]
    step: Step


@dataclass(frozen=True)
class _Given:
    """What the model answered, and to what."""

    step: AskModel
    said: list[str]
    turn: list[InboxRow]
    answer: Answer
    due: bool


class _Left(Enum):
    """What a step left behind."""

    NOTHING = auto()
    MAYBE_MORE = auto()
    WAITED = auto()


class _NoAnswerYetError(Exception):
    """The model gave no answer; the messages stay pending and are tried again."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("no answer yet")
        self.retry_after = retry_after
