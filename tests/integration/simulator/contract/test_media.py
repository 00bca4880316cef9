"""Photos, voice notes, documents, stickers and albums: they arrive with what Telegram says of them, and their bytes can be fetched."""

import io
import os
import struct
import zlib

import pytest
from telethon import errors, functions, helpers, types, utils

from .conftest import Clients
from .waiting import Inbox


def picture(width: int = 20, height: int = 10) -> bytes:
    """A PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + os.urandom(width * 3) for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def named(data: bytes, name: str) -> io.BytesIO:
    file = io.BytesIO(data)
    file.name = name
    return file


async def test_a_photo_arrives_with_its_caption_and_its_size(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox = Inbox(bot)
    await person.send_file(clients.bot_name(), named(picture(), "photo.png"), caption=f"look {word}")
    got = await inbox.until_text(f"look {word}")
    assert isinstance(got.message.media, types.MessageMediaPhoto)
    size = got.message.photo.sizes[-1]
    assert size.w > size.h > 0
    assert size.size == len(await bot.download_media(got.message, bytes))


async def test_a_voice_note_is_marked_as_one_and_keeps_its_length_and_bytes(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox, data = Inbox(bot), os.urandom(300_000)
    await person.send_file(
        clients.bot_name(),
        named(data, "note.ogg"),
        caption=word,
        voice_note=True,
        attributes=[types.DocumentAttributeAudio(7, voice=True)],
    )
    got = await inbox.until_text(word)
    assert got.message.voice is not None
    assert got.message.file.duration == 7
    assert got.message.file.size == len(data)
    assert await bot.download_media(got.message, bytes) == data


async def test_a_file_is_fetched_from_any_place_in_it(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox, data = Inbox(bot), os.urandom(70_000)
    await person.send_file(clients.bot_name(), named(data, "data.bin"), caption=word, force_document=True)
    got = await inbox.until_text(word)
    location = utils.get_input_location(got.message.document)[1]
    piece = await bot(functions.upload.GetFileRequest(location, offset=8192, limit=4096))
    assert piece.bytes == data[8192 : 8192 + 4096]
    last = await bot(functions.upload.GetFileRequest(location, offset=69_632, limit=4096))
    assert last.bytes == data[69_632:]
    with pytest.raises(errors.OffsetInvalidError):
        await bot(functions.upload.GetFileRequest(location, offset=100, limit=4096))
    with pytest.raises(errors.LimitInvalidError):
        await bot(functions.upload.GetFileRequest(location, offset=0, limit=1000))


async def test_a_document_keeps_its_name_and_type(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox = Inbox(bot)
    await person.send_file(clients.bot_name(), named(b"%PDF-1.4", "menu.pdf"), caption=word)
    got = await inbox.until_text(word)
    assert (got.message.file.name, got.message.file.mime_type) == ("menu.pdf", "application/pdf")


async def test_a_sticker_is_marked_as_one(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox = Inbox(bot)
    attributes = [types.DocumentAttributeSticker("👍", types.InputStickerSetEmpty())]
    sent = await person.send_file(
        clients.bot_name(), named(b"RIFF0000WEBP", "sticker.webp"), attributes=attributes, force_document=True
    )
    got = await inbox.until(lambda event: event.message.sticker is not None and event.message.date >= sent.date)
    assert got.message.file.emoji == "👍"
    assert got.raw_text == ""


async def test_an_album_is_several_messages_with_one_grouped_id(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox = Inbox(bot)
    files = [named(picture(), f"{number}.png") for number in range(3)]
    sent = await person.send_file(clients.bot_name(), files, caption=[f"album {word}"])
    first = await inbox.until_text(f"album {word}")
    assert first.message.grouped_id is not None
    together = [message.grouped_id for message in sent]
    assert len(sent) == 3 and len(set(together)) == 1
    same = await bot.get_messages(await first.get_input_chat(), ids=[first.id, first.id + 1, first.id + 2])
    assert [message.grouped_id for message in same] == [first.message.grouped_id] * 3
    assert [message.raw_text for message in same] == [f"album {word}", "", ""]
    assert all(message.photo for message in same)


async def test_a_known_file_is_sent_again_without_an_upload(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox = Inbox(bot)
    sent = await person.send_file(clients.bot_name(), named(picture(), "photo.png"), caption=word)
    await person.send_file(clients.bot_name(), sent.media, caption=f"again {word}")
    got = await inbox.until_text(f"again {word}")
    assert got.message.photo.id == sent.photo.id


async def test_the_parts_of_a_large_file_are_put_together(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox, data, file_id = Inbox(bot), os.urandom(3 * 32_768), helpers.generate_random_long()
    for part in range(3):
        piece = data[part * 32_768 : (part + 1) * 32_768]
        assert await person(functions.upload.SaveBigFilePartRequest(file_id, part, 3, piece))
    media = types.InputMediaUploadedDocument(
        types.InputFileBig(file_id, 3, "large.bin"), "application/octet-stream", [], force_file=True
    )
    await person(
        functions.messages.SendMediaRequest(await person.get_input_entity(clients.bot_name()), media, message=word)
    )
    got = await inbox.until_text(word)
    assert await bot.download_media(got.message, bytes) == data


async def test_a_caption_is_at_most_1024_long_and_may_be_changed(clients: Clients, word: str):
    bot, person = await clients.bot(), await clients.person()
    inbox = Inbox(bot)
    sent = await person.send_file(clients.bot_name(), named(picture(), "photo.png"), caption=word)
    with pytest.raises(errors.MediaCaptionTooLongError):
        await person.send_file(clients.bot_name(), sent.media, caption="x" * 1025)
    got = await inbox.until_text(word)
    await person.edit_message(sent, f"other {word}")
    again = await bot.get_messages(await got.get_input_chat(), ids=got.id)
    assert again.raw_text == f"other {word}"
    assert again.photo.id == got.message.photo.id


async def test_what_is_no_picture_is_no_photo(clients: Clients):
    person = await clients.person()
    upload = await person.upload_file(b"words, no picture", file_name="photo.jpg")
    with pytest.raises((errors.PhotoExtInvalidError, errors.ImageProcessFailedError)):
        await person(
            functions.messages.SendMediaRequest(
                await person.get_input_entity(clients.bot_name()), types.InputMediaUploadedPhoto(upload), message=""
            )
        )
