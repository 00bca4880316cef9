"""Why: each chat with pending messages gets one worker: debounce, decide, ask the model, store the answer. Chats go on side by
side; within one chat everything is in order. A message never lives only here: the inbox has it until its answer is stored.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import structlog

from botfleet.effective import EffectiveSpec
from botfleet.store.errors import StoreUnavailable
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Draft, InboxRow, NewerPending
from botfleet.store.tables import InboxState
from botrunner.backoff import backoff
from botrunner.conversation import texts
from botrunner.conversation.outgoing import COMMAND
from botrunner.conversation.policy import (
    AskModel,
    ChatFacts,
    Command,
    Pending,
    RunCommand,
    SkipMessages,
    next_step,
)
from botrunner.conversation.prompt import assemble
from botrunner.metrics import Metrics
from botrunner.model.provider import Answer, ChatMessage, ModelProvider
from botrunner.telegram.format import split
from botrunner.telegram.ids import random_id
from botrunner.telegram.types import Me

log = structlog.get_logger()

CONCURRENT_REPLIES = 5  # replies beyond the first wait
LONGEST_DEBOUNCE = 5  # times debounceSeconds: somebody who never pauses is answered all the same
GENERATIONS = 3  # generated again at most so often because of newer messages


class Conversations:
    """The workers of one account's chats. `run` owns them; `poke` says that a chat has pending messages."""

    def __init__(
        self,
        path: MessagePath,
        spec: EffectiveSpec,
        model: ModelProvider,
        me: Me,
        stored: Callable[[int], None],
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path, self._spec, self._model, self._me = path, spec, model, me
        self._stored, self._metrics, self._now = stored, metrics, now
        self._poked: dict[int, asyncio.Event] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_REPLIES)
        self._stop = asyncio.Event()
        self._look = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def poke(self, peer_ids: Iterable[int]) -> None:
        """These chats have pending messages."""
        for peer_id in peer_ids:
            event = self._poked.get(peer_id)
            if event is not None:
                event.set()
            elif self._tasks is not None and not self._stop.is_set():
                self._poked[peer_id] = asyncio.Event()
                self._idle.clear()
                self._tasks.create_task(self._chat(peer_id), name=f"chat-{peer_id}")

    async def drain(self) -> None:
        """Begins nothing new and waits until the answers under way are stored."""
        self._stop.set()
        for event in self._poked.values():
            event.set()
        await self._idle.wait()

    def look_again(self) -> None:
        """Some chats may have pending messages of which nobody has told."""
        self._look.set()

    async def run(self) -> None:
        """Answers what a former run left, then what comes, until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                self._look.clear()
                with contextlib.suppress(
                    StoreUnavailable
                ):  # the connection ends with the store and is made anew: looked again
                    await self._poke_pending()
                await self._look.wait()

    async def _poke_pending(self) -> None:
        after: int | None = None
        while peer_ids := await self._path.pending_chats(limit=100, after=after):
            self.poke(peer_ids)
            after = peer_ids[-1]

    async def _chat(self, peer_id: int) -> None:
        failures = 0
        try:
            while not self._stop.is_set():
                try:
                    if not await self._one_step(peer_id):
                        if not self._poked[peer_id].is_set():
                            break
                        self._poked[peer_id].clear()
                    failures = 0
                except (StoreUnavailable, _NoAnswerYetError) as error:
                    failures += 1
                    await self._pause(getattr(error, "retry_after", None) or backoff(failures))
        finally:
            del self._poked[peer_id]
            if not self._poked:
                self._idle.set()

    async def _one_step(self, peer_id: int) -> bool:
        """Does the next thing in this chat; False when nothing is left."""
        self._poked[peer_id].clear()
        rows = await self._path.pending(peer_id)
        step = await self._decide(peer_id, rows)
        match step:
            case None:
                return False
            case SkipMessages(message_ids=ids, reason=reason):
                await self._path.close_inbox(peer_id, ids, InboxState.SKIPPED, reason.value)
                self._metrics.skipped.labels(reason.value).inc(len(ids))
            case RunCommand(message_id=message_id, command=command):
                await self._command(next(r for r in rows if r.message_id == message_id), command)
            case AskModel():
                await self._debounce(peer_id, rows)
                async with self._slots:
                    if not self._stop.is_set():
                        await self._answer(peer_id)
        return True

    async def _decide(self, peer_id: int, rows: Sequence[InboxRow]) -> SkipMessages | RunCommand | AskModel | None:
        if not rows:
            return None
        chat = await self._path.chat(peer_id)
        last = await self._path.history(peer_id, 1)
        facts = ChatFacts(
            peer_id, await self._path.opted_out(peer_id), chat.disclosed_at, last[-1].date if last else None
        )
        pending = [Pending(r.message_id, r.text, r.date) for r in rows]
        return next_step(pending, facts, self._spec.persona, self._me.username, self._now())

    async def _debounce(self, peer_id: int, rows: Sequence[InboxRow]) -> None:
        """Waits until nothing came for `debounceSeconds`, counted from the newest message's arrival."""
        quiet = self._spec.conversation.debounce_seconds
        since = (self._now() - max(row.received_at for row in rows)).total_seconds()
        end = time.monotonic() + quiet * LONGEST_DEBOUNCE
        wait = quiet - max(0.0, since)
        while wait > 0 and not self._stop.is_set():
            try:
                async with asyncio.timeout(min(wait, max(0.0, end - time.monotonic()))):
                    await self._poked[peer_id].wait()
            except TimeoutError:
                return
            self._poked[peer_id].clear()
            wait = quiet

    async def _answer(self, peer_id: int) -> None:
        """Asks the model about all that is pending and stores the answer, generating again while newer messages come."""
        for generation in range(1, GENERATIONS + 1):
            rows = await self._path.pending(peer_id)
            step = await self._decide(peer_id, rows)
            if not isinstance(step, AskModel):
                return  # a command or an opt-out came meanwhile: the next step deals with it
            turn = [row for row in rows if row.message_id in step.message_ids]
            history = await self._path.history(peer_id, self._spec.conversation.history_messages)
            answer = await self._ask(assemble(self._spec.persona.prompt, history, [row.text for row in turn]))
            text = texts.disclosed(answer.text) if step.disclose else answer.text
            drafts = self._drafts(
                turn[-1], f"reply:{turn[-1].message_id}", text, in_history=True, discloses=step.disclose
            )
            stored = await self._path.store_answer(peer_id, turn, drafts, replies_are_final=generation == GENERATIONS)
            if not isinstance(stored, NewerPending):
                self._note_answered(turn)
                self._stored(peer_id)
                return

    async def _ask(self, prompt: list[ChatMessage]) -> Answer:
        with self._metrics.model_seconds.time():
            answer = await self._model.answer(prompt)
        if isinstance(answer, Answer):
            self._metrics.tokens.labels("input").inc(answer.input_tokens)
            self._metrics.tokens.labels("output").inc(answer.output_tokens)
            return answer
        self._metrics.model_failures.labels(answer.failure.value).inc()
        log.warning("model_gave_no_answer", reason=answer.failure.value, retry_after=answer.retry_after)
        raise _NoAnswerYetError(answer.retry_after)

    async def _command(self, row: InboxRow, command: Command) -> None:
        """The effect comes before the confirmation: killed in between, the person is opted out and is told after the restart."""
        if command is Command.STOP:
            await self._path.opt_out(row.peer_id)
            text, discloses = texts.STOPPED, False
        else:
            await self._path.opt_in(row.peer_id)
            text, discloses = texts.STARTED, True
        drafts = self._drafts(row, f"{COMMAND}{row.message_id}", text, in_history=False, discloses=discloses)
        await self._path.store_answer(row.peer_id, [row], drafts, replies_are_final=True)
        self._note_answered([row])
        self._stored(row.peer_id)

    def _drafts(self, row: InboxRow, cause: str, text: str, *, in_history: bool, discloses: bool) -> list[Draft]:
        return [
            Draft(
                cause=cause,
                part=part,
                random_id=random_id(self._me.id, row.peer_id, cause, 0, part),
                text=piece,
                entities=None,
                access_hash=row.access_hash,
                reply_to_message_id=None,
                trace_id=row.trace_id,
                in_history=in_history,
                discloses=discloses,
            )
            for part, piece in enumerate(split(text))
        ]

    def _note_answered(self, rows: Sequence[InboxRow]) -> None:
        self._metrics.answered.inc(len(rows))
        for row in rows:
            self._metrics.reply_seconds.observe(max(0.0, (self._now() - row.received_at).total_seconds()))
        log.info("answer_stored", trace_id=rows[-1].trace_id, messages=len(rows))

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the runner stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


class _NoAnswerYetError(Exception):
    """The model gave no answer; the messages stay pending and are tried again."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("no answer yet")
        self.retry_after = retry_after
