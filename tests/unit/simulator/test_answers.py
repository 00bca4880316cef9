"""Answers from data: which rule, which variables; and OpenAI's shapes."""

import json

import pytest

from botfleet_simulator.model import answers as answering
from botfleet_simulator.model import wire
from botfleet_simulator.model.answers import AnswersError, NoAnswerError, Question, answer, load


def question(*messages: tuple[str, str], key: str = "sk-abcd1234", model: str = "m") -> Question:
    return Question(messages, key, model)


SYSTEM = ("system", "You are Ada, the helper of room 12. Be kind.\nSecond line.")


def test_the_turn_is_what_came_after_the_last_answer():
    asked = question(SYSTEM, ("user", "1"), ("assistant", "1"), ("user", "2 and -3"), ("user", "x4 5.5 6, 7"))
    assert asked.turn == ["2 and -3", "x4 5.5 6, 7"]
    assert asked.numbers == [2, -3, 6, 7]
    assert asked.last_user == "x4 5.5 6, 7"
    assert asked.persona == "You are Ada, the helper of room 12."


def test_without_a_system_prompt_there_is_still_a_persona():
    assert question(("user", "hello")).persona


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17 then 18", "17, 18"),
        ("Hello!", "Hello!"),
        ("thank you", "You are welcome"),
        ("who are you?", "Ada"),
        ("the weather", "the weather"),
    ],
)
def test_the_built_in_answers_show_what_was_understood(text: str, expected: str):
    assert expected in answer(load(None), question(SYSTEM, ("user", text)))


def test_told_to_be_truthful_it_says_what_it_is():
    asked = "Are you a robot?"
    told = ("system", "You are Ada. Say truthfully that you are an AI.")
    assert answer(load(None), question(told, ("user", asked))) == "Yes, I am an AI, not a person."
    assert "Are you a robot?" in answer(load(None), question(SYSTEM, ("user", asked)))


def test_the_first_rule_that_fits_wins():
    answers = load(
        {
            "rules": [
                {"when": {"key": "^sk-x"}, "reply": "for x"},
                {"when": {"model": "big", "system": "Ada"}, "reply": "big {{ key_suffix }}"},
                {"when": {"numbers": False}, "reply": "none of {{ count }}"},
            ]
        }
    )
    assert answer(answers, question(SYSTEM, key="sk-x1")) == "for x"
    assert answer(answers, question(SYSTEM, model="big-1")) == "big 1234"
    assert answer(answers, question(("user", "no number"))) == "none of 1"
    with pytest.raises(NoAnswerError):
        answer(answers, question(("user", "5")))


@pytest.mark.parametrize(
    "text",
    [
        "rules: []",
        "rules: 5",
        "answers: []",
        "rules: [{reply: '{{ x'}]",
        "rules: [{when: {last_user: '['}, reply: x}]",
        "a: [",
    ],
)
def test_wrong_answers_files_are_refused(text: str):
    with pytest.raises(AnswersError):
        load(text)


def test_templates_cannot_reach_the_machine():
    answers = load({"rules": [{"reply": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}]})
    with pytest.raises(AnswersError):
        answer(answers, question(("user", "x")))


def test_parts_of_content_and_roles_are_understood():
    asked = wire.read_chat(
        {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "be"},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": None},
            ],
            "max_tokens": 5,
        }
    )
    assert asked.messages == [("developer", "be"), ("user", "a\nb"), ("assistant", "")]
    assert asked.max_tokens == 5


def test_tokens_are_plausible_and_cutting_keeps_characters_whole():
    assert [wire.count_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
    assert wire.cut_to_tokens("äöüäöü", 1) == "äö"


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_streams_carry_the_whole_text(finish):
    reply = wire.Reply("a rather long answer, in pieces", finish, 10, 8, 1, 1, "m")
    chat = [json.loads(event[6:]) for event in wire.chat_events(reply, include_usage=True) if b"[DONE]" not in event]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chat if c["choices"]) == reply.text
    assert chat[-2]["choices"][0]["finish_reason"] == finish
    events = [json.loads(event.split(b"data: ", 1)[1]) for event in wire.responses_events(reply)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == ("response.completed" if finish == "stop" else "response.incomplete")
    assert answering.load(None).rules
