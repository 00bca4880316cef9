"""Why: what the bot says by itself, without a model: short lines, which are no part of the conversation. It decides none of them."""

from collections.abc import Callable, Sequence

from botfleet.store.messages import MessagePath
from botfleet.store.rows import InboxRow, NewerPending, Stored
from botrunner.conversation import texts
from botrunner.conversation.drafts import drafts
from botrunner.telegram.formatted import Formatted


class Lines:
    """Puts lines into the outbox."""

    def __init__(self, path: MessagePath, account_id: int, stored: Callable[[int], None]) -> None:
        """`stored` is called with the chat in which there is something to send."""
        self._path, self._account_id, self._stored = path, account_id, stored

    async def say(self, row: InboxRow, cause: str, text: str, *, disclose: bool = False) -> None:
        """Once for each cause: the same one has the same random_id, which is queued once. `row` stays pending."""
        whole = Formatted(texts.disclosed(text) if disclose else text)
        said = drafts(self._account_id, row, cause, whole, in_history=False, discloses=disclose)
        if not await self._path.is_queued(said[0].random_id):
            await self._path.store_answer(row.peer_id, [], said, replies_are_final=True)
            self._stored(row.peer_id)

    async def answer(
        self, turn: Sequence[InboxRow], cause: str, text: str, *, discloses: bool, kept: bool = True
    ) -> Stored | NewerPending:
        """A line that closes what it answers. `discloses`: it says that an AI writes; `kept`: it stays stored once it is sent."""
        row = turn[-1]
        said = drafts(self._account_id, row, cause, Formatted(text), in_history=False, discloses=discloses, kept=kept)
        try:
            return await self._path.store_answer(row.peer_id, turn, said, replies_are_final=True)
        finally:
            self._stored(row.peer_id)  # also when the store's answer was lost: it may be there
