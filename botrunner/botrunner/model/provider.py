"""Why: one question to the model, one typed outcome. It never retries by itself (the conversation does, and a message stays
pending meanwhile), and never logs a prompt, an answer or a key.
"""

import asyncio
import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botfleet.model import Model
from botfleet.store.folding import clean
from botfleet.store.rows import Spending
from botrunner.model.bounded import IDENTITY, bound
from botrunner.model.messages import ChatMessage, on_the_wire
from botrunner.model.pace import Allowance, allowance_of

if TYPE_CHECKING:
    import httpx2 as httpx
    from openai import BaseModel, OpenAIError

__all__ = [
    "CLOSE_SECONDS",
    "CONNECT_SECONDS",
    "LONGEST_ANSWER",
    "MOST_TOKENS",
    "Answer",
    "ChatMessage",
    "Failure",
    "ModelProvider",
    "NoAnswer",
    "answer_of",
    "failure_of",
]

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0
LONGEST_ANSWER = 40_000
"""Characters, about ten messages of Telegram. Nobody reads more in a chat: what is longer ends there, with an ellipsis."""

MOST_TOKENS = 10**8
"""Of one call, as far as it is believed: an endpoint's numbers are added up in the store."""


class Failure(StrEnum):
    """Why there is no answer."""

    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    UNKNOWN_MODEL = "unknown_model"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    REFUSED_REQUEST = "refused_request"
    BAD_ANSWER = "bad_answer"
    EMPTY_ANSWER = "empty_answer"

    @property
    def passes(self) -> bool:
        """The endpoint's trouble or its owner's, whatever was asked: the same question may be answered later."""
        return self not in (Failure.REFUSED_REQUEST, Failure.BAD_ANSWER, Failure.EMPTY_ANSWER)


@dataclass(frozen=True)
class Answer:
    """What the model said, and what it cost in tokens (0 where the endpoint does not tell).

    `cut_off`: it ends before its end. `spent`: of all calls that it took, for the store.
    """

    text: str
    cut_off: bool
    input_tokens: int
    output_tokens: int
    spent: tuple[Spending, ...] = ()


@dataclass(frozen=True)
class NoAnswer:
    """A failure. `retry_after` in seconds when the endpoint named a time. What was thrown away may have cost tokens.

    `pictures_refused`: there was nothing but pictures to answer, and no model took them.
    """

    failure: Failure
    retry_after: float | None = None
    spent: tuple[Spending, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    pictures_refused: bool = False


class ModelProvider:
    """Asks one endpoint with one key. `allowance`: what the endpoint told last of how often it may be asked."""

    allowance: Allowance | None = None

    def __init__(self, model: Model, api_key: str, *, http_client: "httpx.AsyncClient | None" = None) -> None:
        """`http_client` replaces the connection; tests give one that answers by itself."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        self._model = model
        connection = http_client or DefaultAsyncHttpxClient()
        connection.event_hooks = {
            **connection.event_hooks,
            "response": [*connection.event_hooks["response"], bound, self._hear],
        }
        self._client: AsyncOpenAI = AsyncOpenAI(
            api_key=api_key,
            base_url=model.base_url,
            max_retries=0,
            http_client=connection,
            default_headers=IDENTITY,
            timeout=Timeout(float(model.timeout_seconds), connect=min(CONNECT_SECONDS, float(model.timeout_seconds))),
        )

    async def _hear(self, response: "httpx.Response") -> None:
        self.allowance = allowance_of(response.headers)

    async def close(self) -> None:
        """Closes the connections; one that does not let itself be closed ends with the process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()

    async def answer(self, messages: Sequence[ChatMessage]) -> Answer | NoAnswer:
        """One call of `POST /chat/completions`, with the model's time limit over all of it."""
        from openai import OpenAIError

        body: dict[str, object] = {
            "model": self._model.name,
            "messages": on_the_wire(messages, vision=self._model.vision),
            "max_completion_tokens": self._model.max_output_tokens,
        }
        if self._model.temperature is not None:
            body["temperature"] = self._model.temperature
        try:
            # `post` instead of `chat.completions.create`: the same client without a walk over the types of every message,
            # and of the answer's parts that nobody reads.
            async with asyncio.timeout(self._model.timeout_seconds):
                completion = await self._client.post("/chat/completions", body=body, cast_to=_completion())
        except OpenAIError as error:
            return failure_of(error)
        except TimeoutError:
            return NoAnswer(Failure.TIMEOUT)
        except (
            ValueError,
            RecursionError,
        ):  # a body that is no JSON, nested without an end, or too long (TooMuchError)
            return NoAnswer(Failure.BAD_ANSWER)
        return answer_of(completion)


@functools.cache
def _completion() -> "type[BaseModel]":
    """What is read of a chat completion (OpenAI API reference, "The chat completion object"), as plain JSON."""
    from openai import BaseModel

    class Completion(BaseModel):
        choices: object = None
        usage: object = None

    return Completion


def answer_of(completion: object) -> Answer | NoAnswer:
    """What a completion says; endpoints that only resemble OpenAI's leave out what they like."""
    usage = _part(getattr(completion, "usage", None))
    tokens = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    choices = getattr(completion, "choices", None)
    first = _part(choices[0]) if isinstance(choices, list) and choices else {}
    if not isinstance(first.get("message"), Mapping):
        return NoAnswer(Failure.BAD_ANSWER, None, (), *tokens)
    content = first["message"].get("content")
    if not isinstance(content, str | None):
        return NoAnswer(Failure.BAD_ANSWER, None, (), *tokens)
    # Cleaned as the store cleans it, before anything is decided: what is left may be nothing.
    text = clean((content or "").strip()[: LONGEST_ANSWER + 1]).strip()
    if not text:
        return NoAnswer(Failure.EMPTY_ANSWER, None, (), *tokens)
    too_long = len(text) > LONGEST_ANSWER
    if too_long:
        text = text[: LONGEST_ANSWER - 1].rstrip() + "…"
    return Answer(text, too_long or first.get("finish_reason") == "length", *tokens)


def _part(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: object) -> int:
    return min(value, MOST_TOKENS) if isinstance(value, int) and value > 0 else 0


def failure_of(error: "OpenAIError") -> NoAnswer:
    """The typed outcome of an error of the client (openai-python: "Handling errors")."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return NoAnswer(Failure.TIMEOUT)
    if isinstance(error, openai.APIConnectionError):
        return NoAnswer(Failure.UNREACHABLE)
    if isinstance(error, openai.APIResponseValidationError):
        return NoAnswer(Failure.BAD_ANSWER)
    if isinstance(error, openai.APIStatusError):
        return NoAnswer(
            _of_status(error.status_code, error.code), _retry_after(error.response.headers.get("retry-after"))
        )
    return NoAnswer(Failure.BAD_ANSWER)


def _of_status(status: int, code: str | None) -> Failure:
    if status in (401, 403):
        return Failure.UNAUTHORIZED
    if status == 404:  # a name or an address that the owner corrects; no matter of this question
        return Failure.UNKNOWN_MODEL
    if status == 429:
        return Failure.QUOTA_EXHAUSTED if code == "insufficient_quota" else Failure.RATE_LIMITED
    if status >= 500 or status in (408, 409):
        return Failure.SERVER_ERROR
    return Failure.REFUSED_REQUEST


def _retry_after(header: str | None) -> float | None:
    try:
        seconds = float(header) if header is not None else None
    except ValueError:  # the HTTP-date form; the usual back-off serves
        return None
    return seconds if seconds is not None and 0 <= seconds <= 3600 else None
