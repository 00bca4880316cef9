"""Why: Telegram takes 4096 UTF-16 units in a message. A longer text is split where a reader would split it. Pure.

It loses nothing but white space at the seams, never cuts through a character, and goes on with the formatting in the next part.
"""

import re
from collections.abc import Iterator, Sequence

from botrunner.telegram.formatted import Formatted, Kind, Span, utf16_length
from botrunner.telegram.graphemes import is_boundary

LIMIT = 4096
"""Of a text message, in UTF-16 units (https://core.telegram.org/api/config, message_length_max)."""

# From the best seam to the worst: after a paragraph, a line, a sentence, a word.
_SEAMS = (re.compile(r"\n\s*\n\s*"), re.compile(r"\n\s*"), re.compile(r"(?<=[.!?…])\s+"), re.compile(r"\s+"))
_SPACE = re.compile(r"\s*")
# A seam that leaves the part nearly empty is no good seam.
_LEAST = 0.3


def split(whole: Formatted, limit: int = LIMIT) -> list[Formatted]:
    """The parts of a text, none longer than `limit` UTF-16 units, none empty. No text: no parts.

    Raises:
        ValueError: the limit is too small for a character.
    """
    if limit < 2:
        raise ValueError("a character may need two UTF-16 units")
    blocks = [span for span in whole.spans if span.kind is Kind.PRE]
    return [whole.part(start, end) for start, end in _ranges(whole.text, blocks, limit)]


def _ranges(text: str, blocks: Sequence[Span], limit: int) -> Iterator[tuple[int, int]]:
    last = len(text.rstrip())
    at = _start_of_part(text, 0, blocks, limit)
    while at < last:
        fits = _fitting(text, at, last, limit)
        end = fits if fits == last else _cut(text, at, fits)
        yield at, at + len(text[at:end].rstrip())
        at = _start_of_part(text, end, blocks, limit)


def _fitting(text: str, at: int, last: int, limit: int) -> int:
    """Up to where it fits."""
    window = text[at : min(last, at + limit)]
    if window.isascii() or utf16_length(window) <= limit:
        return at + len(window)
    units = 0
    for index, character in enumerate(window):
        units += 2 if character > "\uffff" else 1
        if units > limit:
            return at + index
    raise AssertionError("it fits")


def _cut(text: str, at: int, fits: int) -> int:
    """Where the part ends that begins at `at`; not all that is left fits."""
    # With the white space that follows: a seam that begins right after the last character that fits is a seam too, and whole.
    space = _SPACE.match(text, fits)
    window, size = text[at : space.end() if space else fits], fits - at
    for seam in _SEAMS:
        best = None
        for match in seam.finditer(window):
            if size * _LEAST <= match.start() <= size:
                best = match.start()
        if best:
            return at + best
    end = fits
    while end > at + 1 and not is_boundary(text, end):
        end -= 1
    return fits if end == at + 1 and not is_boundary(text, end) else end


def _start_of_part(text: str, at: int, blocks: Sequence[Span], limit: int) -> int:
    """Behind the white space at a seam. In a code block the indentation of the line that follows is no such space."""
    found = _SPACE.match(text, at)
    start = found.end() if found else at
    if any(block.start <= start < block.end for block in blocks):
        line = max(text.rfind("\n", at, start) + 1, at, *(b.start for b in blocks if b.start <= start < b.end))
        if start - line <= limit // 8:  # more of it would be a part without a word
            return line
    return start
