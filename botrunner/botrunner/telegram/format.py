"""Why: Telegram takes 4096 UTF-16 units in a message. A longer text is split where a reader would split it. Pure.

It loses nothing but white space at the seams, and never cuts through a character.
"""

import re
import unicodedata

LIMIT = 4096
"""Of a text message, in UTF-16 units (https://core.telegram.org/api/config, message_length_max)."""

# From the best seam to the worst: after a paragraph, a line, a sentence, a word.
_SEAMS = (re.compile(r"\n\s*\n\s*"), re.compile(r"\n\s*"), re.compile(r"(?<=[.!?…])\s+"), re.compile(r"\s+"))
# A seam that leaves the part nearly empty is no good seam.
_LEAST = 0.3
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")


def utf16_length(text: str) -> int:
    """Length as Telegram counts it."""
    return len(text) + sum(character > "\uffff" for character in text)


def split(text: str, limit: int = LIMIT) -> list[str]:
    """The parts of a text, none longer than `limit` UTF-16 units, none empty. No text: no parts.

    Raises:
        ValueError: the limit is too small for a character.
    """
    if limit < 2:
        raise ValueError("a character may need two UTF-16 units")
    parts = []
    rest = text.strip()
    while rest:
        size = _fitting(rest, limit)
        if size < len(rest):
            part, rest = _cut(rest, size)
        else:
            part, rest = rest, ""
        parts.append(part)
    return parts


def _fitting(text: str, limit: int) -> int:
    """How many characters from the start fit."""
    if len(text) * 2 <= limit:
        return len(text)
    units = 0
    for index, character in enumerate(text):
        units += 2 if character > "\uffff" else 1
        if units > limit:
            return index
    return len(text)


def _cut(text: str, size: int) -> tuple[str, str]:
    """The part and the rest; `size` characters fit."""
    # One more than fits: a seam that begins right after the last character that fits is a seam too.
    window = text[: size + 1]
    for seam in _SEAMS:
        best = None
        for match in seam.finditer(window):
            if size * _LEAST <= match.start() <= size:
                best = match
        if best is not None:
            return text[: best.start()].rstrip(), text[best.start() :].lstrip()
    at = size
    while at > 1 and _belongs_to_the_one_before(text, at):
        at -= 1
    at = size if at == 1 else at
    return text[:at], text[at:].lstrip()


def _belongs_to_the_one_before(text: str, at: int) -> bool:
    """Whether a cut here would tear a character from its accents, or an emoji from its parts."""
    return text[at] in _JOINERS or text[at - 1] == "\u200d" or unicodedata.combining(text[at]) != 0
