"""Why: a text and its formatting in one value, as it is split, stored and sent. Pure: no Markdown and no Telethon in it.

Inside, positions are Python's (code points); the stored form has Telegram's (UTF-16 units) and is what is sent, unchanged.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

ENTITIES = 100
"""Telegram looks at so many of a message (https://core.telegram.org/api/config); more would be lost there."""


class Kind(StrEnum):
    """What a part of a text is, by the names of the Bot API. They stand in the outbox: a name never changes its meaning."""

    QUOTE = "blockquote"
    LINK = "text_link"
    BOLD = "bold"
    ITALIC = "italic"
    STRIKE = "strikethrough"
    CODE = "code"
    PRE = "pre"


_ORDER = {kind: index for index, kind in enumerate(Kind)}
_STYLES = frozenset({Kind.BOLD, Kind.ITALIC, Kind.STRIKE})
_VERBATIM = frozenset({Kind.CODE, Kind.PRE})
# Not code and what may lie round it: the white space of code is a part of it.
_TRIMMED = frozenset({*_STYLES, Kind.LINK})
_VALUES = {Kind.LINK: "url", Kind.PRE: "language"}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text. `value`: the address of a link, the language of a code block."""

    kind: Kind
    start: int
    end: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text with its spans, outer ones first."""

    text: str
    spans: tuple[Span, ...] = ()

    def part(self, start: int, end: int) -> "Formatted":
        """What lies between; a span that reaches beyond is continued there."""
        text = self.text[start:end]
        clipped = (
            replace(span, start=max(span.start, start) - start, end=min(span.end, end) - start)
            for span in self.spans
            if span.start < end and start < span.end
        )
        return Formatted(text, tidy(text, clipped))

    def entities(self) -> list[dict[str, Any]] | None:
        """As it is stored: in UTF-16 units, as many as Telegram takes; None: it is plain."""
        found = []
        for span in self.spans[:ENTITIES]:
            entity: dict[str, Any] = {
                "type": span.kind.value,
                "offset": utf16_length(self.text[: span.start]),
                "length": utf16_length(self.text[span.start : span.end]),
            }
            if span.value:
                entity[_VALUES[span.kind]] = span.value
            found.append(entity)
        return found or None


def utf16_length(text: str) -> int:
    """Length as Telegram counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def tidy(text: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same formatting in the form that Telegram takes (https://core.telegram.org/bots/api#formatting-options).

    No style twice over one character, no quote within a quote, no style and no link round code; nothing that is empty.
    """
    given = sorted((span for span in spans if span.start < span.end), key=lambda span: span.start)
    links = _apart(span for span in given if span.kind is Kind.LINK)
    code = _apart(span for span in given if span.kind in _VERBATIM and not _touched(span, links))
    kept = [*links, *code, *_joined(span for span in given if span.kind is Kind.QUOTE)]
    for style in _STYLES:
        for span in _joined(span for span in given if span.kind is style):
            kept.extend(_without(span, code))
    trimmed = (_trimmed(text, span) if span.kind in _TRIMMED else span for span in kept)
    filled = (span for span in trimmed if text[span.start : span.end].strip())
    return tuple(sorted(filled, key=lambda span: (span.start, -span.end, _ORDER[span.kind])))


def _apart(spans: Iterable[Span]) -> list[Span]:
    """Of those, in order, that lie over each other only the first."""
    apart: list[Span] = []
    for span in spans:
        if not apart or apart[-1].end <= span.start:
            apart.append(span)
    return apart


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Those of one kind, in order, that lie over each other are one."""
    joined: list[Span] = []
    for span in spans:
        if joined and span.start < joined[-1].end:
            joined[-1] = replace(joined[-1], end=max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def _touched(span: Span, others: Sequence[Span]) -> Sequence[Span]:
    """Which of others, that are in order and apart from each other, lie over it."""
    first = max(0, bisect_right(others, span.start, key=lambda other: other.start) - 1)
    last = bisect_right(others, span.end - 1, key=lambda other: other.start)
    return [other for other in others[first:last] if span.start < other.end]


def _without(span: Span, others: Sequence[Span]) -> list[Span]:
    """What is left of a span beside the others."""
    left, start = [], span.start
    for other in _touched(span, others):
        left.append(replace(span, start=start, end=max(start, other.start)))
        start = other.end
    left.append(replace(span, start=start, end=max(start, span.end)))
    return [one for one in left if one.start < one.end]


def _trimmed(text: str, span: Span) -> Span:
    inside = text[span.start : span.end]
    start = span.start + len(inside) - len(inside.lstrip())
    return replace(span, start=start, end=max(start, span.start + len(inside.rstrip())))
