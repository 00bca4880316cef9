"""Why: a bot's models and its budget with everything said, and what a call costs. Pure; the specs are filled in here for effective.py."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from botfleet.spec.account import SecretKeyRef
from botfleet.spec.limits import BudgetSpec
from botfleet.spec.model import FallbackSpec, ModelSpec, PriceSpec, TranscriptionSpec

MICROS = 1_000_000
TRANSCRIPTION_SECONDS = 60
TRANSCRIBED_SECONDS = 300


@dataclass(frozen=True)
class Price:
    """In the owner's currency, for a million tokens."""

    input: float
    output: float

    def micros(self, input_tokens: int, output_tokens: int) -> int:
        """What a call cost, in millionths of the currency; never less than it was, so that a budget holds."""
        return math.ceil(round(input_tokens * self.input + output_tokens * self.output, 6))


@dataclass(frozen=True)
class Model:
    """One model at one endpoint. None: of `temperature`, do not send it; of `price`, its cost is not known; of
    `requests_per_minute`, its owner sets no bound."""

    name: str
    base_url: str
    api_key_secret_ref: SecretKeyRef
    temperature: float | None
    max_output_tokens: int
    timeout_seconds: int
    price: Price | None = None
    requests_per_minute: int | None = None
    fallbacks: tuple["Model", ...] = ()
    vision: bool = False
    max_image_bytes: int = 0
    transcription: "Transcription | None" = None

    @property
    def sees(self) -> bool:
        """Whether any of them is shown pictures."""
        return any(model.vision for model in self.chain)

    @property
    def chain(self) -> tuple["Model", ...]:
        """All models, in the order in which they are asked."""
        return (self, *self.fallbacks)

    @property
    def longest_call_seconds(self) -> int:
        """How long one call may take, whichever model is asked."""
        voices = self.transcription.timeout_seconds if self.transcription else 0
        return max(voices, *(model.timeout_seconds for model in self.chain))

    def to_wire(self) -> dict[str, Any]:
        """As a ModelSpec in which everything is said."""
        return {
            **_wire(self),
            "max_image_bytes": self.max_image_bytes,
            "fallbacks": [_wire(model) for model in self.fallbacks] or None,
            "transcription": self.transcription.to_wire() if self.transcription else None,
        }


@dataclass(frozen=True)
class Transcription:
    """The model that writes voice messages down. `price_per_minute` in the owner's currency."""

    name: str
    base_url: str
    api_key_secret_ref: SecretKeyRef
    timeout_seconds: int
    max_seconds: int
    price_per_minute: float | None = None
    price: Price | None = None

    def micros(self, seconds: float, input_tokens: int, output_tokens: int) -> int:
        """What one cost, in millionths of the currency; never less than it was. An endpoint counts one or the other."""
        by_time = math.ceil(round(seconds / 60 * (self.price_per_minute or 0) * MICROS, 6))
        return by_time + (self.price.micros(input_tokens, output_tokens) if self.price else 0)

    def to_wire(self) -> dict[str, Any]:
        """As a TranscriptionSpec in which everything is said."""
        return {
            "name": self.name,
            "base_url": self.base_url,
            "api_key_secret_ref": self.api_key_secret_ref,
            "timeout_seconds": self.timeout_seconds,
            "max_seconds": self.max_seconds,
            "price_per_minute": self.price_per_minute,
            "price_per_million_tokens": vars(self.price) if self.price else None,
        }


@dataclass(frozen=True)
class Budget:
    """What may be spent on a UTC day; 0: no limit. Money in millionths of the owner's currency."""

    tokens: int
    micros: int
    exhausted_text: str

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.tokens or self.micros)

    def to_wire(self) -> dict[str, Any]:
        """As a BudgetSpec in which everything is said."""
        return {
            "tokens_per_day": self.tokens,
            "money_per_day": self.micros / MICROS,
            "exhausted_text": self.exhausted_text,
        }


def model_of(spec: ModelSpec) -> Model:
    """The chain of a spec in which name, endpoint, key and bounds of the main model are said."""
    assert spec.name is not None and spec.base_url is not None and spec.api_key_secret_ref  # noqa: S101 -- effective.py
    assert spec.max_output_tokens is not None and spec.timeout_seconds is not None  # noqa: S101 -- has seen to it
    main = Model(
        spec.name,
        spec.base_url,
        spec.api_key_secret_ref,
        spec.temperature,
        spec.max_output_tokens,
        spec.timeout_seconds,
        _price_of(spec.price_per_million_tokens),
        spec.requests_per_minute,
        vision=bool(spec.vision),
        max_image_bytes=spec.max_image_bytes or 0,
    )
    return replace(
        main,
        fallbacks=tuple(_fallback(one, main) for one in spec.fallbacks or ()),
        transcription=_transcription(spec.transcription, main) if spec.transcription else None,
    )


def budget_of(spec: BudgetSpec) -> Budget:
    """The budget of a spec in which everything is said."""
    assert spec.exhausted_text is not None  # noqa: S101 -- the built-in defaults say it
    return Budget(spec.tokens_per_day or 0, round((spec.money_per_day or 0) * MICROS), spec.exhausted_text)


def without_price(model: Model) -> Iterator[str]:
    """The fields that a budget in money needs and that are not said."""
    yield from (f"{path}.pricePerMillionTokens" for path, one in fields(model) if one.price is None)
    voices = model.transcription
    if voices and voices.price is None and voices.price_per_minute is None:
        yield "spec.model.transcription.pricePerMinute"


def fields(model: Model) -> Iterator[tuple[str, Model]]:
    """The models of a chain, each with where its owner writes it."""
    yield "spec.model", model
    yield from ((f"spec.model.fallbacks[{place}]", one) for place, one in enumerate(model.fallbacks))


def _fallback(spec: FallbackSpec, main: Model) -> Model:
    """What a fallback does not say is the main model's, but for what may not fit another model: temperature, price and pace."""
    return Model(
        spec.name,
        spec.base_url or main.base_url,
        spec.api_key_secret_ref or main.api_key_secret_ref,
        spec.temperature,
        spec.max_output_tokens or main.max_output_tokens,
        spec.timeout_seconds or main.timeout_seconds,
        _price_of(spec.price_per_million_tokens),
        spec.requests_per_minute,
        vision=bool(spec.vision),
        max_image_bytes=main.max_image_bytes,
    )


def _transcription(spec: TranscriptionSpec, main: Model) -> Transcription:
    return Transcription(
        spec.name,
        spec.base_url or main.base_url,
        spec.api_key_secret_ref or main.api_key_secret_ref,
        spec.timeout_seconds or TRANSCRIPTION_SECONDS,
        spec.max_seconds or TRANSCRIBED_SECONDS,
        spec.price_per_minute,
        _price_of(spec.price_per_million_tokens),
    )


def _price_of(spec: PriceSpec | None) -> Price | None:
    return None if spec is None else Price(spec.input, spec.output)


def _wire(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "base_url": model.base_url,
        "api_key_secret_ref": model.api_key_secret_ref,
        "temperature": model.temperature,
        "max_output_tokens": model.max_output_tokens,
        "timeout_seconds": model.timeout_seconds,
        "vision": model.vision,
        "price_per_million_tokens": vars(model.price) if model.price else None,
        "requests_per_minute": model.requests_per_minute,
    }
