"""Why: a batch has one final version a message before it becomes a statement. Pure: no clock, no database."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from botfleet.store.rows import Deletion, Edit, Incoming, Intake, PeerRow, UpdateState

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


def clean(text: str) -> str:
    """Text that every database takes: PostgreSQL knows no NUL, and UTF-8 no lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def fold(intake: Intake) -> Folded:
    """Two versions in one upsert are an error, an insert and an update of one row in one statement mark nothing: so fold."""
    edits = _latest_edits(intake)
    messages: dict[Key, Incoming] = {}
    for message in intake.messages:
        key = (message.peer_id, message.message_id)
        messages.setdefault(key, replace(message, text=clean(message.text)))
        edit = edits.get(key)
        if edit is not None and _newer(edit.edit_date, messages[key].edit_date):
            messages[key] = replace(messages[key], text=edit.text, edit_date=edit.edit_date)
    return Folded(
        messages=tuple(messages[key] for key in sorted(messages)),
        edits=tuple(edits[key] for key in sorted(edits)),
        deletions=tuple(dict.fromkeys(intake.deletions)),
        states=dict(intake.states),
        peers=tuple({peer.peer_id: peer for peer in intake.peers}.values()),
        sent=tuple(dict(intake.sent).items()),
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


def _newer(one: datetime, other: datetime | None) -> bool:
    return other is None or one > other
