"""OpenAI's shapes: requests read, answers, streams and errors written (Chat Completions and Responses).

See https://platform.openai.com/docs/api-reference. Pure; it must never decide what is answered.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Api = Literal["chat", "responses", "transcriptions"]
TOKENS_A_MESSAGE = 4
TOKENS_AN_IMAGE = 85
CHUNK_CHARACTERS = 12


class BadRequestError(ValueError):
    """The request is not one that OpenAI would take; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was understood."""

    api: Api
    model: str
    messages: list[tuple[str, str]]
    stream: bool
    include_usage: bool
    max_tokens: int | None
    params: dict[str, Any] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to be written: `finish` is OpenAI's finish_reason."""

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    seq: int
    created: int
    model: str

    @property
    def identity(self) -> str:
        """A stable id for the answer."""
        return hashlib.sha256(f"{self.seq} {self.text}".encode()).hexdigest()[:24]


def read_chat(data: Any) -> Asked:
    """Understand a body of POST /v1/chat/completions. Raises BadRequestError."""
    _require(data, "messages")
    images: list[dict[str, Any]] = []
    messages = [_message(item, f"messages[{i}]", images) for i, item in enumerate(_list(data["messages"], "messages"))]
    if not messages:
        raise BadRequestError("messages: at least one is needed", "messages")
    _check_temperature(data)
    options = data.get("stream_options") or {}
    return Asked(
        api="chat",
        model=data["model"],
        messages=messages,
        stream=bool(data.get("stream")),
        include_usage=bool(options.get("include_usage")),
        max_tokens=data.get("max_completion_tokens") or data.get("max_tokens"),
        params={name: value for name, value in data.items() if name not in {"messages", "model"}},
        images=images,
    )


def read_responses(data: Any) -> Asked:
    """Understand a body of POST /v1/responses. Raises BadRequestError."""
    _require(data, "input")
    messages: list[tuple[str, str]] = []
    if data.get("instructions"):
        messages.append(("system", str(data["instructions"])))
    given = data["input"]
    images: list[dict[str, Any]] = []
    if isinstance(given, str):
        messages.append(("user", given))
    else:
        messages += [_message(item, f"input[{i}]", images) for i, item in enumerate(_list(given, "input"))]
    _check_temperature(data)
    return Asked(
        api="responses",
        model=data["model"],
        messages=messages,
        stream=bool(data.get("stream")),
        include_usage=True,
        max_tokens=data.get("max_output_tokens"),
        params={name: value for name, value in data.items() if name not in {"input", "instructions", "model"}},
        images=images,
    )


def count_tokens(text: str) -> int:
    """A plausible number, always the same for the same text: a token for every four bytes, one at least."""
    return max(1, (len(text.encode()) + 3) // 4) if text else 0


def prompt_tokens(messages: list[tuple[str, str]], images: int = 0) -> int:
    """The prompt's tokens."""
    return sum(count_tokens(text) + TOKENS_A_MESSAGE for _, text in messages) + 3 + TOKENS_AN_IMAGE * images


def cut_to_tokens(text: str, limit: int) -> str:
    """The beginning of a text that fits so many tokens."""
    return text.encode()[: limit * 4].decode(errors="ignore")


def error_body(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error as OpenAI writes it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def chat_body(reply: Reply) -> dict[str, Any]:
    """The answer of Chat Completions."""
    return {
        "id": f"chatcmpl-{reply.identity}",
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": reply.finish,
            }
        ],
        "usage": _chat_usage(reply),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def chat_events(reply: Reply, *, include_usage: bool) -> Iterator[bytes]:
    """The stream of Chat Completions, event by event."""
    base = {
        "id": f"chatcmpl-{reply.identity}",
        "object": "chat.completion.chunk",
        "created": reply.created,
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }
    none = {"usage": None} if include_usage else {}

    def choice(delta: dict[str, Any], finish: str | None = None) -> bytes:
        part = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**base, "choices": [part], **none})

    yield choice({"role": "assistant", "content": "", "refusal": None})
    for piece in pieces(reply.text):
        yield choice({"content": piece})
    yield choice({}, reply.finish)
    if include_usage:
        yield _event({**base, "choices": [], "usage": _chat_usage(reply)})
    yield b"data: [DONE]\n\n"


