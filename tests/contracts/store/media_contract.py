"""What a message carries, and what it says, on every database."""

from datetime import date

from botfleet.store.engine import Store
from botfleet.store.messages import MessagePath
from botfleet.store.rows import Intake, Media, Spending, Stored
from tests.contracts.store.samples import PERSON, draft, edit, incoming, snapshot, texts

VOICE = Media("voice", "audio/ogg", 5000, 7)
DAY = date(2026, 11, 1)
COST = Spending(DAY, "whisper-1", 0, 0, 600)


async def voice(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, " ", media=VOICE),)))


async def test_what_a_message_carries_is_stored_with_it(path: MessagePath) -> None:
    await voice(path)
    await path.take_in(Intake(messages=(incoming(2), incoming(3, media=Media("photo")))))
    first, plain, photo = await path.pending(PERSON)
    assert first.media == {"kind": "voice", "type": "audio/ogg", "size": 5000, "seconds": 7}
    assert (plain.media, photo.media) == (None, {"kind": "photo"})
    assert [row.words for row in (first, plain, photo)] == [None] * 3


async def test_what_a_sender_says_of_a_file_does_not_stop_the_intake(path: MessagePath) -> None:
    """Whatever a database cannot hold of it: PostgreSQL takes no NUL in JSON."""
    odd = Media("video", "video/\x00mp4 \ud800", 2**63 - 1, 2**31 - 1)
    await path.take_in(Intake(messages=(incoming(1, media=odd), incoming(2))))
    first, second = await path.pending(PERSON)
    assert first.media == {"kind": "video", "type": "video/mp4 ?", "size": 2**63 - 1, "seconds": 2**31 - 1}
    assert second.text == "message 2"


async def test_what_a_voice_message_says_is_stored_and_counted_once(path: MessagePath) -> None:
    await voice(path)
    assert await path.note_words(PERSON, 1, "two\x00 beds", [COST])
    assert not await path.note_words(PERSON, 1, "two beds", [COST]), "the answer of the first was lost"
    (row,) = await path.pending(PERSON)
    assert row.words == "two beds"
    assert (await path.spent_on(DAY)).micros == 600


async def test_the_history_has_a_messages_text_and_what_its_media_says(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "caption", media=VOICE), incoming(2, "words", media=VOICE))))
    await path.note_words(PERSON, 1, "two beds")
    await path.note_words(PERSON, 2, "")
    rows = await path.pending(PERSON)
    stored = await path.store_answer(PERSON, rows, [draft(1, "yes")], replies_are_final=True)
    assert stored == Stored(closed=2, queued=1)
    assert await texts(path) == [("user", "caption\ntwo beds"), ("user", "words"), ("assistant", "yes")]


async def test_an_edited_caption_does_not_take_what_was_said(path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "caption", media=VOICE),)))
    await path.note_words(PERSON, 1, "two beds")
    await path.take_in(Intake(edits=(edit(1, "other caption"),)))
    (row,) = await path.pending(PERSON)
    assert (row.text, row.words) == ("other caption", "two beds")
    await path.store_answer(PERSON, [row], [draft(1, "yes")], replies_are_final=True)
    await path.take_in(Intake(edits=(edit(1, "third caption", seconds=9),)))
    assert (await texts(path))[0] == ("user", "third caption\ntwo beds")


async def test_what_is_heard_in_a_message_that_was_forgotten_meanwhile_is_counted_and_not_kept(
    store: Store, path: MessagePath
) -> None:
    await voice(path)
    await path.close_inbox(PERSON, [1], "skipped", "Forgotten")
    assert not await path.note_words(PERSON, 1, "planted words", [COST])
    assert (await path.spent_on(DAY)).micros == 600
    assert "planted" not in repr(await snapshot(store))


async def test_forgetting_erases_what_was_heard_and_what_was_carried(store: Store, path: MessagePath) -> None:
    await path.take_in(Intake(messages=(incoming(1, "a", media=VOICE), incoming(2, "/forget", media=VOICE))))
    for message_id in (1, 2):
        await path.note_words(PERSON, message_id, "planted words")
    await path.close_inbox(PERSON, [1], "skipped", "Forgotten")
    await path.forget(PERSON, 2)
    after = repr(await snapshot(store))
    assert "planted" not in after
    assert "voice" not in after
