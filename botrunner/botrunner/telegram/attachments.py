"""Why: what a message carries, read off Telethon's types, and which of its files is to be fetched. Pure: no I/O.

Sources: https://core.telegram.org/type/MessageMedia, https://core.telegram.org/api/files#image-thumbnail-types
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from telethon.tl import types

from botfleet.store.rows import Media

LARGEST_SIDE = 1280
"""Pixels. Models make larger pictures smaller; of a photo Telegram keeps a size with just this ("y")."""

_MOST_SECONDS, _MOST_BYTES = 2**31 - 1, 2**63 - 1

_NOTHING = (types.MessageMediaEmpty, types.MessageMediaWebPage)


@dataclass(frozen=True)
class Source:
    """Where the bytes are. `location`: an InputFileLocation, good for as long as its reference is."""

    location: Any
    data_center: int
    size: int


def media_of(message: Any) -> Media | None:
    """What a message carries; None: nothing. What may be looked at once only ("view once") is none of ours to fetch."""
    media = getattr(message, "media", None)
    if media is None or isinstance(media, _NOTHING):
        return None
    if getattr(media, "ttl_seconds", None):
        return Media("other")
    if isinstance(media, types.MessageMediaPhoto) and isinstance(media.photo, types.Photo):
        return Media("photo", "image/jpeg")
    if isinstance(media, types.MessageMediaDocument) and isinstance(media.document, types.Document):
        kind, seconds = _kind(media.document.attributes)
        size = _whole(media.document.size, _MOST_BYTES)
        return Media(kind, str(media.document.mime_type)[:64], size, seconds)
    return Media("other")


def source_of(message: Any, most: int) -> Source | None:
    """The file to fetch. None: there is none, or none of at most `most` bytes."""
    found = media_of(message)
    if found is None or found.kind == "other":
        return None
    if found.kind == "photo":
        return _of_photo(message.media.photo, most)
    document = message.media.document
    if document.size > most:
        return None
    location = types.InputDocumentFileLocation(document.id, document.access_hash, document.file_reference, "")
    return Source(location, document.dc_id, document.size)


def _kind(attributes: Iterable[Any]) -> tuple[str, int | None]:
    """In one word, and how long it lasts. A sticker may have the attributes of a picture or of a video as well."""
    kind, seconds = "document", None
    for one in attributes:
        if isinstance(one, types.DocumentAttributeSticker):
            return "sticker", None
        if isinstance(one, types.DocumentAttributeAudio):
            kind, seconds = "voice" if one.voice else "audio", _whole(one.duration, _MOST_SECONDS)
        elif isinstance(one, types.DocumentAttributeVideo):
            kind, seconds = "video", _whole(one.duration, _MOST_SECONDS)
    return kind, seconds


def _whole(number: float, most: int) -> int | None:
    """A sender's word for a number, in whole units; None: it means nothing. Of a video it is a double: infinite, or none at all."""
    return int(number) if 0 <= number <= most else None


def _of_photo(photo: Any, most: int) -> Source | None:
    sizes = [found for size in photo.sizes if (found := _size(size)) is not None and found[2] <= most]
    if not sizes:
        return None
    fitting = [one for one in sizes if one[1] <= LARGEST_SIDE]
    name, _, size = max(fitting, key=lambda one: one[1]) if fitting else min(sizes, key=lambda one: one[1])
    location = types.InputPhotoFileLocation(photo.id, photo.access_hash, photo.file_reference, name)
    return Source(location, photo.dc_id, size)


def _size(size: Any) -> tuple[str, int, int] | None:
    """Its name, its longer side in pixels, its bytes; None: no picture to be fetched by itself."""
    if isinstance(size, types.PhotoSize):
        return size.type, max(size.w, size.h), size.size
    if isinstance(size, types.PhotoSizeProgressive) and size.sizes:
        return size.type, max(size.w, size.h), max(size.sizes)
    return None
