"""Why: models write Markdown, and people shall see what it means. What is no good Markdown is shown as it is; nothing is lost.

The parser is markdown-it-py (CommonMark, and ~~strikethrough~~). Pure: the same text always gives the same result, and no
text makes it fail.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

import structlog

from botfleet.store.folding import clean
from botrunner.telegram.formatted import Formatted, Kind, Span, tidy

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_log = structlog.get_logger(__name__)

_SAFE = re.compile(r"(?:https?://|tg://|mailto:)[^\s/]", re.IGNORECASE)
_LONGEST_ADDRESS = 2048
_LANGUAGE = re.compile(r"[\w+#.-]{1,32}")
_SPANS = {"strong": Kind.BOLD, "em": Kind.ITALIC, "s": Kind.STRIKE}
# Not read: what would vanish from the text (HTML, definitions of references), and a line that is made a heading by the dashes
# under it (whoever writes them in a chat means a rule).
_NOT_READ = ["html_block", "html_inline", "reference", "lheading"]
_UNLIMITED = 1_000_000  # the parser leaves out what is nested deeper than its limit


def render(text: str) -> Formatted:
    """What a text in Markdown means."""
    text = clean(text)
    try:
        writer = _Writer(text)
        writer.blocks(_parser().parse(text))
        shown = writer.result()
    except Exception as error:  # noqa: BLE001 -- whatever a parser stumbles over, the answer is shown
        _log.warning("telegram.markdown_not_understood", error=type(error).__name__)
        return Formatted(text)
    return shown if shown.text.strip() else Formatted(text)


def is_safe(address: str) -> bool:
    """Whether a link may lead there."""
    return len(address) <= _LONGEST_ADDRESS and _SAFE.match(address) is not None


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    class Parser(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802 -- the parser's name for it
            return is_safe(url)

    return Parser("commonmark", {"maxNesting": _UNLIMITED}).enable("strikethrough").disable(_NOT_READ)


class _Open:
    """A span that has begun; `start` None: nothing of it has been written yet."""

    def __init__(self, kind: Kind, value: str) -> None:
        self.kind, self.value = kind, value
        self.start: int | None = None


class _Writer:
    """Writes the text and notes the spans. What stands before a text (a new line, a bullet) is written with its first word."""

    def __init__(self, source: str) -> None:
        self._source = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._text: list[str] = []
        self._length = 0
        self._lines = 0  # how many new lines are due
        self._due: list[str | _Open] = []
        self._open: list[_Open] = []
        self._spans: list[Span] = []
        self._lists = 0

    def result(self) -> Formatted:
        text = "".join(self._text)
        return Formatted(text, tidy(text, self._spans))

    def blocks(self, tokens: "list[Token]") -> None:
        """The blocks of a text, in their order; where something has no words its sign is shown as it is."""
        empty: list[tuple[int, str]] = []
        for token in tokens:
            match token.type:
                case "inline":
                    self._begin_block(token)
                    self._inline(token.children or [])
                case "fence" | "code_block":
                    self._code_block(token)
                case "hr":
                    self._begin_block(token)
                    self._write("———")
                case "heading_open":
                    empty.append((self._length, token.markup))
                    self._begin(Kind.BOLD)
                case "blockquote_open":
                    empty.append((self._length, ">"))
                    self._begin_block(token)
                    self._begin(Kind.QUOTE)
                case "list_item_open":
                    empty.append((self._length, f"{token.info}{token.markup}"))
                    self._begin_item(token)
                case "bullet_list_open" | "ordered_list_open":
                    self._lists += 1
                case "bullet_list_close" | "ordered_list_close":
                    self._lists -= 1
                case "heading_close" | "blockquote_close" | "list_item_close":
                    self._end_block(token, *empty.pop())

    def _inline(self, tokens: "list[Token]") -> None:
        for token in tokens:
            name, _, side = token.type.rpartition("_")
            match token.type:
                case "softbreak" | "hardbreak":
                    self._write("\n" + "  " * self._lists)
                case "code_inline":
                    self._begin(Kind.CODE)
                    self._write(token.content)
                    self._end()
                case "link_open":
                    self._begin_link(str(token.attrs.get("href", "")))
                case "link_close":
                    self._end_link()
                case "image":
                    self._begin_link(str(token.attrs.get("src", "")))
                    self._write(token.content)
                    self._end_link()
                case _ if name in _SPANS and side == "open":
                    self._begin(_SPANS[name])
                case _ if name in _SPANS and side == "close":
                    self._end()
                case _:
                    self._write(token.content)

    def _begin_block(self, token: "Token") -> None:
        """As far from what is before it as in the source: on a line of its own, or with an empty line between."""
        first = token.map[0] if token.map else 0
        blank = first > 0 and not self._source[first - 1].strip("> \t")
        self._lines = max(self._lines, 2 if blank else 1)

    def _end_block(self, token: "Token", before: int, sign: str) -> None:
        if token.type == "list_item_close":
            if self._length == before:
                self._due.pop()
                self._write("  " * (self._lists - 1) + sign, indented=False)
            return
        if self._length == before:
            self._begin_block(token)
            self._write(sign)
        self._end()

    def _begin_item(self, token: "Token") -> None:
        self._begin_block(token)
        sign = f"{token.info}{token.markup}" if token.info else "•"
        self._due.append("  " * (self._lists - 1) + sign + " ")

    def _code_block(self, token: "Token") -> None:
        self._begin_block(token)
        info, code = token.info.strip(), token.content.rstrip("\n")
        language = info if _LANGUAGE.fullmatch(info) else ""
        if info and not language:  # words, no language
            code = f"{info}\n{code}"
        if not code.strip():
            self._write(f"{token.markup}{info}\n{token.markup}" if token.markup else token.content)
            return
        self._begin(Kind.PRE, language)
        self._write(code, indented=False)
        self._end()

    def _begin_link(self, address: str) -> None:
        self._begin(Kind.LINK, address)
        if not is_safe(address):
            self._write("[")

    def _end_link(self) -> None:
        link = self._open[-1]
        if not is_safe(link.value):
            self._write(f"]({link.value})")
            link.start = None
        elif link.start is None:  # no words: the address is shown
            self._write(link.value)
        self._end()

    def _begin(self, kind: Kind, value: str = "") -> None:
        self._open.append(_Open(kind, value))
        self._due.append(self._open[-1])

    def _end(self) -> None:
        span = self._open.pop()
        if span in self._due:
            self._due.remove(span)
        if span.start is not None:
            self._spans.append(Span(span.kind, span.start, self._length, span.value))

    def _write(self, text: str, *, indented: bool = True) -> None:
        if not text:
            return
        if self._text:
            self._append("\n" * self._lines)
        if self._lines and self._lists and indented and not any(isinstance(due, str) for due in self._due):
            self._append("  " * self._lists)
        self._lines = 0
        for due in self._due:
            if isinstance(due, str):
                self._append(due)
            else:
                due.start = self._length
        self._due.clear()
        self._append(text)

    def _append(self, text: str) -> None:
        if text:
            self._text.append(text)
            self._length += len(text)
