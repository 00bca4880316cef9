"""Why: what needs no model is done at once, also while one is being asked: messages without an answer, and commands."""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow, NewerPending, Stored
from botfleet.store.tables import InboxState
from botrunner.conversation.commands import Told
from botrunner.conversation.lines import Lines
from botrunner.conversation.looking import Seen
from botrunner.conversation.outgoing import COMMAND
from botrunner.conversation.policy import RunCommand, SkipMessages
from botrunner.conversation.skips import Skip
from botrunner.conversation.steering import Steering
from botrunner.conversation.tracing import traces
from botrunner.metrics import Metrics

log = structlog.get_logger()


class Settling:
    """Ends messages, and counts what ends."""

    def __init__(
        self, path: MessagePath, steering: Steering, lines: Lines, metrics: Metrics, now: Callable[[], datetime]
    ) -> None:
        self._path, self._steering, self._lines, self._metrics, self._now = path, steering, lines, metrics, now

    async def settle(self, peer_id: int, seen: Seen) -> None:
        """What was found, if it is for no model."""
        match seen.step:
            case RunCommand(message_id=message_id, told=told):
                await self._command(next(r for r in seen.pending if r.message_id == message_id), told)
            case SkipMessages() as step:
                await self.skip(peer_id, step, seen.pending)

    async def skip(self, peer_id: int, step: SkipMessages, rows: Sequence[InboxRow]) -> None:
        """These of the rows get no answer; what a person answers is noted in the conversation all the same."""
        if step.reason is Skip.TAKEN_OVER:
            await self._path.hand_over(peer_id, step.message_ids)
        else:
            await self._path.close_inbox(peer_id, step.message_ids, InboxState.SKIPPED, step.reason.value)
        self._metrics.skipped.labels(step.reason.value).inc(len(step.message_ids))
        told = traces([row for row in rows if row.message_id in step.message_ids])
        log.info("messages_skipped", **told, reason=step.reason.value, messages=len(step.message_ids))

    async def _command(self, row: InboxRow, told: Told) -> None:
        """The effect comes before the confirmation: killed in between, the person is opted out and is told after the restart."""
        reply = await self._steering.obey(row, told)
        cause = f"{COMMAND}{row.message_id}"
        stored = await self._lines.answer([row], cause, reply.text, discloses=reply.discloses, kept=reply.kept)
        self.note_answered([row], stored)

    def note_answered(self, rows: Sequence[InboxRow], stored: Stored | NewerPending) -> None:
        """For metrics and the log."""
        if isinstance(stored, NewerPending) or not stored.closed:
            return  # a replay, or all were deleted meanwhile
        self._metrics.answered.inc(stored.closed)
        for row in rows:
            self._metrics.reply_seconds.observe(max(0.0, (self._now() - row.received_at).total_seconds()))
        log.info("answer_stored", **traces(rows), messages=stored.closed)
