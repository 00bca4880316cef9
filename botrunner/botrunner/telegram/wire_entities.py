"""Why: formatting as it stands in the outbox, in the words of Telegram's protocol. A row says what it says: whatever in it cannot
be understood (a later program wrote it) is left out, and the text is sent.
"""

from collections.abc import Callable, Iterable
from typing import Any

from telethon.tl import types

from botrunner.telegram.formatted import Kind

_MAKE: dict[str, Callable[[dict[str, Any], int, int], Any]] = {
    Kind.QUOTE: lambda _, offset, length: types.MessageEntityBlockquote(offset, length),
    Kind.LINK: lambda entity, offset, length: types.MessageEntityTextUrl(offset, length, str(entity["url"])),
    Kind.BOLD: lambda _, offset, length: types.MessageEntityBold(offset, length),
    Kind.ITALIC: lambda _, offset, length: types.MessageEntityItalic(offset, length),
    Kind.STRIKE: lambda _, offset, length: types.MessageEntityStrike(offset, length),
    Kind.CODE: lambda _, offset, length: types.MessageEntityCode(offset, length),
    Kind.PRE: lambda entity, offset, length: types.MessageEntityPre(offset, length, str(entity.get("language", ""))),
}


def wire_entities(stored: Iterable[dict[str, Any]] | None) -> list[Any] | None:
    """What goes with the text in a request; None: it is plain."""
    found = []
    for entity in stored or ():
        make = _MAKE.get(entity.get("type", ""))
        offset, length = entity.get("offset"), entity.get("length")
        if make is not None and isinstance(offset, int) and isinstance(length, int):
            found.append(make(entity, offset, length))
    return found or None
