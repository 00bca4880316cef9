"""Why: what goes into the message path and what comes out of it, as plain values. No SQL here, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

ACCOUNT_STATE = 0
"""The channel id under which the account's common update state is kept."""

# Marked ids of channels and supergroups lie below this; their message ids are a count of their own.
CHANNELS_BELOW = -1_000_000_000_000

_EARLIER = 1_000_000_000_000


def earlier_id(message_id: int) -> int:
    """Where a group's message stands in the supergroup that the group became: before all of its own, in the same order.

    Both count their messages by themselves, so that the two numbers could be the same. Telegram knows it by no such number.
    """
    return message_id - _EARLIER


@dataclass(frozen=True, slots=True)
class UpdateState:
    """How far an account, or one channel of it, has been taken in."""

    pts: int
    qts: int = 0
    date: datetime | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A peer's access hash, as this account knows it."""

    peer_id: int
    access_hash: int


@dataclass(frozen=True, slots=True)
class Media:
    """What a message carries: enough to know whether it is to be read. The message itself tells how to fetch it.

    `kind`: photo, voice, audio, video, sticker, document or other. `size` in bytes; `seconds` of what has a length; None: not told.
    """

    kind: str
    type: str | None = None
    size: int | None = None
    seconds: int | None = None

    def to_row(self) -> dict[str, Any]:
        """As it is stored."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that somebody wrote. `access_hash` None: not known yet."""

    peer_id: int
    message_id: int
    sender_id: int | None
    access_hash: int | None
    text: str
    date: datetime
    trace_id: str
    edit_date: datetime | None = None
    grouped_id: int | None = None
    reply_to_message_id: int | None = None
    sender_name: str | None = None
    sender_kind: str | None = None
    """A `tables.Sender`."""
    mentioned: bool = False
    topic_id: int | None = None
    """The topic of a forum, or the post under which it is a comment: by its first message."""
    thread_id: int | None = None
    """Of a group in which a channel is discussed: the first message of its thread, which may be a post. Not stored."""
    media: Media | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A message's new text."""

    peer_id: int
    message_id: int
    text: str
    edit_date: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """A message that is gone. `peer_id` None: Telegram named no chat (private chats and basic groups)."""

    message_id: int
    peer_id: int | None = None


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """A message of the account itself in a private chat. Whether the runner sent it, only the outbox knows; if it did not,
    the account's owner typed it, and the chat is the owner's until `until`. None: it gives the chat back to the bot."""

    peer_id: int
    message_id: int
    text: str
    date: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Intake:
    """Everything that moved a pts, for one transaction. `sent`: (random_id, message_id) that prove a send."""

    messages: tuple[Incoming, ...] = ()
    edits: tuple[Edit, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    states: Mapping[int, UpdateState] = field(default_factory=dict)
    peers: tuple[PeerRow, ...] = ()
    sent: tuple[tuple[int, int], ...] = ()
    own: tuple[OwnMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Migration:
    """A group became a supergroup; both as marked ids."""

    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Written:
    """A message of the account itself, as a difference brings it, whoever has written it."""

    peer_id: int
    message_id: int
    text: str
    date: datetime
    reply_to_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What an intake made of what stood already.

    `pending`: peers with messages that wait and did not before; `answered_before`: how many had been answered by a run that
    this store knows nothing of.
    """

    pending: set[int] = field(default_factory=set)
    answered_before: int = 0


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A message of the inbox."""

    peer_id: int
    message_id: int
    sender_id: int | None
    access_hash: int | None
    text: str
    date: datetime
    edit_date: datetime | None
    grouped_id: int | None
    reply_to_message_id: int | None
    trace_id: str
    received_at: datetime
    state: str
    reason: str | None
    sender_name: str | None = None
    sender_kind: str | None = None
    mentioned: bool = False
    topic_id: int | None = None
    media: dict[str, Any] | None = None
    words: str | None = None
    """What its media says; empty: it cannot be read; None: nobody has looked."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What waits in a chat, oldest first (at least one), and what is decided by.

    `opted_out`: the person said /stop and not /start since; `last_said_at`: the newest message of the history;
    `blocked`: an admin wants the person not to be answered; `taken_until`: the chat is, or was, in a person's hands until then;
    `answered_at`: when the answer was stored that lies so many back as was asked for; None: there are not so many.
    """

    pending: list[InboxRow]
    opted_out: bool
    disclosed_at: datetime | None
    last_said_at: datetime | None
    blocked: bool = False
    taken_until: datetime | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A message of the conversation, for the prompt. `role`: a `tables.Role`; `position`: its place, from 1.

    `message_id`: Telegram's, where it was asked for and is known.
    """

    role: str
    text: str
    date: datetime
    position: int = 0
    sender_id: int | None = None
    sender_name: str | None = None
    message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """The last messages of a conversation, oldest first, and what is known of those before: a summary up to a position."""

    messages: list[HistoryRow] = field(default_factory=list)
    summary: str | None = None
    summarized_to: int = 0


@dataclass(frozen=True, slots=True)
class ChatRow:
    """What is kept of a chat; all None for one that has nothing to keep."""

    disclosed_at: datetime | None = None
    closed_reason: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a person may not be answered. `taken_until`: the chat is, or was, in a person's hands until then."""

    opted_out: bool = False
    blocked: bool = False
    taken_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Silenced:
    """Of some people those who are not answered: they said /stop, or an admin wants it so."""

    opted_out: frozenset[int]
    blocked: frozenset[int]


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to send. `in_history`: it is part of the conversation; `discloses`: it says that the bot is an AI.

    `kept`: its text stays stored when it is sent; what tells of one person in another's chat does not.
    """

    cause: str
    random_id: int
    text: str
    trace_id: str
    part: int = 0
    entities: list[dict[str, Any]] | None = None
    access_hash: int | None = None
    reply_to_message_id: int | None = None
    in_history: bool = True
    discloses: bool = False
    topic_id: int | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Spending:
    """What one call of a model cost, on the UTC day on which it was made. Cost in millionths of the owner's currency."""

    day: date
    model: str
    input_tokens: int
    output_tokens: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message of the outbox. `history_position`: its place in the conversation; None: it is not part of that."""

    peer_id: int
    position: int
    random_id: int
    cause: str
    part: int
    text: str
    entities: list[dict[str, Any]] | None
    access_hash: int | None
    reply_to_message_id: int | None
    trace_id: str
    created_at: datetime
    state: str
    attempted_at: datetime | None
    not_before: datetime | None
    history_position: int | None
    topic_id: int | None = None
    attempted_in: int | None = None
    """The group in which it was attempted, before that became the supergroup in which it waits now."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer stands: so many inbox rows closed, so many outbox rows made. Both 0: it stood already."""

    closed: int
    queued: int


@dataclass(frozen=True, slots=True)
class NewerPending:
    """Nothing was written: the chat has a newer pending message, or one of those answered reads otherwise by now. Look again."""


@dataclass(frozen=True, slots=True)
class Counts:
    """For metrics."""

    pending: int
    oldest_pending_at: datetime | None
    outgoing: int
    takeovers: int
