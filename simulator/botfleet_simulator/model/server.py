"""The OpenAI-compatible server: keys checked, requests seen and recorded, faults applied, answers written.

It must never write a key in full to its log, nor any text.
"""

import asyncio
import json
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from botfleet_simulator import log
from botfleet_simulator.faults import FaultBook, Rule
from botfleet_simulator.model import answers as answering
from botfleet_simulator.model import audio, wire
from botfleet_simulator.recorder import Recorder

EFFECTS: dict[str, frozenset[str]] = {
    "status": frozenset({"code", "retry_after", "message", "type", "error_code"}),
    "latency": frozenset({"delay"}),
    "hold": frozenset(),
    "hang": frozenset(),
    "cut": frozenset(),
    "broken_json": frozenset(),
    "empty": frozenset(),
    "length": frozenset(),
    "refuse": frozenset(),
}
LASTING: frozenset[str] = frozenset()
LARGEST_BODY = 64 * 2**20
REQUESTS_A_MINUTE, TOKENS_A_MINUTE = 10_000, 2_000_000
_STATUS = {
    400: ("invalid_request_error", None, "The request was refused by a fault of the simulator."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", None, "This key has no access."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
_log = log.get("model")


@dataclass(slots=True)
class Seen:
    """A request that came, and what became of it.

    `seconds`: from its arrival until its answer was ready, of a stream until it was written; null before that.
    """

    seq: int
    time: float
    api: str
    key: str
    model: str
    stream: bool
    messages: list[dict[str, Any]]
    params: dict[str, Any] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    audio: dict[str, Any] | None = None
    outcome: str = "running"
    answer: str | None = None
    seconds: float | None = None


class ModelServer:
    """A simulated model."""

    def __init__(self, answers: answering.Answers, keys: list[str] | None) -> None:
        self.answers = answers
        self.keys = keys if keys is not None else answers.keys
        self.latency = 0.0
        self.vision: list[str] | None = None
        self.faults = FaultBook(EFFECTS)
        self.seen: Recorder[Seen] = Recorder(20_000)

    def make_app(self) -> web.Application:
        """The application that OpenAI clients talk to."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/responses", self._responses)
        app.router.add_post("/v1/audio/transcriptions", self._transcriptions)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{model}", self._model)
        app.router.add_get("/healthz", self._healthz)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        if (refused := self._refused(_key_of(request))) is not None:
            return refused
        names = self.answers.models or ["simulated"]
        return web.json_response({"object": "list", "data": [_model_view(name) for name in names]})

    async def _model(self, request: web.Request) -> web.Response:
        if (refused := self._refused(_key_of(request))) is not None:
            return refused
        name = request.match_info["model"]
        if self.answers.models is not None and name not in self.answers.models:
            return _unknown_model(name)
        return web.json_response(_model_view(name))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "chat")

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "responses")

    async def _serve(self, request: web.Request, api: wire.Api) -> web.StreamResponse:
        key, began = _key_of(request), time.perf_counter()
        try:
            asked = (wire.read_chat if api == "chat" else wire.read_responses)(await request.json())
        except json.JSONDecodeError:
            return _error(400, "We could not parse the JSON body of your request.", "invalid_request_error")
        except wire.BadRequestError as error:
            return _error(400, str(error), "invalid_request_error", param=error.param)
        seen = self._record(key, asked)
        return await self._watched(seen, began, self._respond(request, key, asked, seen))

    async def _transcriptions(self, request: web.Request) -> web.StreamResponse:
        key, began = _key_of(request), time.perf_counter()
        try:
            asked = await audio.read(request)
        except wire.BadRequestError as error:
            return _error(400, str(error), "invalid_request_error", param=error.param)
        seen = Seen(self.seen.next_seq(), time.time(), "transcriptions", key, asked.model, False, [], asked.params)
        seen.audio = {"name": asked.name, "type": asked.kind, "size": len(asked.data)}
        self.seen.add(seen)
        return await self._watched(seen, began, self._transcribe(request, key, asked, seen))

    async def _transcribe(self, request: web.Request, key: str, asked: audio.Asked, seen: Seen) -> web.StreamResponse:
        rule, early = await self._early(request, key, asked.model, seen)
        if early is not None:
            return early
        try:
            text = answering.transcript(self.answers, answering.Heard(asked.name, asked.data, key, asked.model))
        except (answering.NoAnswerError, answering.AnswersError) as error:
            self._outcome(seen, "500")
            return _error(500, str(error), "server_error")
        seen.answer = text = "" if rule is not None and rule.effect == "empty" else text
        data = audio.body(asked, text)
        response = await self._written(request, data, asked.content_type, {}, None if rule is None else rule.effect)
        self._outcome(seen, "ok" if rule is None or rule.effect in {"latency", "hold"} else rule.effect)
        return response

    async def _watched(
        self, seen: Seen, began: float, answering_it: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        """Its answer; how long it took is written down, and a client that goes away meanwhile."""
        try:
            response = await answering_it
        except asyncio.CancelledError:
            self._outcome(seen, "client gone")
            raise
        except ConnectionError:
            self._outcome(seen, "client gone")
            raise
        finally:
            seen.seconds = time.perf_counter() - began
        _log.debug("request", seq=seen.seq, api=seen.api, model=seen.model, outcome=seen.outcome)
        return response

    async def _early(
        self, request: web.Request, key: str, model: str, seen: Seen
    ) -> tuple[Rule | None, web.StreamResponse | None]:
        """The fault that meets this request, and a response if it ends there already."""
        if (refused := self._refused(key)) is not None:
            self._outcome(seen, "401")
            return None, refused
        rule = self.faults.take(*EFFECTS, key=key.casefold(), model=model.casefold(), api=seen.api)
        if rule is not None and (early := await self._before(request, rule, seen)) is not None:
            return rule, early
        if self.answers.models is not None and model not in self.answers.models:
            self._outcome(seen, "404")
            return rule, _unknown_model(model)
        if seen.images and self.vision is not None and model not in self.vision:
            self._outcome(seen, "400")
            message = "Invalid content type. image_url is only supported by certain models."
            return rule, _error(400, message, "invalid_request_error", param="messages")
        if self.latency:
            await asyncio.sleep(self.latency)
        return rule, None

    async def _respond(self, request: web.Request, key: str, asked: wire.Asked, seen: Seen) -> web.StreamResponse:
        rule, early = await self._early(request, key, asked.model, seen)
        if early is not None:
            return early
        try:
            question = answering.Question(asked.messages, key, asked.model, len(asked.images))
            text = answering.answer(self.answers, question)
        except (answering.NoAnswerError, answering.AnswersError) as error:
            self._outcome(seen, "500")
            return _error(500, str(error), "server_error")
        reply = _reply(asked, seen, text, None if rule is None else rule.effect)
        seen.answer = reply.text
        response = await self._write(request, asked, reply, rule)
        self._outcome(seen, "ok" if rule is None or rule.effect in {"latency", "hold"} else rule.effect)
        return response

    async def _before(self, request: web.Request, rule: Rule, seen: Seen) -> web.StreamResponse | None:
        """What a fault does before there is an answer; a response when it ends there."""
        options = rule.options
        if rule.effect == "status":
            code = int(options.get("code", 500))
            self._outcome(seen, str(code))
            return _status_response(code, options)
        if rule.effect == "latency":
            await asyncio.sleep(float(options.get("delay", 1.0)))
        elif rule.effect in {"hold", "hang"}:
            self._outcome(seen, "held" if rule.effect == "hold" else "hanging")
            await rule.released.wait()
            self._outcome(seen, "running")
        elif rule.effect == "refuse":
            self._outcome(seen, "refuse")
            _cut(request)
            return web.Response(status=500)
        return None

    async def _write(
        self, request: web.Request, asked: wire.Asked, reply: wire.Reply, rule: Rule | None
    ) -> web.StreamResponse:
        effect = None if rule is None else rule.effect
        headers = _limits(reply)
        if asked.stream:
            return await _stream(request, asked, reply, effect, headers)
        body = wire.chat_body(reply) if asked.api == "chat" else wire.responses_body(reply)
        return await self._written(
            request, json.dumps(body, ensure_ascii=False).encode(), "application/json", headers, effect
        )

    async def _written(
        self, request: web.Request, data: bytes, content_type: str, headers: dict[str, str], effect: str | None
    ) -> web.StreamResponse:
        if effect == "broken_json":
            data = data[: len(data) // 2] + b"]"
        if effect == "cut":
            response = web.StreamResponse(headers={**headers, "Content-Type": content_type})
            response.content_length = len(data)
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
            _cut(request)
            return response
        return web.Response(body=data, content_type=content_type, headers=headers)

    def _record(self, key: str, asked: wire.Asked) -> Seen:
        messages = [{"role": role, "content": text} for role, text in asked.messages]
        seen = Seen(
            self.seen.next_seq(), time.time(), asked.api, key, asked.model, asked.stream, messages, dict(asked.params)
        )
        seen.images = list(asked.images)
        self.seen.add(seen)
        return seen

    def _outcome(self, seen: Seen, outcome: str) -> None:
        seen.outcome = outcome
        self.seen.pulse.beat()

    def _refused(self, key: str) -> web.Response | None:
        if key and (self.keys is None or key in self.keys):
            return None
        shown = f"{key[:3]}…{key[-2:]}" if len(key) > 8 else "…"
        message = f"Incorrect API key provided: {shown}." if key else "You didn't provide an API key."
        return _error(401, message, "invalid_request_error", code="invalid_api_key")


def _reply(asked: wire.Asked, seen: Seen, text: str, effect: str | None) -> wire.Reply:
    finish = "stop"
    if effect == "empty":
        text = ""
    elif effect == "length":
        text, finish = text[: len(text) // 2], "length"
    if asked.max_tokens is not None and wire.count_tokens(text) > asked.max_tokens:
        text, finish = wire.cut_to_tokens(text, asked.max_tokens), "length"
    return wire.Reply(
        text=text,
        finish="length" if finish == "length" else "stop",
        prompt_tokens=wire.prompt_tokens(asked.messages, len(asked.images)),
        completion_tokens=wire.count_tokens(text),
        seq=seen.seq,
        created=int(seen.time),
        model=asked.model,
    )


async def _stream(
    request: web.Request, asked: wire.Asked, reply: wire.Reply, effect: str | None, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    chat = asked.api == "chat"
    made = wire.chat_events(reply, include_usage=asked.include_usage) if chat else wire.responses_events(reply)
    events = list(made)
    if effect in {"cut", "broken_json"}:
        events = events[: max(2, len(events) // 2)]
    if effect == "broken_json":
        events[-1] = b'data: {"id": "broken", \n\n'
    for event in events:
        await response.write(event)
    if effect == "cut":
        _cut(request)
        return response
    await response.write_eof()
    return response


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _key_of(request: web.Request) -> str:
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if kind.casefold() == "bearer" else ""


def _limits(reply: wire.Reply) -> dict[str, str]:
    return {
        "x-request-id": f"req_{reply.identity}",
        "openai-processing-ms": "1",
        "x-ratelimit-limit-requests": str(REQUESTS_A_MINUTE),
        "x-ratelimit-remaining-requests": str(REQUESTS_A_MINUTE - 1),
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": str(TOKENS_A_MINUTE),
        "x-ratelimit-remaining-tokens": str(TOKENS_A_MINUTE - reply.prompt_tokens),
        "x-ratelimit-reset-tokens": "1ms",
    }


def _status_response(code: int, options: dict[str, Any]) -> web.Response:
    kind, error_code, message = _STATUS.get(code, ("server_error", None, "An error of the simulator's fault list."))
    response = _error(
        code,
        str(options.get("message") or message),
        str(options.get("type") or kind),
        code=options.get("error_code") or error_code,
    )
    if (wait := options.get("retry_after")) is not None:
        response.headers["Retry-After"] = str(wait)
        response.headers["retry-after-ms"] = str(int(float(wait) * 1000))
    return response


def _error(status: int, message: str, kind: str, *, code: str | None = None, param: str | None = None) -> web.Response:
    return web.json_response(wire.error_body(message, kind, code, param), status=status)


def _unknown_model(name: str) -> web.Response:
    return _error(404, f"The model `{name}` does not exist.", "invalid_request_error", code="model_not_found")


def _model_view(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "botfleet-simulator"}
