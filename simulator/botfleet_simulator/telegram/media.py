"""What a message carries besides its text: made of what clients send, shown as Telegram shows it.

It must never hold bytes: those are of files.py.
"""

import struct
from typing import Any

from telethon.extensions import BinaryReader
from telethon.tl import types

from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.files import Files, StoredFile

_DC = 2
_PHOTO_MIMES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
_FILE_TYPES = {
    "image/jpeg": types.storage.FileJpeg,
    "image/png": types.storage.FilePng,
    "image/gif": types.storage.FileGif,
    "image/webp": types.storage.FileWebp,
    "audio/mpeg": types.storage.FileMp3,
    "video/mp4": types.storage.FileMp4,
}


def take(files: Files, owner: int, given: Any) -> StoredFile:
    """The file of an InputMedia: uploaded now, or known. Raises RpcError."""
    if isinstance(given, types.InputMediaUploadedPhoto):
        data = files.take_upload(owner, given.file)
        return photo(files, data)
    if isinstance(given, types.InputMediaUploadedDocument):
        data = files.take_upload(owner, given.file)
        named = any(isinstance(one, types.DocumentAttributeFilename) for one in given.attributes)
        name = [] if named or not given.file.name else [types.DocumentAttributeFilename(given.file.name)]
        return document(files, data, given.mime_type, [*given.attributes, *name])
    if isinstance(given, types.InputMediaPhoto | types.InputMediaDocument):
        known = given.id
        missing = "PHOTO_INVALID" if isinstance(given, types.InputMediaPhoto) else "MEDIA_INVALID"
        return files.check(known.id, known.access_hash, known.file_reference, missing)
    raise RpcError("MEDIA_INVALID")


def photo(files: Files, data: bytes) -> StoredFile:
    """Keep a photo. Raises PHOTO_EXT_INVALID: these bytes are no picture."""
    mime = next((mime for head, mime in _PHOTO_MIMES.items() if data.startswith(head)), None)
    if mime is None:
        raise RpcError("PHOTO_EXT_INVALID")
    return files.add("photo", mime, data, size=dimensions(data))


def document(files: Files, data: bytes, mime: str, attributes: list[Any]) -> StoredFile:
    """Keep a document: a file, a voice note, a sticker, a video. A sticker belongs to no set here."""
    kept = [
        types.DocumentAttributeSticker(one.alt, types.InputStickerSetEmpty())
        if isinstance(one, types.DocumentAttributeSticker)
        else one
        for one in attributes
    ]
    return files.add("document", mime or "application/octet-stream", data, attributes=kept)


def dimensions(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG; what is not looked into counts as 800x600."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    return 800, 600


def shown(file: StoredFile) -> Any:
    """The media of a message, with a reference that is good now."""
    if file.kind == "photo":
        return types.MessageMediaPhoto(photo=photo_object(file))
    voice = any(isinstance(one, types.DocumentAttributeAudio) and one.voice for one in attributes_of(file))
    return types.MessageMediaDocument(document=document_object(file), voice=voice or None)


def photo_object(file: StoredFile) -> Any:
    """As a TL Photo, in its one size."""
    return types.Photo(
        id=file.id,
        access_hash=file.access_hash,
        file_reference=file.file_reference,
        date=file.date,
        sizes=[types.PhotoSize("x", file.width, file.height, file.size)],
        dc_id=_DC,
    )


def document_object(file: StoredFile) -> Any:
    """As a TL Document."""
    return types.Document(
        id=file.id,
        access_hash=file.access_hash,
        file_reference=file.file_reference,
        date=file.date,
        mime_type=file.mime,
        size=file.size,
        dc_id=_DC,
        attributes=attributes_of(file),
    )


def attributes_of(file: StoredFile) -> list[Any]:
    """What is said of a document."""
    found = []
    for text in file.attributes:
        with BinaryReader(bytes.fromhex(text)) as reader:
            found.append(reader.tgread_object())
    return found


def file_type(file: StoredFile) -> Any:
    """The type that upload.getFile names."""
    return _FILE_TYPES.get(file.mime, types.storage.FileUnknown)()


def kind_of(file: StoredFile) -> str:
    """In one word: photo, voice, audio, sticker, video, document."""
    if file.kind == "photo":
        return "photo"
    for one in attributes_of(file):
        if isinstance(one, types.DocumentAttributeAudio):
            return "voice" if one.voice else "audio"
        if isinstance(one, types.DocumentAttributeSticker):
            return "sticker"
        if isinstance(one, types.DocumentAttributeVideo):
            return "video"
    return "document"
