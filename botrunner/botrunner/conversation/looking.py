"""Why: what is to be done in a chat is asked again and again while an answer is on its way, always from one reading of the store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from botfleet.effective import EffectiveSpec
from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow
from botrunner.conversation.commands import ADMINS
from botrunner.conversation.gathering import gather
from botrunner.conversation.media import Use
from botrunner.conversation.policy import AskModel, RunCommand, SkipMessages, Step, next_step
from botrunner.conversation.skips import Skip

UNWANTED = frozenset({Skip.OPTED_OUT, Skip.BLOCKED, Skip.FORGOTTEN, Skip.TAKEN_OVER})  # said or decided, not happened


@dataclass(frozen=True)
class Seen:
    """What waits in a chat, and what is to be done with it first."""

    pending: list[InboxRow]
    step: Step
    answered_at: datetime | None = None
    """When the answer was stored that lies as many back as a minute of the chat may have."""


class Looking:
    """Reads and decides; it does nothing."""

    def __init__(
        self,
        path: MessagePath,
        spec: EffectiveSpec,
        username: str | None,
        now: Callable[[], datetime],
        use: Callable[[InboxRow], Use | None] = lambda _: None,
    ) -> None:
        """`username`: the bot's, by which it is named; `use`: what is to be done with what a message carries."""
        self._path, self._spec, self._username, self._now, self._use = path, spec, username, now, use

    async def look(self, peer_id: int) -> Seen | None:
        """What waits in the chat and what is to be done first; None: nothing waits."""
        most = self._spec.limits.messages_per_minute_per_chat
        situation = await self._path.situation(peer_id, answers=most)
        if situation is None:
            return None
        pending, chat = await gather(self._path, peer_id, situation, self._username, self._spec.admins, self._use)
        step = next_step(pending, chat, self._spec, self._username, self._now())
        return None if step is None else Seen(situation.pending, step, situation.answered_at)

    async def is_wanted(self, peer_id: int) -> bool:
        """Whether what is being written may be said: not when its question is gone, nor after a /stop or a takeover."""
        seen = await self.look(peer_id)
        match seen.step if seen is not None else None:
            case AskModel():
                return True
            case RunCommand(told=told):
                return told.command in ADMINS  # it came before the question, which nothing has changed
            case SkipMessages(reason=reason):
                return reason not in UNWANTED
        return False
