"""Why: turns what Telegram sent into what is stored: messages, edits, deletions, proofs of sends. Pure: no I/O, no clock.

It decides nothing about answering. Service messages ("joined the group") and the account's own messages are no inbox rows; of a
person's account, what its owner may have typed into a private chat is told all the same: only the store knows who it was. What
cannot be made out of one message or update costs that one, never the rest (careful.py).
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from typing import Any

from telethon.tl import types

from botfleet.store.rows import Deletion, Edit, Incoming, Intake, Media, OwnMessage, UpdateState
from botfleet.store.tables import Sender
from botrunner.telegram.addressing import is_post, mentions, reply_to, thread_of, topic_of
from botrunner.telegram.attachments import media_of
from botrunner.telegram.careful import read
from botrunner.telegram.entities import Entities, channel_peer_id, marked
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


@dataclass
class _Found:
    """What an intake is made of."""

    messages: dict[tuple[int, int], Incoming] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)
    own: list[OwnMessage] = field(default_factory=list)

    def add(self, message: Incoming | None) -> None:
        if message is not None:  # the same one can come raw and by Telethon: the first stands
            self.messages.setdefault((message.peer_id, message.message_id), message)


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
        found = _Found()
        given = (*raw.messages, *(update.message for update in raw.updates if isinstance(update, NEW)))
        for message in {id(one): one for one in given}.values():  # Telethon hands on those of a difference as they are
            if isinstance(message, types.Message):
                read(message, partial(self._message, found))
        for update in raw.updates:
            read(update, partial(self._update, found))
        return Intake(
            messages=tuple(found.messages.values()),
            edits=tuple(found.edits),
            deletions=tuple(found.deletions),
            states=dict(states),
            peers=tuple(peers),
            sent=tuple(found.sent),
            own=tuple(found.own),
        )

    def _message(self, found: _Found, message: Any) -> None:
        if not message.out:
            found.add(read(message, self._incoming, self._unreadable))
        elif not message.offline:
            found.own.extend(self._own(marked(message.peer_id), message.id, message.message, message.date))

    def _update(self, found: _Found, update: Any) -> None:
        if isinstance(update, types.UpdateShortMessage):
            found.add(self._short(update, update.user_id, update.user_id))
            if update.out:
                found.own.extend(self._own(update.user_id, update.id, update.message, update.date))
        elif isinstance(update, types.UpdateShortChatMessage):
            found.add(self._short(update, marked(types.PeerChat(update.chat_id)), update.from_id))
        elif isinstance(update, _EDITED):
            found.edits.extend(self._edit(update.message))
        elif isinstance(update, types.UpdateDeleteMessages):
            found.deletions.extend(Deletion(message_id) for message_id in update.messages)
        elif isinstance(update, types.UpdateDeleteChannelMessages):
            peer_id = channel_peer_id(update.channel_id)
            found.deletions.extend(Deletion(message_id, peer_id) for message_id in update.messages)
        elif isinstance(update, types.UpdateMessageID):
            found.sent.append((update.random_id, update.id))

    def _incoming(self, message: Any) -> Incoming | None:
        essence = self._essence(message)
        if essence is None:
            return None
        return replace(
            essence,
            edit_date=message.edit_date if not message.edit_hide else None,
            grouped_id=message.grouped_id,
            media=media_of(message),
            **self._common(message, essence.peer_id, essence.sender_id),
        )

    def _unreadable(self, message: Any) -> Incoming | None:
        """One of which no more is understood than who says what to whom: it counts as what cannot be looked at."""
        essence = self._essence(message)
        return None if essence is None else replace(essence, media=Media("other"))

    def _essence(self, message: Any) -> Incoming | None:
        peer_id = marked(message.peer_id)
        if peer_id == self._self_id:
            return None  # "saved messages"
        sender = message.from_id or (message.peer_id if peer_id > 0 else None)
        sender_id = marked(sender) if sender is not None else None
        return Incoming(
            peer_id=peer_id,
            message_id=message.id,
            sender_id=sender_id,
            access_hash=self._entities.get(peer_id),
            text=message.message or "",
            date=message.date,
            trace_id=new_trace_id(),
            sender_kind=Sender.CHANNEL if is_post(message) else self._kind(message, sender_id),
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
        return [Edit(marked(message.peer_id), message.id, message.message or "", message.edit_date)]


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
