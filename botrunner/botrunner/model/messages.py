"""Why: what a model is asked with: messages of words, some of them with pictures. How they stand on the wire is decided here. Pure.

A picture's bytes are held for one question only, and no log, store or repr ever sees them.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict


@dataclass(frozen=True)
class Picture:
    """One picture. `type`: its media type. `alone`: it came without words."""

    type: str
    data: bytes = field(repr=False)
    alone: bool = False


class ChatMessage(TypedDict):
    """One message of a prompt, as chat completions name it, and the picture that it came with."""

    role: Literal["system", "user", "assistant"]
    content: str
    picture: NotRequired[Picture]


def on_the_wire(messages: Sequence[ChatMessage], *, vision: bool) -> list[dict[str, Any]]:
    """The `messages` of a request. Without `vision` the words only."""
    return [_message(message, vision=vision) for message in messages]


def has_pictures(messages: Sequence[ChatMessage]) -> bool:
    """Whether a model that sees would be shown any."""
    return any("picture" in message for message in messages)


def is_all_pictures(messages: Sequence[ChatMessage]) -> bool:
    """Whether there is nothing to answer without seeing: all since the last answer came without words."""
    turn: list[ChatMessage] = []
    for message in messages:
        turn = [] if message["role"] == "assistant" else [*turn, message]
    asked = [message for message in turn if message["role"] == "user"]
    return bool(asked) and all("picture" in message and message["picture"].alone for message in asked)


def without_pictures(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The words only."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _message(message: ChatMessage, *, vision: bool) -> dict[str, Any]:
    picture = message.get("picture")
    if picture is None or not vision:
        return {"role": message["role"], "content": message["content"]}
    url = f"data:{picture.type};base64,{base64.b64encode(picture.data).decode('ascii')}"
    return {
        "role": message["role"],
        "content": [
            {"type": "text", "text": message["content"]},
            {"type": "image_url", "image_url": {"url": url}},
        ],
    }
