"""Promises of the prompt: the persona first, the conversation in order, the turn last, and the truth about being an AI."""

from datetime import UTC, datetime

from botfleet.store.rows import HistoryRow
from botfleet.store.tables import Role
from botrunner.conversation.media import WORDLESS
from botrunner.conversation.prompt import PICTURE_NOTE, TRUTHFUL, assemble
from botrunner.model.messages import Picture

DATE = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_prompt_is_persona_history_turn() -> None:
    history = [HistoryRow(Role.USER, "hi", DATE), HistoryRow(Role.ASSISTANT, "hello", DATE)]
    assert assemble("You are the concierge.\n", history, ["one", "two"]) == [
        {"role": "system", "content": f"You are the concierge.\n\n{TRUTHFUL}"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
    ]


def test_no_persona_can_make_a_bot_deny_that_it_is_an_ai() -> None:
    (system, _) = assemble("You are a human being called Tom.", [], ["are you a robot?"])
    assert system["content"].endswith(TRUTHFUL)


def test_a_picture_stands_beside_its_message_and_is_said_to_be_no_instruction() -> None:
    picture = Picture("image/png", b"x")
    prompt = assemble("You are.", [], ["words", "look"], pictures=[None, picture])
    assert prompt[1:] == [
        {"role": "user", "content": "words"},
        {"role": "user", "content": "look", "picture": picture},
    ]
    assert prompt[0]["content"].endswith(PICTURE_NOTE)
    assert PICTURE_NOTE not in assemble("You are.", [], ["words"], pictures=[None])[0]["content"]


def test_an_earlier_picture_without_words_is_no_empty_message() -> None:
    assert assemble("You are.", [HistoryRow(Role.USER, "", DATE)], ["and?"])[1]["content"] == WORDLESS
