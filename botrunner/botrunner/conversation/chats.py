"""Why: each chat with pending messages gets one worker: debounce, decide, ask the model, store the answer. Chats go on side by
side; within one chat everything is in order. A message never lives only here: the inbox has it until its answer is stored.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Protocol

import structlog
from structlog.contextvars import bound_contextvars

from botfleet.effective import EffectiveSpec
from botfleet.store.errors import StoreUnavailable
from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow, NewerPending, Spending
from botfleet.store.tables import InboxState
from botrunner.backoff import backoff
from botrunner.conversation import texts
from botrunner.conversation.drafts import drafts
from botrunner.conversation.gathering import shown
from botrunner.conversation.holding import Held, Holding
from botrunner.conversation.lines import Lines
from botrunner.conversation.looking import Looking, Seen
from botrunner.conversation.memory import Summaries, recall
from botrunner.conversation.patience import STORE_SECONDS, set_within, surely, turn_at
from botrunner.conversation.policy import AskForWords, AskModel, RunCommand, SkipMessages
from botrunner.conversation.presence import Presence, Shows
from botrunner.conversation.prompt import assemble
from botrunner.conversation.reading import Fetches, Hears, Pictures, Reading
from botrunner.conversation.settling import Settling
from botrunner.conversation.skips import Skip
from botrunner.conversation.spending import Purse
from botrunner.conversation.steering import Steering
from botrunner.conversation.tokens import Estimate
from botrunner.conversation.tracing import note_stages, traces
from botrunner.conversation.trouble import Trouble
from botrunner.conversation.workers import LOOK_SECONDS, PASSING, Workers
from botrunner.metrics import Metrics
from botrunner.model.ladder import Rung
from botrunner.model.messages import has_pictures
from botrunner.model.provider import Answer, ChatMessage, Failure, NoAnswer
from botrunner.telegram.markdown import render
from botrunner.telegram.types import Me

log = structlog.get_logger()

LONGEST_DEBOUNCE = 5  # times debounceSeconds: somebody who never pauses is answered all the same
GENERATIONS = 3  # generated again at most so often because of newer messages


class Model(Protocol):
    """What is needed of `model.chain.ModelChain`."""

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        """One question."""

    async def answer_cheaply(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        """One question, to the cheapest first."""


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
        steering: Steering,
        *,
        before: Callable[[int], Awaitable[None]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        files: Fetches | None = None,
        hears: Hears | None = None,
    ) -> None:
        """`before`: what is done in a chat that has pending messages before anything is decided about them."""
        self._before = before
        self._path, self._spec, self._model, self._me = path, spec, model, me
        self._stored, self._metrics, self._now = stored, metrics, now
        self.purse = Purse(path, spec.limits.budget, metrics, now)
        self._presence = Presence(shows, typing=spec.conversation.typing)
        self._steering = steering
        self._lines = Lines(path, me.id, stored)
        self._reading = Reading(path, spec.model, metrics, files, hears)
        self._looking = Looking(path, spec, me.username, now, self._reading.use)
        self._settling = Settling(path, steering, self._lines, metrics, now)
        self._slots = asyncio.Semaphore(spec.limits.concurrent_replies)
        self._holding = Holding(spec, now)
        self._stop = asyncio.Event()
        self._workers = Workers("chat", self._chat, self._pending_chats, passing=PASSING)
        self.estimate = Estimate()
        self._summaries = Summaries(path, spec.conversation, self.estimate, self.ask_aside)

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
        trouble = Trouble()
        while not self._stop.is_set():
            try:
                left = await self._one_step(peer_id, poked, trouble)
            except StoreUnavailable:
                trouble.failures += 1
                await self._pause(backoff(trouble.failures, first=0.5, longest=STORE_SECONDS))
            else:
                if left is not _Left.WAITED:
                    trouble.is_over()
                if left is _Left.NOTHING and not poked.is_set():
                    return

    async def _one_step(self, peer_id: int, poked: asyncio.Event, trouble: Trouble) -> "_Left":
        """Does the next thing in this chat."""
        poked.clear()
        if self._before is not None:
            await self._before(peer_id)
        seen = await self._looking.look(peer_id)
        if seen is None:
            return _Left.NOTHING
        match seen.step:
            case SkipMessages() | RunCommand():
                await self._settling.settle(peer_id, seen)
            case AskModel() | AskForWords() if self._steering.paused:
                return _Left.NOTHING  # the end of the pause looks for it again
            case AskModel() if (seconds := trouble.again_at - time.monotonic()) > 0:
                # A poke ends the wait, not the back-off: what came may be a command, which needs no model.
                await set_within(poked, seconds)
                return _Left.WAITED
            case AskModel() | AskForWords() as step:
                held = self._holding.held(seen.answered_at)
                if held is not None:
                    return await self._hold(step, seen.pending, held, poked)
                if not self._workers.may_wait(peer_id):
                    return _Left.NOTHING
                waited = await self._debounce(seen.pending, poked) or self._slots.locked()
                async with turn_at(self._slots, poked, lambda: self._still(peer_id)) as there:
                    if not there or self._stop.is_set() or self._steering.paused:
                        return _Left.MAYBE_MORE
                    return await self._answer(peer_id, trouble, None if waited else seen)
        return _Left.MAYBE_MORE

    async def _still(self, peer_id: int) -> bool:
        """Whether a model is still to be asked, once all that has come and needs none is done."""
        return not self._stop.is_set() and await self._settled(peer_id, None) is not None

    async def _hold(
        self, step: AskModel | AskForWords, rows: Sequence[InboxRow], held: Held, poked: asyncio.Event
    ) -> "_Left":
        """Waits a short while; a chat that has to wait for longer is found again by the look that comes each minute."""
        if held.line is not None and held.cause is not None:
            row = next(row for row in rows if row.message_id == step.message_ids[-1])
            await self._lines.say(row, held.cause, held.line, disclose=step.disclose)
        seconds = (held.until - self._now()).total_seconds()
        if seconds > LOOK_SECONDS or not self._workers.may_wait(rows[0].peer_id):
            return _Left.NOTHING
        await set_within(poked, seconds)
        return _Left.WAITED

    async def _debounce(self, rows: Sequence[InboxRow], poked: asyncio.Event) -> bool:
        """Waits until nothing came for `debounceSeconds`, counted from the newest message's arrival; whether it had to."""
        quiet = self._spec.conversation.debounce_seconds
        since = (self._now() - max(row.received_at for row in rows)).total_seconds()
        end = time.monotonic() + quiet * LONGEST_DEBOUNCE
        wait = first = quiet - max(0.0, since)
        while wait > 0 and not self._stop.is_set():
            if not await set_within(poked, min(wait, max(0.0, end - time.monotonic()))):
                break
            poked.clear()
            wait = quiet
        return first > 0

    async def _answer(self, peer_id: int, trouble: Trouble, seen: Seen | None) -> "_Left":
        """Asks the model about all that is pending and stores the answer, generating again while newer messages come.

        Args:
            seen: what was read right before; None: it is read anew. What comes in between is found by the storing.

        Returns:
            WAITED: nobody answers now, and what is pending stays so. NOTHING: all that was read is answered; of what came since
            the worker is told by a poke.
        """
        given: _Given | None = None
        for generation in itertools.count(1):
            seen = await self._settled(peer_id, seen)
            if self._steering.paused and given is None:
                return _Left.MAYBE_MORE
            if seen is not None and isinstance(seen.step, AskForWords) and given is None:
                await self._ask_for_words(seen.step, seen.pending)
                return _Left.MAYBE_MORE
            if seen is None or not isinstance(seen.step, AskModel):
                # What was asked is gone (deleted, or stopped): the next step deals with what is there.
                return _Left.MAYBE_MORE
            step, rows, seen = seen.step, seen.pending, None
            turn = [row for row in rows if row.message_id in step.message_ids]
            said = await shown(self._path, peer_id, turn)
            # What is newer is no part of this turn (a command), or has come too often, or nothing new is begun: paid for, and good.
            final = given is not None and (
                generation > GENERATIONS or self._stop.is_set() or (given.step, given.said) == (step, said)
            )
            if given is None or not final:
                if self._stop.is_set():
                    return _Left.MAYBE_MORE
                reached = await self.purse.look()
                if reached is not Rung.EXHAUSTED:
                    asked_at = self._now()
                    answer, due = await self._ask(peer_id, said, turn, cheaper=reached is Rung.CHEAPER)
                    if not isinstance(answer, Answer):
                        anew = answer is None or await self._without_answer(peer_id, turn, answer, trouble)
                        return _Left.MAYBE_MORE if anew else _Left.WAITED
                    given = _Given(step, said, turn, answer, answer.spent, due, asked_at, self._now())
                elif given is None:
                    await self._close_unasked(peer_id, turn)
                    return _Left.MAYBE_MORE
                else:
                    final = True  # paid for already: better than nothing
            if await self._store(peer_id, given, final):
                trouble.is_answered()
                if given.due:
                    self._summaries.poke(peer_id)
                return _Left.NOTHING if len(rows) == len(given.turn) else _Left.MAYBE_MORE
        raise AssertionError("unreachable")

    async def _settled(self, peer_id: int, seen: Seen | None) -> Seen | None:
        """What waits once all that needs no model is done: a picture that came meanwhile throws no answer away, nor does a
        /stop of somebody else in a group."""
        seen = seen or await self._looking.look(peer_id)
        while seen is not None and isinstance(seen.step, SkipMessages | RunCommand):
            await self._settling.settle(peer_id, seen)
            seen = await self._looking.look(peer_id)
        return seen

    async def _ask(
        self, peer_id: int, said: list[str], turn: Sequence[InboxRow], *, cheaper: bool
    ) -> tuple[Answer | NoAnswer | None, bool]:
        """What the model says to this, and whether it is time to sum up what has left its sight.

        None: more is known now of what the turn's messages carry, so the next step is decided anew.
        """
        with (
            bound_contextvars(trace_id=turn[-1].trace_id),
            self._presence.answering(turn[-1], lambda: self._looking.is_wanted(peer_id)),
        ):
            async with self._reading.of(turn) as pictures:
                if pictures is None or isinstance(pictures, NoAnswer):
                    return pictures, False
                answer, due = await self._ask_with(peer_id, said, turn, pictures, cheaper=cheaper)
        if isinstance(answer, NoAnswer) and answer.pictures_refused:
            await surely(lambda: self._path.note_spent(answer.spent))
            await self._reading.refused(turn)
            return None, False
        return answer, due

    async def _ask_with(
        self, peer_id: int, said: list[str], turn: Sequence[InboxRow], pictures: Pictures, *, cheaper: bool
    ) -> tuple[Answer | NoAnswer, bool]:
        conversation = self._spec.conversation
        remembered = await self._path.remembered(peer_id, conversation.history_messages, turn[-1].topic_id)
        past = recall(remembered, conversation, self.estimate)
        facts = await self._path.facts(peer_id) if conversation.learn_facts and peer_id > 0 else {}
        prompt = assemble(
            self._spec.persona.prompt,
            past.messages,
            said,
            summary=past.summary,
            facts=facts,
            group=peer_id < 0,
            pictures=pictures,
        )
        return await self._call(prompt, cheaper=cheaper), past.sum_up_to is not None

    async def ask_aside(self, prompt: list[ChatMessage]) -> Answer | NoAnswer:
        """A question of the bot's own (a summary, facts): under the same budget, and counted by itself."""
        reached = await self.purse.look()
        if reached is Rung.EXHAUSTED:
            return NoAnswer(Failure.QUOTA_EXHAUSTED)
        answer = await self._call(prompt, cheaper=reached is Rung.CHEAPER)
        await surely(lambda: self._path.note_spent(answer.spent))
        return answer

    async def _call(self, prompt: list[ChatMessage], *, cheaper: bool) -> Answer | NoAnswer:
        answer = await (self._model.answer_cheaply if cheaper else self._model.answer)(prompt)
        if isinstance(answer, Answer) and not has_pictures(prompt):
            self.estimate.learn((message["content"] for message in prompt), answer.input_tokens)
        return answer

    async def _store(self, peer_id: int, given: "_Given", final: bool) -> bool:
        """Stores an answer, however long the store is away: it is paid for. False: something came, or was edited; it was not stored."""
        turn, disclose = given.turn, given.step.disclose
        whole = render(texts.disclosed(given.answer.text) if disclose else given.answer.text)
        cause = f"reply:{turn[-1].message_id}"
        said = drafts(self._me.id, turn[-1], cause, whole, in_history=True, discloses=disclose)
        stored = await surely(
            lambda: self._path.store_answer(peer_id, turn, said, replies_are_final=final, spent=given.spent)
        )
        given.spent = ()  # counted, whether the answer was wanted or not
        if isinstance(stored, NewerPending):
            return False
        self._settling.note_answered(turn, stored)
        if stored.closed:
            note_stages(self._metrics, turn, given.asked_at, given.answered_at)
        self._stored(peer_id)
        return True

    async def _without_answer(
        self, peer_id: int, turn: Sequence[InboxRow], no_answer: NoAnswer, trouble: Trouble
    ) -> bool:
        """What was paid is counted, the person told if the owner wants that. True: the turn is given up, and closed."""
        await surely(lambda: self._path.note_spent(no_answer.spent))
        given_up = trouble.no_answer(tuple((row.message_id, row.text) for row in turn), no_answer, time.monotonic())
        text = self._spec.conversation.unavailable_text
        if text and (given_up or trouble.is_long(no_answer)) and await self._looking.is_wanted(peer_id):
            await self._lines.say(turn[-1], f"unavailable:{trouble.began_with(turn[0].message_id)}", text)
        if given_up is None:
            return False
        ids = [row.message_id for row in turn]
        await surely(lambda: self._path.close_inbox(peer_id, ids, InboxState.FAILED, given_up.value))
        self._metrics.failed.labels(given_up.value).inc(len(ids))
        log.warning("messages_given_up", **traces(turn), reason=given_up.value, messages=len(ids))
        return True

    async def _close_unasked(self, peer_id: int, turn: Sequence[InboxRow]) -> None:
        """The day's budget is spent. Killed in between, the person has been told, and is not told again."""
        if text := self._spec.limits.budget.exhausted_text:
            await self._lines.say(turn[-1], f"budget:{self.purse.day.isoformat()}", text)
        await self._settling.skip(
            peer_id, SkipMessages(tuple(row.message_id for row in turn), Skip.BUDGET_EXHAUSTED), turn
        )

    async def _ask_for_words(self, step: AskForWords, rows: Sequence[InboxRow]) -> None:
        """One line, however many pictures came together."""
        turn = [row for row in rows if row.message_id in step.message_ids]
        line = self._spec.conversation.media_text
        text = texts.disclosed(line) if step.disclose else line
        stored = await self._lines.answer(turn, f"words:{turn[-1].message_id}", text, discloses=step.disclose)
        self._settling.note_answered(turn, stored)

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the runner stops."""
        await set_within(self._stop, seconds)


@dataclass
class _Given:
    """What the model answered, and to what. `spent`: what of its cost is not counted yet."""

    step: AskModel
    said: list[str]
    turn: list[InboxRow]
    answer: Answer
    spent: Sequence[Spending]
    due: bool
    asked_at: datetime
    answered_at: datetime


class _Left(Enum):
    """What a step left behind."""

    NOTHING = auto()
    MAYBE_MORE = auto()
    WAITED = auto()
