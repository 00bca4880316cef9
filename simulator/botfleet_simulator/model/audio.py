"""POST /v1/audio/transcriptions: the form read, the answer written, with what it counts.

See https://platform.openai.com/docs/api-reference/audio. It must never decide what is heard.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from botfleet_simulator.model.wire import BadRequestError, count_tokens

BYTES_A_SECOND = 2000  # of a voice note, about
TOKENS_A_SECOND = 10
FORMATS = ("json", "text", "verbose_json")


@dataclass(frozen=True, slots=True)
class Asked:
    """A file to transcribe."""

    model: str
    name: str
    kind: str
    data: bytes
    format: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """Of the answer."""
        return "text/plain" if self.format == "text" else "application/json"

    @property
    def seconds(self) -> int:
        """How long the recording counts as: by its bytes, one at least."""
        return max(1, -(-len(self.data) // BYTES_A_SECOND))


async def read(request: web.Request) -> Asked:
    """Understand a form. Raises BadRequestError."""
    if not request.content_type.startswith("multipart/"):
        raise BadRequestError("the body must be multipart/form-data")
    form = await request.post()
    file, model = form.get("file"), form.get("model")
    if not isinstance(file, web.FileField):
        raise BadRequestError("Missing required parameter: 'file'.", "file")
    if not isinstance(model, str) or not model:
        raise BadRequestError("Missing required parameter: 'model'.", "model")
    wanted = str(form.get("response_format", "json"))
    if wanted not in FORMATS:
        raise BadRequestError(f"Invalid value: '{wanted}'.", "response_format")
    data = file.file.read()
    if not data:
        raise BadRequestError("The audio file is empty.", "file")
    params = {name: value for name, value in form.items() if name not in {"file", "model"} and isinstance(value, str)}
    return Asked(model, file.filename, file.content_type, data, wanted, params)


def body(asked: Asked, text: str) -> bytes:
    """The answer: whisper counts seconds, the newer models tokens."""
    if asked.format == "text":
        return text.encode()
    if "whisper" in asked.model:
        usage: dict[str, Any] = {"type": "duration", "seconds": asked.seconds}
    else:
        heard, said = asked.seconds * TOKENS_A_SECOND, count_tokens(text)
        usage = {
            "type": "tokens",
            "input_tokens": heard,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
            "output_tokens": said,
            "total_tokens": heard + said,
        }
    return json.dumps({"text": text, "usage": usage}, ensure_ascii=False).encode()