def responses_body(reply: Reply, *, status: str | None = None, with_output: bool = True) -> dict[str, Any]:
    """The answer of Responses."""
    cut = reply.finish == "length"
    state = status or ("incomplete" if cut else "completed")
    return {
        "id": f"resp_{reply.identity}",
        "object": "response",
        "created_at": reply.created,
        "status": state,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if state == "incomplete" else None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": reply.model,
        "output": [_output_item(reply, "incomplete" if cut else "completed")] if with_output else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _responses_usage(reply) if with_output else None,
    }


def responses_events(reply: Reply) -> Iterator[bytes]:
    """The stream of Responses, event by event."""
    number = 0

    def event(kind: str, **content: Any) -> bytes:
        nonlocal number
        data = {"type": kind, "sequence_number": number, **content}
        number += 1
        return b"event: " + kind.encode() + b"\n" + _event(data)

    begun = responses_body(reply, status="in_progress", with_output=False)
    item = f"msg_{reply.identity}"
    place: dict[str, Any] = {"item_id": item, "output_index": 0, "content_index": 0}
    empty = {"id": item, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    done = _output_item(reply, "incomplete" if reply.finish == "length" else "completed")
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    yield event("response.output_item.added", output_index=0, item=empty)
    yield event("response.content_part.added", **place, part={"type": "output_text", "text": "", "annotations": []})
    for piece in pieces(reply.text):
        yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
    yield event("response.output_text.done", **place, text=reply.text, logprobs=[])
    yield event("response.content_part.done", **place, part=done["content"][0])
    yield event("response.output_item.done", output_index=0, item=done)
    final = responses_body(reply)
    yield event(f"response.{final['status']}", response=final)


def pieces(text: str) -> Iterator[str]:
    """The parts in which a text is streamed."""
    for start in range(0, len(text), CHUNK_CHARACTERS):
        yield text[start : start + CHUNK_CHARACTERS]


def _output_item(reply: Reply, status: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{reply.identity}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [part],
    }


def _chat_usage(reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _responses_usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _require(data: Any, name: str) -> None:
    if not isinstance(data, dict):
        raise BadRequestError("the body must be a JSON object")
    for wanted in ("model", name):
        if not data.get(wanted):
            raise BadRequestError(f"Missing required parameter: '{wanted}'.", wanted)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequestError(f"{name}: an array is needed", name)
    return value


def _message(item: Any, place: str, images: list[dict[str, Any]]) -> tuple[str, str]:
    if not isinstance(item, dict) or "role" not in item:
        raise BadRequestError(f"Missing required parameter: '{place}.role'.", f"{place}.role")
    role, content = item["role"], item.get("content")
    if role not in {"system", "developer", "user", "assistant", "tool", "function"}:
        raise BadRequestError(f"Invalid value: '{role}'.", f"{place}.role")
    if content is None:
        return role, ""
    if isinstance(content, str):
        return role, content
    parts = [part for part in _list(content, f"{place}.content") if isinstance(part, dict)]
    for number, part in enumerate(parts):
        if part.get("type") in {"image_url", "input_image"}:
            images.append(read_image(part.get("image_url"), f"{place}.content[{number}].image_url"))
    return role, "\n".join(str(part["text"]) for part in parts if part.get("text"))


def read_image(given: Any, place: str) -> dict[str, Any]:
    """Type and size of an image part: of Chat Completions an object with `url`, of Responses the URL. Raises BadRequestError."""
    url = given.get("url") if isinstance(given, dict) else given
    if not isinstance(url, str):
        raise BadRequestError(f"Missing required parameter: '{place}'.", place)
    if url.startswith(("https://", "http://")):
        return {"type": "url", "size": 0}
    head, _, body = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise BadRequestError(f"Invalid '{place}': expected a URL or a base64-encoded data URL of an image.", place)
    try:
        size = len(base64.b64decode(body, validate=True))
    except binascii.Error:
        raise BadRequestError(f"Invalid '{place}': the base64 cannot be decoded.", place) from None
    return {"type": head.removeprefix("data:").removesuffix(";base64"), "size": size}


def _check_temperature(data: dict[str, Any]) -> None:
    value = data.get("temperature")
    if value is not None and not (isinstance(value, int | float) and 0 <= value <= 2):
        raise BadRequestError("Invalid 'temperature': expected a value between 0 and 2.", "temperature")
