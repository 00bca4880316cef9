"""Why: Telethon's message box moves a pts and drops part of what moved it. This one keeps what it was given, until it is stored.

Private parts of Telethon that are used: MessageBox and its methods, map, getting_diff_for (contract tests hold them).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import structlog
from telethon._updates.messagebox import ENTRY_ACCOUNT, ENTRY_SECRET, MessageBox, State, next_updates_deadline
from telethon.tl import types

from botrunner.telegram.intake import Raw

_log = structlog.get_logger(__name__)

_FIRST_PTS = 1


class RecordingMessageBox(MessageBox):  # type: ignore[misc]
    """A message box that remembers what it was given since the last `take`."""

    def __init__(self, log: Any, on_too_long: Callable[[int], None] = lambda _: None) -> None:
        """Args:
        on_too_long: called with a channel id (0: the account) when Telegram keeps no more of what was missed.
        """
        super().__init__(log)
        self._raw = Raw()
        self._on_too_long = on_too_long
        self.catch_up_queued = False
        """An UpdatesTooLong is in the queue and has not come here yet."""
        self._pushed = False
        self._applying = False

    def take(self) -> Raw:
        """What has come since the last call."""
        raw, self._raw = self._raw, Raw()
        return raw

    def take_pushed(self) -> bool:
        """Whether Telegram has pushed something of the account itself since the last call, that was next in order.

        Not meant: what was asked for (a difference, the answer to a request), and channels, which count by themselves.
        """
        pushed, self._pushed = self._pushed, False
        return pushed

    def begin_anew(self, channel_ids: Iterable[int]) -> list[int]:
        """Those of which nothing is known: from now on they count from their beginning."""
        unknown = [channel_id for channel_id in channel_ids if channel_id not in self.map]
        for channel_id in unknown:
            self.map[channel_id] = State(pts=_FIRST_PTS, deadline=next_updates_deadline())
        return unknown

    def begin(self, channel_ids: Iterable[int]) -> None:
        """Fetch the differences of these channels next; those without a state are left alone."""
        for channel_id in channel_ids:
            self.try_begin_get_diff(channel_id, "catching up")

    def in_difference(self) -> bool:
        """Whether the account's difference is being fetched, or is about to be."""
        return self.catch_up_queued or ENTRY_ACCOUNT in self.getting_diff_for

    def process_updates(self, updates: Any, chat_hashes: Any, result: list[Any]) -> Any:
        """Telethon's, and the proof of our own sends, which Telethon keeps from us."""
        if isinstance(updates, types.UpdatesTooLong):
            self.catch_up_queued = False
        if getattr(updates, "_self_outgoing", False):
            # The answer to a request of ours, also when nobody waits for it any more.
            for update in getattr(updates, "updates", None) or ():
                if isinstance(update, types.UpdateMessageID):
                    self._raw.updates.append(update)
        before = self._account()
        found = super().process_updates(updates, chat_hashes, result)
        asked_for = self._applying or getattr(updates, "_self_outgoing", False)
        self._pushed = self._pushed or (not asked_for and self._account() != before)
        return found

    def apply_pts_info(self, update: Any, *, reset_deadlines: Any) -> Any:
        """Telethon's; but of a channel that is not known yet the difference is fetched too, from its beginning."""
        if isinstance(update, types.UpdateChannelTooLong) and update.channel_id not in self.map:
            self.map[update.channel_id] = State(pts=_FIRST_PTS, deadline=next_updates_deadline())
        return super().apply_pts_info(update, reset_deadlines=reset_deadlines)

    def apply_difference(self, diff: Any, chat_hashes: Any) -> Any:
        """Telethon's; keeps the whole difference."""
        self._raw.add_difference(diff)
        if isinstance(diff, types.updates.DifferenceTooLong):
            _log.warning("telegram.difference_too_long", channel=False)
            self._on_too_long(0)
        with self._asked_for():
            return super().apply_difference(diff, chat_hashes)

    def apply_channel_difference(self, request: Any, diff: Any, chat_hashes: Any) -> Any:
        """Telethon's; keeps the whole difference."""
        self._raw.add_difference(diff)
        if isinstance(diff, types.updates.ChannelDifferenceTooLong):
            _log.warning("telegram.difference_too_long", channel=True)
            self._on_too_long(request.channel.channel_id)
        with self._asked_for():
            return super().apply_channel_difference(request, diff, chat_hashes)

    def _account(self) -> tuple[int, ...]:
        return tuple(self.map[entry].pts if entry in self.map else 0 for entry in (ENTRY_ACCOUNT, ENTRY_SECRET))

    @contextlib.contextmanager
    def _asked_for(self) -> Iterator[None]:
        self._applying = True
        try:
            yield
        finally:
            self._applying = False
