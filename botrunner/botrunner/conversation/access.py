"""Why: whom a bot answers, and where, decided from data alone: no clock, no store, no Telegram."""

import re
from dataclasses import dataclass

from botfleet.effective import Access
from botfleet.spec.access import Groups
from botfleet.store.tables import Sender
from botrunner.conversation.skips import Skip


@dataclass(frozen=True)
class Letter:
    """What is asked of a message: who wrote it, where, and whether it is for the bot."""

    peer_id: int
    sender_id: int | None
    sender_kind: str | None = None
    addressed: bool = False

    @property
    def person_id(self) -> int:
        """Who speaks."""
        return person_of(self.peer_id, self.sender_id)


def person_of(peer_id: int, sender_id: int | None) -> int:
    """Who speaks: in a private chat the other side; in a group its sender, or the group itself when nobody is named.

    An admin who writes anonymously writes as the group.
    """
    return peer_id if peer_id > 0 or sender_id is None else sender_id


def refusal(letter: Letter, access: Access) -> Skip | None:
    """Why this message gets no answer; None: it may get one."""
    if letter.sender_kind == Sender.BOT:
        return Skip.FROM_BOT  # two bots in one chat would never come to an end
    if letter.sender_kind == Sender.CHANNEL:
        return Skip.CHANNEL_POST
    if letter.person_id in access.deny:
        return Skip.DENIED
    if access.allow and letter.person_id not in access.allow:
        return Skip.NOT_ALLOWED
    if letter.peer_id > 0:
        return None if access.private_chats else Skip.PRIVATE_CHATS_OFF
    if access.groups == Groups.OFF:
        return Skip.GROUPS_OFF
    if access.groups == Groups.MENTION and not letter.addressed:
        return Skip.NOT_MENTIONED
    return None


def names(text: str, username: str | None) -> bool:
    """Whether a text names the bot: `@the_bot`, in whatever case, and not inside of another word; also `/word@the_bot`."""
    if username is None:
        return False
    return re.search(rf"(?:(?<!\w)|(?<!\S)/\w+)@{re.escape(username)}(?!\w)", text, re.IGNORECASE) is not None
