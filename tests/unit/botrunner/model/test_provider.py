"""Promises of one question to the model: every way in which an endpoint can fail is an outcome, and nothing is retried unseen."""

import asyncio
import gc
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest

from botfleet.model import Model
from botfleet.spec import SecretKeyRef
from botrunner.model.bounded import MOST_BYTES
from botrunner.model.provider import LONGEST_ANSWER, MOST_TOKENS, Answer, Failure, ModelProvider, NoAnswer
from botrunner.telegram.format import split
from botrunner.telegram.formatted import Formatted
from tests.waiting import DEADLINE

KEY = "sk-planted-secret"


def model(**changes: object) -> Model:
    values = {
        "name": "m",
        "base_url": "http://model.invalid/v1",
        "api_key_secret_ref": SecretKeyRef(name="s", key="k"),
        "temperature": None,
        "max_output_tokens": 9,
        "timeout_seconds": 5,
    }
    return Model(**{**values, **changes})  # type: ignore[arg-type]


def completion(content: str | None = "hello", finish: str = "stop") -> dict[str, object]:
    message = {"role": "assistant", "content": content}
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }  # fmt: skip


async def ask(
    response: httpx.Response | Exception, spec: Model | None = None
) -> tuple[Answer | NoAnswer, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(response, Exception):
            raise response
        return response

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        provider = ModelProvider(spec or model(), KEY, http_client=client)
        return await provider.answer([{"role": "user", "content": "hi"}]), seen


async def test_an_answer_carries_its_text_and_its_cost() -> None:
    outcome, seen = await ask(httpx.Response(200, json=completion()))
    assert outcome == Answer("hello", cut_off=False, input_tokens=5, output_tokens=2)
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert seen[0].headers["accept-encoding"] == "identity"
    assert json.loads(seen[0].content) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 9,
    }


async def test_an_endpoint_that_says_nothing_is_left_when_the_owners_time_is_over() -> None:
    asked: list[httpx.Request] = []

    async def hang(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        await asyncio.Event().wait()
        raise AssertionError("nobody answers")

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as client:
        provider = ModelProvider(model(timeout_seconds=0.2), KEY, http_client=client)
        async with asyncio.timeout(DEADLINE):
            outcome = await provider.answer([{"role": "user", "content": "hi"}])
    assert outcome == NoAnswer(Failure.TIMEOUT)
    assert len(asked) == 1, "and not asked again"


async def test_a_temperature_is_sent_only_when_the_owner_gave_one() -> None:
    _, seen = await ask(httpx.Response(200, json=completion()), model(temperature=0.0))
    assert json.loads(seen[0].content)["temperature"] == 0.0


async def test_an_answer_that_was_cut_off_says_so() -> None:
    outcome, _ = await ask(httpx.Response(200, json=completion(finish="length")))
    assert isinstance(outcome, Answer)
    assert outcome.cut_off


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (httpx.Response(401, json={"error": {"message": "bad key"}}), Failure.UNAUTHORIZED),
        (httpx.Response(429, json={"error": {"code": "rate_limit_exceeded"}}), Failure.RATE_LIMITED),
        (httpx.Response(429, json={"error": {"code": "insufficient_quota"}}), Failure.QUOTA_EXHAUSTED),
        (httpx.Response(500, text="oops"), Failure.SERVER_ERROR),
        (httpx.Response(404, json={"error": {"message": "no such model"}}), Failure.UNKNOWN_MODEL),
        (httpx.Response(400, json={"error": {"code": "content_filter"}}), Failure.REFUSED_REQUEST),
        (httpx.Response(403, json={}), Failure.UNAUTHORIZED),
        (httpx.Response(408, json={}), Failure.SERVER_ERROR),
        (httpx.ConnectError("no"), Failure.UNREACHABLE),
        (httpx.ReadTimeout("slow"), Failure.TIMEOUT),
        (
            httpx.Response(200, content=b'{"choices": [', headers={"content-type": "application/json"}),
            Failure.BAD_ANSWER,
        ),
        (httpx.Response(200, text="<html>hi</html>", headers={"content-type": "text/html"}), Failure.BAD_ANSWER),
        (httpx.Response(200, json={"choices": []}), Failure.BAD_ANSWER),
        (httpx.Response(200, json=[]), Failure.BAD_ANSWER),
        (httpx.Response(200, json=completion(content="  ")), Failure.EMPTY_ANSWER),
        (httpx.Response(200, json=completion(content=None)), Failure.EMPTY_ANSWER),
    ],
)
async def test_each_failure_is_an_outcome_after_one_request(
    response: httpx.Response | Exception, failure: Failure
) -> None:
    outcome, seen = await ask(response)
    assert isinstance(outcome, NoAnswer)
    assert outcome.failure == failure
    assert len(seen) == 1


