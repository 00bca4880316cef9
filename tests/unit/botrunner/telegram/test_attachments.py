"""What a message carries is read off Telegram's types; of a photo the size is taken that a model can use and the owner allows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from telethon.tl import types

from botfleet.store.rows import Media
from botrunner.telegram.attachments import media_of, source_of

DATE = datetime(2026, 1, 2, tzinfo=UTC)
MOST = 1_000_000


def message(media: Any) -> types.Message:
    return types.Message(id=1, peer_id=types.PeerUser(5), date=DATE, message="", media=media)


def document(*attributes: Any, mime: str = "audio/ogg", size: int = 5000, **more: Any) -> types.Message:
    file = types.Document(
        id=3,
        access_hash=4,
        file_reference=b"ref",
        date=DATE,
        mime_type=mime,
        size=size,
        dc_id=4,
        attributes=list(attributes),
    )
    return message(types.MessageMediaDocument(document=file, **more))


def photo(*sizes: Any, **more: Any) -> types.Message:
    file = types.Photo(id=3, access_hash=4, file_reference=b"ref", date=DATE, sizes=list(sizes), dc_id=4)
    return message(types.MessageMediaPhoto(photo=file, **more))


VOICE = types.DocumentAttributeAudio(7, voice=True)
VIDEO = types.DocumentAttributeVideo(9.7, 320, 240)
STICKER = types.DocumentAttributeSticker("👍", types.InputStickerSetEmpty())


@pytest.mark.parametrize(
    ("attributes", "kind", "seconds"),
    [
        ([VOICE], "voice", 7),
        ([types.DocumentAttributeAudio(200)], "audio", 200),
        ([VIDEO], "video", 9),
        ([types.DocumentAttributeImageSize(512, 512), STICKER], "sticker", None),
        ([VIDEO, STICKER], "sticker", None),
        ([types.DocumentAttributeFilename("a.pdf")], "document", None),
    ],
)
def test_a_document_is_what_its_attributes_say(attributes: list[Any], kind: str, seconds: int | None) -> None:
    assert media_of(document(*attributes)) == Media(kind, "audio/ogg", 5000, seconds)


@pytest.mark.parametrize("duration", [float("inf"), float("-inf"), float("nan"), 1e300, 2.0**31, -1.0])
def test_a_length_that_is_none_is_not_told(duration: float) -> None:
    """On the wire that of a video is a double, and whatever its sender writes there."""
    assert media_of(document(types.DocumentAttributeVideo(duration, 320, 240))) == Media("video", "audio/ogg", 5000)


def test_a_number_that_means_nothing_is_not_told() -> None:
    assert media_of(document(types.DocumentAttributeAudio(-1), size=-5)) == Media("audio", "audio/ogg")
    longest = document(types.DocumentAttributeVideo(2.0**31 - 0.5, 1, 1), size=2**63 - 1)
    assert media_of(longest) == Media("video", "audio/ogg", 2**63 - 1), "a little more than can be stored"
    assert media_of(document(types.DocumentAttributeAudio(2**31 - 1))) == Media("audio", "audio/ogg", 5000, 2**31 - 1)


def test_words_and_links_carry_nothing_and_a_photo_is_one() -> None:
    for nothing in (None, types.MessageMediaEmpty(), types.MessageMediaWebPage(types.WebPageEmpty(1))):
        assert media_of(message(nothing)) is None
    assert media_of(photo()) == Media("photo", "image/jpeg")
    assert media_of(message(types.MessageMediaContact("", "", "", "", 0))) == Media("other")
    assert media_of(message(types.MessageMediaPhoto())) == Media("other"), "a photo that is gone"


def test_what_may_be_looked_at_once_is_not_fetched() -> None:
    once = photo(types.PhotoSize("x", 800, 600, 10), ttl_seconds=30)
    assert media_of(once) == Media("other")
    assert source_of(once, MOST) is None


def test_a_senders_word_for_a_type_is_cut_to_what_is_stored() -> None:
    found = media_of(document(VOICE, mime="x" * 1000))
    assert found is not None and found.type == "x" * 64


def test_of_a_photo_the_largest_size_is_taken_that_is_of_use_and_allowed() -> None:
    small, middle = types.PhotoSize("m", 320, 240, 9_000), types.PhotoSize("x", 800, 600, 80_000)
    usual = types.PhotoSizeProgressive("y", 1280, 960, [9_000, 200_000])
    huge = types.PhotoSize("w", 2560, 1920, 900_000)
    stripped = types.PhotoStrippedSize("i", b"x")
    found = source_of(photo(stripped, small, middle, usual, huge), MOST)
    assert found is not None
    assert (found.location.thumb_size, found.size, found.data_center) == ("y", 200_000, 4)
    less = source_of(photo(stripped, small, middle, usual, huge), 100_000)
    assert less is not None and less.location.thumb_size == "x"
    only = source_of(photo(huge), MOST)
    assert only is not None and only.location.thumb_size == "w", "better than none"
    assert source_of(photo(huge), 100_000) is source_of(photo(stripped), MOST) is None


def test_a_document_is_taken_whole_or_not_at_all() -> None:
    found = source_of(document(VOICE), 5000)
    assert found is not None
    assert (found.location.id, found.location.file_reference, found.size) == (3, b"ref", 5000)
    assert source_of(document(VOICE), 4999) is None
