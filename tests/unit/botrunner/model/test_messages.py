"""Promises of the form of a question: words as ever, and a picture beside its words for a model that sees."""

import base64

from botrunner.model.messages import (
    ChatMessage,
    Picture,
    has_pictures,
    is_all_pictures,
    on_the_wire,
    without_pictures,
)

SYSTEM: ChatMessage = {"role": "system", "content": "You are."}
WORDS: ChatMessage = {"role": "user", "content": "hi"}
ANSWER: ChatMessage = {"role": "assistant", "content": "hello"}
LOOK: ChatMessage = {"role": "user", "content": "look", "picture": Picture("image/png", b"\0\1")}
ALONE: ChatMessage = {"role": "user", "content": "(a picture)", "picture": Picture("image/png", b"\2", alone=True)}


def test_a_model_that_sees_is_shown_the_picture_beside_its_words() -> None:
    plain, shown = on_the_wire([WORDS, LOOK], vision=True)
    assert plain == WORDS
    assert shown["content"][0] == {"type": "text", "text": "look"}
    head, data = shown["content"][1]["image_url"]["url"].split(",")
    assert (head, base64.b64decode(data)) == ("data:image/png;base64", b"\0\1")


def test_a_model_that_does_not_see_gets_the_words_only() -> None:
    words = [WORDS, {"role": "user", "content": "look"}]
    assert on_the_wire([WORDS, LOOK], vision=False) == words
    assert without_pictures([WORDS, LOOK]) == words
    assert [has_pictures(one) for one in ([WORDS, LOOK], without_pictures([WORDS, LOOK]))] == [True, False]


def test_a_turn_of_pictures_alone_cannot_be_answered_without_seeing() -> None:
    assert is_all_pictures([SYSTEM, WORDS, ANSWER, ALONE, ALONE])
    assert not is_all_pictures([SYSTEM, ALONE, ANSWER, WORDS]), "the pictures were answered before"
    for other in (WORDS, LOOK):
        assert not is_all_pictures([SYSTEM, ALONE, other])
    assert not is_all_pictures([SYSTEM])
