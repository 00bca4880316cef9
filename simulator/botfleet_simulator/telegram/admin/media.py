"""Media that a test sends as somebody: bytes in base64, and what Telegram is to say of them.

It must never look into the bytes.
"""

import base64
import binascii
from typing import Any, Literal

from pydantic import Field
from telethon.tl import types

from botfleet_simulator.telegram import media
from botfleet_simulator.telegram.files import Files, StoredFile
from botfleet_simulator.web import Body, ProblemError

MIMES = {"voice": "audio/ogg", "audio": "audio/mpeg", "sticker": "image/webp", "video": "video/mp4"}


class NewMedia(Body):
    """A photo, a voice note, a document …"""

    kind: Literal["photo", "voice", "audio", "sticker", "video", "document"]
    data: str
    mime: str | None = None
    name: str | None = None
    seconds: int = Field(default=1, ge=0)
    emoji: str = "🙂"


def kept(files: Files, new: NewMedia) -> StoredFile:
    """The file of it. Raises ProblemError, RpcError."""
    try:
        data = base64.b64decode(new.data, validate=True)
    except binascii.Error:
        raise ProblemError(422, "media.data must be base64") from None
    if new.kind == "photo":
        return media.photo(files, data)
    attributes: list[Any] = [types.DocumentAttributeFilename(new.name)] if new.name else []
    if new.kind in {"voice", "audio"}:
        attributes.append(types.DocumentAttributeAudio(new.seconds, voice=new.kind == "voice"))
    elif new.kind == "sticker":
        attributes.append(types.DocumentAttributeSticker(new.emoji, types.InputStickerSetEmpty()))
    elif new.kind == "video":
        attributes.append(types.DocumentAttributeVideo(new.seconds, 320, 240))
    return media.document(files, data, new.mime or MIMES.get(new.kind, "application/octet-stream"), attributes)
