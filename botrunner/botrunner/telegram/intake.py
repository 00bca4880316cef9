"""Why: turns what Telegram sent into what is stored: messages, edits, deletions, proofs of sends. Pure: no I/O, no clock.

It decides nothing about answering. Service messages ("joined the group") and the account's own messages are no inbox rows; of a
person's account, what its owner may have typed into a private chat is told all the same: only the store knows who it was.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from telethon import utils
from telethon.tl import types

from botfleet.store.rows import Deletion, Edit, Incoming, Intake, OwnMessage, UpdateState
from botfleet.store.tables import Sender
from botrunner.telegram.addressing import is_post, mentions, reply_to, thread_of, topic_of
from botrunner.telegram.attachments import media_of
from botrunner.telegram.entities import Entities, channel_peer_id
from botrunner.telegram.types import OwnerTyping

NEW = (types.UpdateNewMessage, types.UpdateNewChannelMessage)
_EDITED = (types.UpdateEditMessage, types.UpdateEditChannelMessage)


@dataclass
class Raw:
    """What one step of Telethon's update loop was given, before Telethon dropped or reordered anything of it."""

    messages: list[Any] = field(default_factory=list)
    """Of differences: whole messages, the new ones first."""
    updates: list[Any] = field(default_factory=list)
    entities: list[Any] = field(default_factory=list)
    """Users and chats."""

    def add_difference(self, difference: Any) -> None:
        """Of the account or of a channel; kinds that carry nothing add nothing.

        The few latest messages of a channelDifferenceTooLong are left out: nothing tells which of them are new.
        """
        self.messages.extend(getattr(difference, "new_messages", None) or ())
        self.updates.extend(getattr(difference, "other_updates", None) or ())
        self.entities.extend(getattr(difference, "users", None) or ())
        self.entities.extend(getattr(difference, "chats", None) or ())

    def add(self, updates: Iterable[Any], users: Iterable[Any], chats: Iterable[Any]) -> None:
        """What Telethon hands over, after what it was given."""
        self.updates.extend(updates)
        self.entities.extend(users)
        self.entities.extend(chats)


