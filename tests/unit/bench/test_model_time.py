"""Promises of how a message's time is divided between the runner and the model."""

import pytest

from bench.load import Exchange
from bench.reply.model_time import model_seconds, overheads
from botfleet_simulator.client import ModelRequest


def request(answer: str | None, seconds: float | None, outcome: str = "ok") -> ModelRequest:
    return ModelRequest(
        1, 0.0, "chat", "sk", "m", stream=False, messages=[], outcome=outcome, answer=answer, seconds=seconds
    )


def test_a_message_has_the_models_time_of_the_answers_that_name_it() -> None:
    asked = [request("Noted: 100001, 100002.", 0.2), request("Noted: 100003.", 0.1), request("Noted: 100003.", 0.3)]
    assert model_seconds(asked) == pytest.approx({100_001: 0.2, 100_002: 0.2, 100_003: 0.4})


def test_a_call_that_gave_no_answer_is_no_time_of_the_model() -> None:
    gone = [request("Noted: 100001.", 0.2, "client gone"), request(None, 0.1, "500"), request("Noted: 100001.", None)]
    assert model_seconds(gone) == {}


def test_overhead_is_what_is_left_of_a_messages_own_time() -> None:
    assert overheads([Exchange(100_001, 0.5), Exchange(100_002, 0.3)], {100_001: 0.2, 100_002: 0.29}) == pytest.approx(
        [0.3, 0.01]
    )


def test_a_message_that_the_model_never_answered_is_named() -> None:
    with pytest.raises(ValueError, match="message 100002"):
        overheads([Exchange(100_001, 0.5), Exchange(100_002, 0.5)], {100_001: 0.1})
