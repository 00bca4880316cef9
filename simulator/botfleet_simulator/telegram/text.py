"""What Telegram does with the text of a message: limits in UTF-16 units, trimming, entities checked and found.

Pure functions; they must never look anything up.
"""

import re
from collections.abc import Iterable
from typing import Any

from telethon.tl import types

from botfleet_simulator.telegram.errors import RpcError

MESSAGE_LIMIT = 4096
CAPTION_LIMIT = 1024
ENTITY_LIMIT = 100
_FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"]+[^\s<>\".,;:!?)])"
    r"|(?P<email>[\w.+-]+@[\w-]+\.[\w.-]*\w)"
    r"|(?<![\w/])(?P<command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z]\w{2,31})?)\b"
    r"|(?<!\w)(?P<mention>@[A-Za-z]\w{2,31})\b"
    r"|(?<!\w)(?P<hashtag>#\w*[^\W\d]\w*)"
)
_KINDS = {
    "url": types.MessageEntityUrl,
    "email": types.MessageEntityEmail,
    "command": types.MessageEntityBotCommand,
    "mention": types.MessageEntityMention,
    "hashtag": types.MessageEntityHashtag,
}


def utf16_length(text: str) -> int:
    """The length as Telegram counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def clean(text: str | None, entities: Iterable[Any] | None, *, caption: bool = False) -> tuple[str, list[Any]]:
    """The text and entities that are kept; a caption may be empty.

    Raises MESSAGE_EMPTY, MESSAGE_TOO_LONG, MEDIA_CAPTION_TOO_LONG or ENTITY_BOUNDS_INVALID.
    """
    given = list(entities or ())
    length = utf16_length(text or "")
    for entity in given:
        if entity.offset < 0 or entity.length <= 0 or entity.offset + entity.length > length:
            raise RpcError("ENTITY_BOUNDS_INVALID")
    kept = (text or "").rstrip()
    if not kept.strip() and not caption:
        raise RpcError("MESSAGE_EMPTY")
    if length > (CAPTION_LIMIT if caption else MESSAGE_LIMIT):
        raise RpcError("MEDIA_CAPTION_TOO_LONG" if caption else "MESSAGE_TOO_LONG")
    end = length if kept == text else utf16_length(kept)
    given = [_clipped(entity, end) for entity in given[:ENTITY_LIMIT] if entity.offset < end]
    given.extend(_found(kept, given))
    given.sort(key=lambda entity: (entity.offset, -entity.length))
    return kept, given


def names_in(text: str, entities: Iterable[Any]) -> set[str]:
    """Usernames that a text mentions or addresses a command to, in small letters."""
    names = set()
    raw = text.encode("utf-16-le") if not text.isascii() else b""
    for entity in entities:
        if isinstance(entity, types.MessageEntityMention | types.MessageEntityBotCommand):
            start, end = entity.offset, entity.offset + entity.length
            part = raw[start * 2 : end * 2].decode("utf-16-le") if raw else text[start:end]
            name = part.partition("@")[2]
            if name:
                names.add(name.casefold())
    return names


def is_command(text: str) -> bool:
    """Whether a message is a command as bots in privacy mode get it."""
    return text.startswith("/") and len(text) > 1


def _clipped(entity: Any, end: int) -> Any:
    entity.length = min(entity.length, end - entity.offset)
    return entity


def _found(text: str, given: list[Any]) -> list[Any]:
    if not any(sign in text for sign in "/@#"):
        return []
    taken = [(entity.offset, entity.offset + entity.length) for entity in given]
    found = []
    for match in _FOUND.finditer(text):
        kind = match.lastgroup
        offset, length = utf16_length(text[: match.start()]), utf16_length(match.group())
        if kind and not any(offset < end and start < offset + length for start, end in taken):
            found.append(_KINDS[kind](offset, length))
    return found
