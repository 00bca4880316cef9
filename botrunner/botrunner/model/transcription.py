"""Why: one voice message to the model that writes it down, one typed outcome. It never retries by itself, and never logs a word.

Source: https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from botfleet.model import Transcription
from botfleet.store.folding import clean
from botfleet.store.rows import Spending
from botrunner.model.bounded import IDENTITY, bound
from botrunner.model.provider import CLOSE_SECONDS, CONNECT_SECONDS, MOST_TOKENS, Failure, NoAnswer, failure_of

if TYPE_CHECKING:
    import httpx2 as httpx

LONGEST_TRANSCRIPT = 20_000
"""Characters: of half an hour of speech. What is longer ends there, with an ellipsis."""

MOST_SECONDS = 10**6
NAMES = {"audio/ogg": "voice.ogg", "audio/mpeg": "voice.mp3", "audio/mp4": "voice.m4a", "audio/x-m4a": "voice.m4a"}
"""Endpoints know the format by the file's name. Telegram's own voice messages are Ogg."""


@dataclass(frozen=True)
class Heard:
    """What is said in it; empty: nothing that could be understood. `spent`: what it cost."""

    text: str = field(repr=False)
    spent: Spending


class Transcriber:
    """Asks one endpoint with one key."""

    def __init__(
        self,
        model: Transcription,
        api_key: str,
        *,
        http_client: "httpx.AsyncClient | None" = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """`http_client` replaces the connection; tests give one that answers by itself."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        self._model, self._today = model, today
        connection = http_client or DefaultAsyncHttpxClient()
        connection.event_hooks = {**connection.event_hooks, "response": [*connection.event_hooks["response"], bound]}
        seconds = float(model.timeout_seconds)
        self._client: AsyncOpenAI = AsyncOpenAI(
            api_key=api_key,
            base_url=model.base_url,
            max_retries=0,
            http_client=connection,
            default_headers=IDENTITY,
            timeout=Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
        )

    async def close(self) -> None:
        """Closes the connections; one that does not let itself be closed ends with the process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()

    async def hear(self, data: bytes, kind: str | None) -> Heard | NoAnswer:
        """One call of `POST /audio/transcriptions`, with the model's time limit over all of it. `kind`: a media type."""
        from openai import OpenAIError
        from openai.types.audio import Transcription as Written

        kind = kind if kind in NAMES else "audio/ogg"
        try:
            async with asyncio.timeout(self._model.timeout_seconds):
                written = await self._client.post(
                    "/audio/transcriptions",
                    body={"model": self._model.name, "response_format": "json"},
                    files=[("file", (NAMES[kind], data, kind))],
                    options={"headers": {"Content-Type": "multipart/form-data"}},
                    cast_to=Written,
                )
        except OpenAIError as error:
            return failure_of(error)
        except TimeoutError:
            return NoAnswer(Failure.TIMEOUT)
        except (ValueError, RecursionError):  # no JSON, nested without an end, or too long (TooMuchError)
            return NoAnswer(Failure.BAD_ANSWER)
        text = getattr(written, "text", None)
        spent = self._spending(getattr(written, "usage", None))
        if not isinstance(text, str):
            return NoAnswer(Failure.BAD_ANSWER, None, (spent,), spent.input_tokens, spent.output_tokens)
        text = clean(text[: LONGEST_TRANSCRIPT + 1]).strip()
        return Heard(text if len(text) <= LONGEST_TRANSCRIPT else text[: LONGEST_TRANSCRIPT - 1] + "…", spent)

    def _spending(self, usage: Any) -> Spending:
        """An endpoint counts tokens or seconds; one that tells neither counts 0."""
        tokens = (_number(usage, "input_tokens"), _number(usage, "output_tokens"))
        seconds = _seconds(getattr(usage, "seconds", None))
        return Spending(self._today(), self._model.name, *tokens, self._model.micros(seconds, *tokens))


def _number(usage: Any, name: str) -> int:
    value = getattr(usage, name, None)
    return min(value, MOST_TOKENS) if isinstance(value, int) and value > 0 else 0


def _seconds(value: Any) -> float:
    """As far as it is believed: what is no number of seconds counts nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return min(float(value), MOST_SECONDS) if value > 0 else 0.0