class Collector:
    """Builds an intake for one account."""

    def __init__(self, self_id: int, entities: Entities, owner: OwnerTyping | None = None) -> None:
        """`owner`: of a person's account, what it means that they type; None: nobody but the runner writes."""
        self._self_id = self_id
        self._entities = entities
        self._owner = owner

    def collect(self, raw: Raw, states: Mapping[int, UpdateState]) -> Intake:
        """The intake of one step; `states` are those that have moved."""
        peers = self._entities.learn(raw.entities)
        messages: dict[tuple[int, int], Incoming] = {}
        edits: list[Edit] = []
        deletions: list[Deletion] = []
        sent: list[tuple[int, int]] = []
        own: list[OwnMessage] = []
        for message in (*raw.messages, *(update.message for update in raw.updates if isinstance(update, NEW))):
            self._add(messages, self._incoming(message))
            if isinstance(message, types.Message) and message.out and not message.offline:
                own.extend(self._own(utils.get_peer_id(message.peer_id), message.id, message.message, message.date))
        for update in raw.updates:
            if isinstance(update, types.UpdateShortMessage):
                self._add(messages, self._short(update, update.user_id, update.user_id))
                if update.out:
                    own.extend(self._own(update.user_id, update.id, update.message, update.date))
            elif isinstance(update, types.UpdateShortChatMessage):
                self._add(messages, self._short(update, -update.chat_id, update.from_id))
            elif isinstance(update, _EDITED):
                edits.extend(self._edit(update.message))
            elif isinstance(update, types.UpdateDeleteMessages):
                deletions.extend(Deletion(message_id) for message_id in update.messages)
            elif isinstance(update, types.UpdateDeleteChannelMessages):
                peer_id = channel_peer_id(update.channel_id)
                deletions.extend(Deletion(message_id, peer_id) for message_id in update.messages)
            elif isinstance(update, types.UpdateMessageID):
                sent.append((update.random_id, update.id))
        return Intake(
            messages=tuple(messages.values()),
            edits=tuple(edits),
            deletions=tuple(deletions),
            states=dict(states),
            peers=tuple(peers),
            sent=tuple(sent),
            own=tuple(own),
        )

    @staticmethod
    def _add(messages: dict[tuple[int, int], Incoming], message: Incoming | None) -> None:
        if message is not None:  # the same one can come raw and by Telethon: the first stands
            messages.setdefault((message.peer_id, message.message_id), message)

    def _incoming(self, message: Any) -> Incoming | None:
        if not isinstance(message, types.Message) or message.out:
            return None
        peer_id = utils.get_peer_id(message.peer_id)
        if peer_id == self._self_id:
            return None  # "saved messages"
        sender = message.from_id or (message.peer_id if peer_id > 0 else None)
        sender_id = utils.get_peer_id(sender) if sender is not None else None
        return Incoming(
            peer_id=peer_id,
            message_id=message.id,
            sender_id=sender_id,
            access_hash=self._entities.get(peer_id),
            text=message.message or "",
            date=message.date,
            trace_id=new_trace_id(),
            edit_date=message.edit_date if not message.edit_hide else None,
            grouped_id=message.grouped_id,
            sender_kind=Sender.CHANNEL if is_post(message) else self._kind(message, sender_id),
            media=media_of(message),
            **self._common(message, peer_id, sender_id),
        )

    def _short(self, update: Any, peer_id: int, sender_id: int) -> Incoming | None:
        """A message in short form: a string, ids, and nobody's access hash."""
        if update.out or peer_id == self._self_id:
            return None
        return Incoming(
            peer_id=peer_id,
            message_id=update.id,
            sender_id=sender_id,
            access_hash=self._entities.get(peer_id),
            text=update.message,
            date=update.date,
            trace_id=new_trace_id(),
            sender_kind=self._kind(update, sender_id),
            **self._common(update, peer_id, sender_id),
        )

    def _common(self, message: Any, peer_id: int, sender_id: int | None) -> dict[str, Any]:
        """What both forms have in the same way. A name is kept where it is needed: where more than one person speaks."""
        known = None if sender_id is None or peer_id > 0 else self._entities.profile(sender_id)
        return {
            "reply_to_message_id": reply_to(message),
            "topic_id": topic_of(message),
            "thread_id": thread_of(message) if self._entities.is_discussion(peer_id) else None,
            "sender_name": None if known is None else known.name,
            "mentioned": mentions(message, self._self_id),
        }

    def _kind(self, message: Any, sender_id: int | None) -> Sender | None:
        known = None if sender_id is None else self._entities.profile(sender_id)
        return Sender.BOT if message.via_bot_id or (known is not None and known.bot) else None

    def _own(self, peer_id: int, message_id: int, text: str | None, date: datetime) -> Iterable[OwnMessage]:
        """Of the account itself, in a private chat. An automatic greeting (`offline`) is nobody's typing."""
        if self._owner is None or peer_id <= 0 or peer_id == self._self_id:
            return
        until = None if self._owner.is_release(text or "") else date + self._owner.lasts
        yield OwnMessage(peer_id, message_id, text or "", date, until)

    def _edit(self, message: Any) -> list[Edit]:
        # A hidden edit is Telegram's own (a reaction, a preview): the person changed nothing.
        if not isinstance(message, types.Message) or message.out or message.edit_date is None or message.edit_hide:
            return []
        return [Edit(utils.get_peer_id(message.peer_id), message.id, message.message or "", message.edit_date)]


def new_trace_id() -> str:
    """Follows a message from the update to the reply: 32 hex digits, as W3C Trace Context has them."""
    return uuid.uuid4().hex


def moved_states(
    stored: Mapping[int, UpdateState], box: tuple[Mapping[str, Any], Mapping[int, int]]
) -> dict[int, UpdateState]:
    """Which states of Telethon's message box differ from the stored ones; a date alone is no difference.

    Args:
        stored: by channel id, 0 for the account.
        box: what `MessageBox.session_state()` returns.
    """
    account, channels = box
    states = {
        channel_id: UpdateState(pts)
        for channel_id, pts in channels.items()
        if stored.get(channel_id) != UpdateState(pts)
    }
    now = UpdateState(account["pts"], account["qts"], account["date"], account["seq"])
    was = stored.get(0)
    if now.pts and (was is None or (was.pts, was.qts, was.seq) != (now.pts, now.qts, now.seq)):
        states[0] = now
    return states


def moves_only(intake: Intake, stored: Mapping[int, UpdateState]) -> bool:
    """Nothing but states of which earlier ones are stored: what they leave out would come again."""
    return intake.states.keys() <= stored.keys() and intake == Intake(states=intake.states)


def is_empty(intake: Intake) -> bool:
    """Nothing to store."""
    return not any(getattr(intake, part.name) for part in fields(intake))
