"""Promises of one voice message to the model that writes it down: one request, one outcome, counted as the endpoint counts."""

from datetime import date

import httpx2 as httpx
import pytest

from botfleet.model import Price, Transcription
from botfleet.spec import SecretKeyRef
from botfleet.store.rows import Spending
from botrunner.model.bounded import MOST_BYTES
from botrunner.model.provider import Failure, NoAnswer
from botrunner.model.transcription import LONGEST_TRANSCRIPT, Heard, Transcriber

DAY = date(2026, 11, 1)
KEY = "sk-planted-secret"
SPEC = Transcription(
    "whisper-1", "http://model.invalid/v1", SecretKeyRef(name="s", key="k"), 5, 60, price_per_minute=0.006,
    price=Price(1.0, 4.0),
)  # fmt: skip


async def hear(response: httpx.Response | Exception, kind: str | None = "audio/ogg") -> tuple[Heard | NoAnswer, str]:
    seen: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        seen.append(f"{request.method} {request.url} {request.headers['authorization']} {body.decode('latin-1')}")
        if isinstance(response, Exception):
            raise response
        return response

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        outcome = await Transcriber(SPEC, KEY, http_client=client, today=lambda: DAY).hear(b"sound", kind)
    (request,) = seen
    return outcome, request


async def test_the_file_goes_with_the_models_name_and_the_name_of_its_format() -> None:
    outcome, request = await hear(httpx.Response(200, json={"text": " two beds\x00 "}))
    assert outcome == Heard("two beds", Spending(DAY, "whisper-1", 0, 0, 0))
    assert request.startswith(f"POST http://model.invalid/v1/audio/transcriptions Bearer {KEY}")
    for part in (
        'name="model"\r\n\r\nwhisper-1',
        'filename="voice.ogg"',
        "Content-Type: audio/ogg",
        "\r\n\r\nsound\r\n",
    ):
        assert part in request, part
    assert 'filename="voice.ogg"' in (await hear(httpx.Response(500), "text/html"))[1], "its sender names no format"
    assert "two beds" not in repr(outcome)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"type": "duration", "seconds": 30}, (0, 0, 3000)),
        ({"type": "tokens", "input_tokens": 10, "output_tokens": 5, "total_tokens": 15}, (10, 5, 30)),
        ({"type": "duration", "seconds": -1}, (0, 0, 0)),
        ({"seconds": "much"}, (0, 0, 0)),
        (None, (0, 0, 0)),
    ],
)
async def test_seconds_and_tokens_are_counted_as_the_endpoint_tells_them(
    usage: object, counted: tuple[int, int, int]
) -> None:
    outcome, _ = await hear(httpx.Response(200, json={"text": "x", "usage": usage}))
    assert isinstance(outcome, Heard)
    assert outcome.spent == Spending(DAY, "whisper-1", *counted)


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (httpx.Response(400, json={"error": {}}), Failure.REFUSED_REQUEST),
        (httpx.Response(401), Failure.UNAUTHORIZED),
        (httpx.Response(503), Failure.SERVER_ERROR),
        (httpx.ConnectError("no"), Failure.UNREACHABLE),
        (httpx.Response(200, json={"no": "text"}), Failure.BAD_ANSWER),
        (httpx.Response(200, json={"text": 7}), Failure.BAD_ANSWER),
        (httpx.Response(200, content=b"{", headers={"content-type": "application/json"}), Failure.BAD_ANSWER),
        (httpx.Response(200, content=b"x" * (MOST_BYTES + 1)), Failure.BAD_ANSWER),
    ],
    ids=str,
)
async def test_every_way_to_fail_is_an_outcome(response: httpx.Response | Exception, failure: Failure) -> None:
    outcome, _ = await hear(response)
    assert isinstance(outcome, NoAnswer)
    assert outcome.failure is failure


async def test_silence_is_heard_as_nothing_and_a_speech_without_end_ends() -> None:
    silence, _ = await hear(httpx.Response(200, json={"text": "  "}))
    speech, _ = await hear(httpx.Response(200, json={"text": "x" * (LONGEST_TRANSCRIPT + 1)}))
    assert isinstance(silence, Heard) and isinstance(speech, Heard)
    assert silence.text == ""
    assert (len(speech.text), speech.text[-1]) == (LONGEST_TRANSCRIPT, "…")
