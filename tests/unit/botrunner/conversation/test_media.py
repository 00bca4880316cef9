"""Promises of what is looked at or listened to: what the owner said, within bounds, and only what is what it says it is."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from botfleet.model import Model, Transcription
from botfleet.spec import SecretKeyRef
from botfleet.store.rows import InboxRow
from botrunner.conversation.media import (
    MOST_SOUND_BYTES,
    SOUND_BYTES_A_SECOND,
    WORDLESS,
    Use,
    most_sound,
    picture_of,
    together,
    use_of,
    words_of,
)

KEY = SecretKeyRef(name="s", key="k")
PLAIN = Model("m", "http://model.invalid/v1", KEY, None, 9, 5, max_image_bytes=1000)
SEES = replace(PLAIN, vision=True)
HEARS = replace(PLAIN, transcription=Transcription("t", "http://model.invalid/v1", KEY, 60, 100))
VOICE: dict[str, Any] = {"kind": "voice", "type": "audio/ogg", "size": 5000, "seconds": 100}
PHOTO: dict[str, Any] = {"kind": "photo", "type": "image/jpeg"}
FILE: dict[str, Any] = {"kind": "document", "type": "image/png", "size": 1000}


def row(text: str = "", *, words: str | None = None, message_id: int = 1, grouped_id: int | None = None) -> InboxRow:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return InboxRow(
        5, message_id, 5, 9, text, at, None, grouped_id, None, "t", at, "pending", None, media=PHOTO, words=words
    )


def test_nothing_is_looked_at_or_listened_to_unless_the_owner_said_so() -> None:
    assert [use_of(media, None, PLAIN) for media in (VOICE, PHOTO, FILE, None)] == [None] * 4
    assert [use_of(media, None, SEES) for media in (VOICE, PHOTO, FILE, None)] == [None, Use.SEE, Use.SEE, None]
    assert [use_of(media, None, HEARS) for media in (VOICE, PHOTO, FILE, None)] == [Use.HEAR, None, None, None]


def test_a_fallback_that_sees_is_enough_to_look() -> None:
    assert use_of(PHOTO, None, replace(PLAIN, fallbacks=(SEES,))) is Use.SEE


@pytest.mark.parametrize("words", ["", "said"])
def test_what_was_read_or_given_up_is_not_read_again(words: str) -> None:
    assert use_of(VOICE, words, HEARS) is use_of(PHOTO, words, SEES) is None


def test_what_is_too_large_or_too_long_is_left_alone() -> None:
    assert use_of({**FILE, "size": 1001}, None, SEES) is None
    assert use_of({**VOICE, "seconds": 101}, None, HEARS) is None
    assert use_of({**VOICE, "seconds": None}, None, HEARS) is None
    assert most_sound(HEARS) == 100 * SOUND_BYTES_A_SECOND
    assert use_of({**VOICE, "seconds": 1, "size": most_sound(HEARS) + 1}, None, HEARS) is None, "who would believe that"
    half_an_hour = replace(HEARS, transcription=Transcription("t", "http://m.invalid/v1", KEY, 60, 1800))
    assert most_sound(half_an_hour) == MOST_SOUND_BYTES


@pytest.mark.parametrize(
    ("media", "use"),
    [
        ({"kind": "sticker", "type": "image/webp", "size": 9}, Use.SEE),
        ({"kind": "sticker", "type": "application/x-tgsticker", "size": 9}, None),
        ({"kind": "document", "type": "application/pdf", "size": 9}, None),
        ({"kind": "video", "type": "image/jpeg", "size": 9}, None),
        ({"kind": "audio", "type": "audio/mpeg", "size": 9, "seconds": 9}, None),
        ({"kind": "other"}, None),
    ],
)
def test_of_files_and_stickers_those_are_seen_that_are_pictures(media: dict[str, Any], use: Use | None) -> None:
    both = replace(HEARS, vision=True)
    assert use_of(media, None, both) is use


def test_a_message_says_its_caption_and_what_was_heard_and_a_picture_alone_says_that_it_is_one() -> None:
    assert words_of(row("caption", words="heard")) == "caption\nheard"
    assert words_of(row(" ", words="heard")) == "heard"
    assert words_of(row("caption", words="")) == "caption"
    assert words_of(row(" ")) == WORDLESS


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg onload=x>", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_bytes_whatever_it_is_called(data: bytes, kind: str | None) -> None:
    picture = picture_of(data, row())
    assert (picture and picture.type) == kind


def test_a_picture_knows_whether_words_came_with_it_and_never_shows_its_bytes() -> None:
    alone, captioned = picture_of(b"GIF89a-planted", row()), picture_of(b"GIF89a", row("look"))
    assert alone is not None and captioned is not None
    assert (alone.alone, captioned.alone) == (True, False)
    assert "planted" not in repr(alone)


def test_who_addresses_the_bot_in_the_caption_of_an_album_means_all_of_it() -> None:
    rows = [row(message_id=1, grouped_id=7), row(message_id=2, grouped_id=7), row(message_id=3), row(message_id=4)]
    assert together(rows, frozenset({1})) == {1, 2}
    assert together(rows, frozenset({3})) == {3}, "what stands alone stands for itself"
