"""Why: a batch has one final version a message before it becomes a statement. Pure: no clock, no database."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from botfleet.store.rows import (
    CHANNELS_BELOW,
    Deletion,
    Edit,
    Incoming,
    Intake,
    Media,
    OwnMessage,
    PeerRow,
    UpdateState,
)
from botfleet.store.tables import InboxState

DELETED = "Deleted"

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Folded:
    """An intake in which no key comes twice. `edits` includes those that came with a message that may be known already."""

    messages: tuple[Incoming, ...]
    edits: tuple[Edit, ...]
    deletions: tuple[Deletion, ...]
    states: dict[int, UpdateState]
    peers: tuple[PeerRow, ...]
    sent: tuple[tuple[int, int], ...]
    own: tuple[OwnMessage, ...] = ()

    def message_rows(self) -> list[dict[str, Any]]:
        """Columns of the inbox; a message that its own batch deletes is closed from the start."""
        gone = _Gone(self.deletions)
        return [
            {
                "peer_id": row.peer_id,
                "message_id": row.message_id,
                "sender_id": row.sender_id,
                "access_hash": row.access_hash,
                "text": row.text,
                "date": row.date,
                "edit_date": row.edit_date,
                "grouped_id": row.grouped_id,
                "reply_to_message_id": row.reply_to_message_id,
                "sender_name": row.sender_name,
                "sender_kind": row.sender_kind,
                "mentioned": row.mentioned,
                "topic_id": row.topic_id,
                "media": None if row.media is None else row.media.to_row(),
                "trace_id": row.trace_id,
                "state": (InboxState.SKIPPED if gone.has(row.peer_id, row.message_id) else InboxState.PENDING).value,
                "reason": DELETED if gone.has(row.peer_id, row.message_id) else None,
            }
            for row in self.messages
        ]


class _Gone:
    """What a batch deletes."""

    def __init__(self, deletions: Iterable[Deletion]) -> None:
        self._named = {(gone.peer_id, gone.message_id) for gone in deletions}

    def has(self, peer_id: int, message_id: int) -> bool:
        return (peer_id, message_id) in self._named or (peer_id > CHANNELS_BELOW and (None, message_id) in self._named)


def clean(text: str) -> str:
    """Text that every database takes: PostgreSQL knows no NUL, and UTF-8 no lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _clean_media(media: Media) -> Media:
    """Its type is what the sender calls it."""
    return media if media.type is None else replace(media, type=clean(media.type))


def all_words(text: str, words: str | None) -> str:
    """What a message says in whole: its text, and below it what its media says."""
    return "\n".join(part for part in (text, words) if part)


def fold(intake: Intake) -> Folded:
    """Two versions in one upsert are an error, an insert and an update of one row in one statement mark nothing: so fold."""
    edits = _latest_edits(intake)
    gone = _Gone(intake.deletions)
    messages: dict[Key, Incoming] = {}
    for message in intake.messages:
        key = (message.peer_id, message.message_id)
        name = None if message.sender_name is None else clean(message.sender_name)
        media = None if message.media is None else _clean_media(message.media)
        messages.setdefault(key, replace(message, text=clean(message.text), sender_name=name, media=media))
        edit = edits.get(key)
        if edit is not None and not _older(edit.edit_date, messages[key].edit_date):
            messages[key] = replace(messages[key], text=edit.text, edit_date=edit.edit_date)
    return Folded(
        messages=tuple(messages[key] for key in sorted(messages)),
        # One statement changes a row once: the deletion of an edited message stands.
        edits=tuple(edits[key] for key in sorted(edits) if not gone.has(*key)),
        deletions=tuple(dict.fromkeys(intake.deletions)),
        states=dict(intake.states),
        peers=tuple({peer.peer_id: peer for peer in intake.peers}.values()),
        sent=tuple(dict(intake.sent).items()),
        own=tuple(
            replace(own, text=clean(own.text))
            for _, own in sorted({(own.peer_id, own.message_id): own for own in intake.own}.items())
        ),
    )


def _latest_edits(intake: Intake) -> dict[Key, Edit]:
    latest: dict[Key, Edit] = {}
    for edit in (*_edits_of(intake.messages), *intake.edits):
        known = latest.get((edit.peer_id, edit.message_id))
        # Of two edits within one second the later in the batch is the newer.
        if known is None or edit.edit_date >= known.edit_date:
            latest[edit.peer_id, edit.message_id] = replace(edit, text=clean(edit.text))
    return latest


def _edits_of(messages: Iterable[Incoming]) -> Iterable[Edit]:
    for message in messages:
        if message.edit_date is not None:
            yield Edit(message.peer_id, message.message_id, message.text, message.edit_date)


def _older(one: datetime, other: datetime | None) -> bool:
    return other is not None and one < other
