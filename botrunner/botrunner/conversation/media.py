"""Why: whether what a message carries is to be seen or heard, decided from what was stored with it and from the owner's word. Pure.

Whatever is neither stays as it was: a caption is read, and what has none is answered with the owner's line.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

from botfleet.model import Model
from botfleet.store.folding import all_words
from botfleet.store.rows import InboxRow
from botrunner.model.messages import Picture

PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
_HEADS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"GIF8": "image/gif"}

SOUND_BYTES_A_SECOND = (
    32_000  # far more than any voice message has: who says "one second" of a gigabyte is not believed
)
MOST_SOUND_BYTES = 20_000_000  # what endpoints take is 25 MB
MOST_PICTURES = 10  # of one turn: an album
TURN_BYTES = 6_000_000  # of a turn's pictures together, unless one alone may be larger

WORDLESS = "(a picture without words)"
"""How a message that was a picture alone stands among words."""


class Use(Enum):
    """What is done with it before the message is answered."""

    SEE = auto()
    HEAR = auto()


def use_of(media: Mapping[str, Any] | None, words: str | None, model: Model) -> Use | None:
    """What is to be done with it; None: nothing, or it was done."""
    if media is None or words is not None:
        return None
    kind, size, seconds = media.get("kind"), media.get("size"), media.get("seconds")
    if kind == "voice":
        voices = model.transcription
        if voices is None or seconds is None or seconds > voices.max_seconds or (size or 0) > most_sound(model):
            return None
        return Use.HEAR
    if not model.sees or (
        kind != "photo" and (kind not in ("document", "sticker") or media.get("type") not in PICTURES)
    ):
        return None
    return Use.SEE if (size or 0) <= model.max_image_bytes else None


def most_sound(model: Model) -> int:
    """Bytes of a voice message."""
    seconds = model.transcription.max_seconds if model.transcription else 0
    return min(MOST_SOUND_BYTES, SOUND_BYTES_A_SECOND * seconds)


def words_of(row: InboxRow) -> str:
    """What a message of a turn says, as it is shown to the model; it has a picture if it says nothing."""
    return all_words(row.text if row.text.strip() else "", row.words) or WORDLESS


def picture_of(data: bytes, row: InboxRow) -> Picture | None:
    """The picture, known by its own bytes: whatever its sender calls it, nothing else is shown to a model as one."""
    kind = next((kind for head, kind in _HEADS.items() if data.startswith(head)), None)
    if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    return None if kind is None else Picture(kind, data, alone=words_of(row) == WORDLESS)


def together(rows: Sequence[InboxRow], ids: frozenset[int]) -> frozenset[int]:
    """Albums are one: who addresses the bot in the caption of one picture means them all."""
    albums = {row.grouped_id for row in rows if row.message_id in ids and row.grouped_id is not None}
    return ids | {row.message_id for row in rows if row.grouped_id in albums}