async def test_the_time_that_an_endpoint_asks_for_is_kept_unless_it_is_nonsense() -> None:
    for header, seconds in (("7", 7.0), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("1e9", None)):
        outcome, _ = await ask(httpx.Response(429, json={}, headers={"retry-after": header}))
        assert isinstance(outcome, NoAnswer)
        assert outcome.retry_after == seconds


async def test_three_megabytes_of_text_are_ten_messages_that_end_with_an_ellipsis_and_nothing_else_is_kept() -> None:
    body = json.dumps(completion("word " * (600 * 2**10))).encode()
    response = httpx.Response(200, content=body, headers={"content-type": "application/json"})
    await ask(httpx.Response(200, json=completion()))  # what is imported and cached by the first call is no part of it
    tracemalloc.start()
    try:
        outcome, _ = await ask(response)
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Answer)
    assert outcome.cut_off
    assert len(outcome.text) == LONGEST_ANSWER
    assert outcome.text.endswith("…")
    assert len(split(Formatted(outcome.text))) <= 10
    assert kept < 2 * 2**20
    assert most < 4 * len(body)


async def test_what_an_empty_or_useless_answer_cost_is_told_all_the_same() -> None:
    for body in (completion(content=" "), {**completion(), "choices": []}, completion(content=[1])):  # type: ignore[arg-type]
        outcome, _ = await ask(httpx.Response(200, json=body))
        assert isinstance(outcome, NoAnswer)
        assert (outcome.input_tokens, outcome.output_tokens) == (5, 2)


@pytest.mark.parametrize(
    ("told", "counted"),
    [(7, 7), (0, 0), (-5, 0), (None, 0), ("7", 0), (7.5, 0), (10**30, MOST_TOKENS), ([1], 0)],
)
async def test_tokens_are_what_the_endpoint_tells_as_far_as_that_can_be_counted(told: object, counted: int) -> None:
    body = {**completion(), "usage": {"prompt_tokens": told, "completion_tokens": told}}
    outcome, _ = await ask(httpx.Response(200, json=body))
    assert isinstance(outcome, Answer)
    assert (outcome.input_tokens, outcome.output_tokens) == (counted, counted)


def test_only_what_is_wrong_with_the_question_or_its_answer_does_not_pass() -> None:
    lasting = {failure for failure in Failure if not failure.passes}
    assert lasting == {Failure.REFUSED_REQUEST, Failure.BAD_ANSWER, Failure.EMPTY_ANSWER}


class Endless(httpx.AsyncByteStream):
    """50 MB, and how much of it was asked for."""

    def __init__(self, start: bytes = b"") -> None:
        self.start, self.taken, self.closed = start, 0, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.start
        for _ in range(50 * 16):
            self.taken += 2**16
            yield b" " * 2**16

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_without_end_is_left_at_four_megabytes_and_none_of_it_is_kept(status: int) -> None:
    await ask(httpx.Response(200, json=completion()))
    body = Endless(b'{"choices": [')
    tracemalloc.start()
    try:
        outcome, _ = await ask(httpx.Response(status, stream=body, headers={"content-type": "application/json"}))
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome == NoAnswer(Failure.BAD_ANSWER)
    assert MOST_BYTES <= body.taken <= MOST_BYTES + 2**17
    assert body.closed
    assert kept < 2**20
    assert most < 2 * MOST_BYTES


async def test_a_packed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(json.dumps(completion()).encode() + b" " * 2**24)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    outcome, _ = await ask(httpx.Response(200, stream=httpx.ByteStream(bomb), headers=headers))
    assert outcome == NoAnswer(Failure.BAD_ANSWER)


async def test_an_answer_as_long_as_may_be_is_whole() -> None:
    outcome, _ = await ask(httpx.Response(200, json=completion("x" * LONGEST_ANSWER)))
    assert outcome == Answer("x" * LONGEST_ANSWER, cut_off=False, input_tokens=5, output_tokens=2)


async def test_lone_surrogates_and_zeros_from_a_model_become_something_that_can_be_stored() -> None:
    body = json.dumps(completion("a\ud800b\x00c \ude00")).encode()
    outcome, _ = await ask(httpx.Response(200, content=body, headers={"content-type": "application/json"}))
    assert isinstance(outcome, Answer)
    assert outcome.text == "a?bc ?"
