"""The model simulator speaks to OpenAI's own client: answers, streams, usage, errors, faults, and what was asked can be read."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from botfleet_simulator.client import AdminError
from botfleet_simulator.launch import LaunchError, ModelServer, model_server

MESSAGES: list[Any] = [
    {"role": "system", "content": "You are the concierge of the Grand Hotel. Be kind."},
    {"role": "user", "content": "number 16"},
    {"role": "assistant", "content": "16"},
    {"role": "user", "content": "number 17"},
    {"role": "user", "content": "and 18"},
]


@pytest.fixture
async def ai(model: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="sk-test-0001", max_retries=0) as client:
        yield client


async def ask(client: openai.AsyncOpenAI, **options):
    return await client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **options)


async def test_the_default_answer_names_every_number_of_the_turn(ai: openai.AsyncOpenAI):
    answer = (await ask(ai)).choices[0]
    assert "17, 18" in answer.message.content
    assert "16" not in answer.message.content
    assert "concierge of the Grand Hotel" in answer.message.content
    assert answer.finish_reason == "stop"


async def test_usage_adds_up_and_is_the_same_each_time(ai: openai.AsyncOpenAI):
    first, again = (await ask(ai)).usage, (await ask(ai)).usage
    assert first == again
    assert first.total_tokens == first.prompt_tokens + first.completion_tokens
    assert first.prompt_tokens > 0


async def test_a_stream_says_the_same_and_ends_with_the_usage(ai: openai.AsyncOpenAI):
    whole = await ask(ai)
    text, finish = "", None
    usage: Any = None
    async for chunk in await ask(ai, stream=True, stream_options={"include_usage": True}):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert finish == "stop"
    assert usage.total_tokens == whole.usage.total_tokens


async def test_responses_answer_and_stream(ai: openai.AsyncOpenAI):
    options: dict[str, Any] = {"model": "gpt-5-mini", "instructions": "You are Ada.", "input": "hello"}
    whole = await ai.responses.create(**options)
    assert "Ada" in whole.output_text
    assert whole.status == "completed"
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    async with ai.responses.stream(**options) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == whole.output_text


async def test_a_limit_of_tokens_cuts_the_answer(ai: openai.AsyncOpenAI):
    answer = await ask(ai, max_completion_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens <= 3
    short = await ai.responses.create(model="m", input="hello there", max_output_tokens=2)
    assert short.status == "incomplete"


async def test_what_was_asked_can_be_read_with_key_model_and_parameters(model: ModelServer, ai: openai.AsyncOpenAI):
    await ask(ai, temperature=0.7)
    (seen,) = await model.admin.requests()
    assert (seen.key, seen.model, seen.api, seen.outcome) == ("sk-test-0001", "gpt-5-mini", "chat", "ok")
    assert seen.messages == MESSAGES
    assert seen.seconds is not None
    assert seen.seconds > 0
    assert seen.params["temperature"] == 0.7
    assert "17, 18" in (seen.answer or "")
    assert await model.admin.requests(key="sk-other") == []
    assert await model.admin.wait_requests(contains="number 17") == [seen]


async def test_a_request_is_seen_before_it_is_answered_and_can_be_held(model: ModelServer, ai: openai.AsyncOpenAI):
    fault = await model.admin.add_fault("hold")
    asking = asyncio.create_task(ask(ai))
    (seen,) = await model.admin.wait_requests(outcome="held")
    assert (seen.answer, seen.seconds) == (None, None)
    assert not asking.done()
    await model.admin.release(fault.id)
    assert "17, 18" in (await asking).choices[0].message.content


async def test_a_client_that_went_away_is_noticed(model: ModelServer, ai: openai.AsyncOpenAI):
    fault = await model.admin.add_fault("hang")
    asking = asyncio.create_task(ask(ai))
    await model.admin.wait_fault(fault.id)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert len(await model.admin.wait_requests(outcome="client gone")) == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_statuses_have_openais_shape(
    model: ModelServer, ai: openai.AsyncOpenAI, code: int, error: type[openai.APIStatusError]
):
    await model.admin.add_fault("status", code=code, retry_after=7)
    with pytest.raises(error) as caught:
        await ask(ai)
    assert caught.value.status_code == code
    assert caught.value.response.headers["retry-after"] == "7"
    body: Any = caught.value.body
    assert body["message"]
    assert (await ask(ai)).choices


async def test_a_status_can_be_for_one_key_for_ever(model: ModelServer, ai: openai.AsyncOpenAI):
    await model.admin.add_fault("status", key="sk-poor-*", times=None, code=429, error_code="insufficient_quota")
    poor = ai.with_options(api_key="sk-poor-1")
    for _ in range(3):
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(poor)
        assert caught.value.code == "insufficient_quota"
    await ask(ai)


@pytest.mark.parametrize("effect", ["cut", "refuse"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_is_a_connection_error(model: ModelServer, ai: openai.AsyncOpenAI, effect: str, stream: bool):
    await model.admin.add_fault(effect)
    with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
        await _read(await ask(ai, stream=stream))


async def test_broken_json_empty_answers_and_cut_lengths(model: ModelServer, ai: openai.AsyncOpenAI):
    await model.admin.add_fault("broken_json")
    with pytest.raises(json.JSONDecodeError):
        await ask(ai)
    await model.admin.add_fault("empty")
    assert (await ask(ai)).choices[0].message.content == ""
    await model.admin.add_fault("length")
    assert (await ask(ai)).choices[0].finish_reason == "length"


async def test_latency_is_for_all_or_for_one_call(model: ModelServer, ai: openai.AsyncOpenAI):
    loop = asyncio.get_running_loop()
    await model.admin.add_fault("latency", delay=0.3)
    begun = loop.time()
    await ask(ai)
    assert loop.time() - begun >= 0.3
    await model.admin.update_settings(latency=0.2)
    begun = loop.time()
    await ask(ai)
    assert loop.time() - begun >= 0.2


async def test_only_known_keys_are_let_in_and_a_key_is_never_shown_whole(model: ModelServer, ai: openai.AsyncOpenAI):
    await model.admin.update_settings(keys=["sk-known"])
    with pytest.raises(openai.AuthenticationError) as caught:
        await ask(ai)
    assert caught.value.code == "invalid_api_key"
    assert "sk-test-0001" not in str(caught.value)
    await ask(ai.with_options(api_key="sk-known"))
    assert [name.id async for name in ai.with_options(api_key="sk-known").models.list()] == ["simulated"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 9}, "temperature"),
    ],
)
async def test_bad_requests_name_the_field(ai: openai.AsyncOpenAI, body: dict, param: str):
    with pytest.raises(openai.BadRequestError) as caught:
        await ai.post("/chat/completions", body=body, cast_to=object)
    assert caught.value.param == param


async def test_answers_come_from_data_and_can_be_replaced(tmp_path):
    answers = {
        "keys": ["sk-a", "sk-b"],
        "models": ["small"],
        "rules": [
            {"when": {"key": "sk-a$", "last_user": "(?i)ping"}, "reply": "pong for {{ key_suffix }}"},
            {"when": {"system": "pirate"}, "reply": "Arr, {{ last_user }}! ({{ count }} messages)"},
        ],
    }
    async with (
        model_server(answers=answers) as server,
        openai.AsyncOpenAI(base_url=server.base_url, api_key="sk-a", max_retries=0) as client,
    ):
        user: Any = {"role": "user", "content": "PING"}
        assert (await text_of(client, [user])) == "pong for sk-a"
        pirate = [{"role": "system", "content": "You are a pirate."}, {"role": "user", "content": "hello"}]
        assert (await text_of(client, pirate)) == "Arr, hello! (2 messages)"
        with pytest.raises(openai.InternalServerError, match="no rule"):
            await text_of(client, [{"role": "user", "content": "what?"}])
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="large", messages=[user])
        await server.admin.set_answers("rules: [{reply: 'all new'}]")
        assert (await text_of(client, [user])) == "all new"
        with pytest.raises(AdminError, match="rules"):
            await server.admin.set_answers({"rules": []})


async def test_a_wrong_answers_file_is_named_and_nothing_starts():
    with pytest.raises(LaunchError, match="answers"):
        async with model_server(answers="rules: [{when: {last_user: '('}, reply: x}]"):
            pass


async def _read(answer) -> None:
    async for _ in answer:
        pass


async def text_of(client: openai.AsyncOpenAI, messages: list) -> str:
    answer = await client.chat.completions.create(model="small", messages=messages)
    content = answer.choices[0].message.content
    assert content is not None
    return content


async def test_pictures_are_taken_and_their_type_and_size_can_be_read(model: ModelServer, ai: openai.AsyncOpenAI):
    content: list[Any] = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAECAw=="}},
    ]
    seen = await model.admin.last_request()
    answer = await ai.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": content}])
    assert "what is this?" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 85
    parts: list[Any] = [
        {"type": "input_text", "text": "and this?"},
        {"type": "input_image", "image_url": content[1]["image_url"]["url"]},
    ]
    await ai.responses.create(model="gpt-5-mini", input=[{"role": "user", "content": parts}])
    with_pictures = [request for request in await model.admin.requests(after=seen) if request.images]
    assert [request.images for request in with_pictures] == [[{"type": "image/png", "size": 4}]] * 2
    assert [request.api for request in with_pictures] == ["chat", "responses"]
    assert with_pictures[0].messages == [{"role": "user", "content": "what is this?"}], "no bytes in what can be read"


@pytest.mark.parametrize("url", ["data:image/png;base64,%%%", "data:text/plain;base64,AAAA", "ftp://x"])
async def test_what_is_no_picture_is_refused(ai: openai.AsyncOpenAI, url: str):
    content: list[Any] = [{"type": "image_url", "image_url": {"url": url}}]
    with pytest.raises(openai.BadRequestError):
        await ai.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": content}])


async def test_a_model_that_takes_no_pictures_refuses_them_and_answers_words(
    model: ModelServer, ai: openai.AsyncOpenAI
):
    await model.admin.update_settings(vision=["gpt-5"])
    content: list[Any] = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    try:
        with pytest.raises(openai.BadRequestError, match="image_url is only supported by certain models"):
            await ai.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": content}])
        await ai.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": content}])
        assert (await ask(ai)).choices
    finally:
        await model.admin.update_settings(vision=None)


async def test_what_is_said_in_a_file_is_written_down_and_counted(model: ModelServer, ai: openai.AsyncOpenAI):
    seen = await model.admin.last_request()
    file = ("note.ogg", b"OggS two beds please", "audio/ogg")
    heard = await ai.audio.transcriptions.create(model="gpt-4o-mini-transcribe", file=file)
    assert heard.text == "two beds please"
    assert heard.usage is not None
    assert heard.usage.type == "tokens"
    assert heard.usage.total_tokens == heard.usage.input_tokens + heard.usage.output_tokens > 0
    timed = await ai.audio.transcriptions.create(model="whisper-1", file=file)
    assert timed.usage is not None
    assert timed.usage.type == "duration"
    assert timed.usage.seconds == 1
    request = (await model.admin.requests(after=seen))[0]
    assert (request.api, request.answer) == ("transcriptions", "two beds please")
    assert request.audio == {"name": "note.ogg", "type": "audio/ogg", "size": 20}


async def test_transcriptions_come_from_the_answers_file_and_have_faults_of_their_own():
    rules = {"rules": [{"reply": "yes"}], "transcriptions": [{"when": {"name": "[.]ogg$"}, "text": "heard {{ size }}"}]}
    async with model_server() as server, openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as ai:
        await server.admin.set_answers(rules)
        heard = await ai.audio.transcriptions.create(model="whisper-1", file=("a.ogg", b"1234"))
        assert heard.text == "heard 4"
        await server.admin.add_fault("status", api="transcriptions", code=503)
        assert (await ask(ai)).choices[0].message.content == "yes", "another endpoint's fault"
        with pytest.raises(openai.InternalServerError):
            await ai.audio.transcriptions.create(model="whisper-1", file=("a.ogg", b"1234"))
        with pytest.raises(openai.InternalServerError, match="no rule"):
            await ai.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"1234"))
