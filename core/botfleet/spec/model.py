"""Why: which models write the answers, in which order, and what they cost. Every optional field has no default here (see effective.py)."""

import json
import re
from typing import Annotated

from pydantic import Field

from botfleet.spec.account import SecretKeyRef
from botfleet.spec.rules import Rule, Wire

MOST_FALLBACKS = 3
MOST_IMAGE_BYTES = 8_000_000

TEMPERATURE = Rule(
    "self >= 0.0 && self <= 2.0",
    "temperature must lie between 0 and 2; leave it out to use the model's own",
    lambda value: 0 <= value <= 2,
)
_HTTP_URL = r"^https?://([A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?$"
HTTP_URL = Rule(
    f"self.matches({json.dumps(_HTTP_URL)})",
    "baseUrl must be a URL such as https://api.openai.com/v1, without user and password: the key comes from a Secret",
    lambda url: re.match(_HTTP_URL, url) is not None and not url.endswith("\n"),
)
BaseUrl = Annotated[str, HTTP_URL, Field(max_length=2048)]
Temperature = Annotated[float, TEMPERATURE]
Price = Annotated[float, Field(ge=0, le=1_000_000)]


class PriceSpec(Wire):
    """What a million tokens cost, in the owner's currency: the owner's own figures."""

    input: Annotated[Price, Field(description="For a million tokens of the prompt.")]
    output: Annotated[Price, Field(description="For a million tokens of the answer.")]


class FallbackSpec(Wire):
    """Another model, asked when those before it give no usable answer."""

    rules = (
        Rule(
            "!has(self.baseUrl) || has(self.apiKeySecretRef)",
            "a fallback with a baseUrl has a key of its own: give apiKeySecretRef: {name, key}, so that the main model's key"
            " goes to no other endpoint",
            lambda f: f.base_url is None or f.api_key_secret_ref is not None,
        ),
    )
    name: Annotated[str, Field(min_length=1, max_length=256, description="As the endpoint calls it.")]
    base_url: Annotated[BaseUrl | None, Field(description="Default: the main model's.")] = None
    api_key_secret_ref: Annotated[
        SecretKeyRef | None, Field(description="Default: the main model's; needed beside a baseUrl.")
    ] = None
    temperature: Annotated[Temperature | None, Field(description="0 to 2. Sent only when given here.")] = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=1_000_000, description="Default: the main model's.")] = None
    timeout_seconds: Annotated[
        int | None, Field(ge=1, le=600, description="For one answer. Default: the main model's.")
    ] = None
    price_per_million_tokens: Annotated[PriceSpec | None, Field(description="As for the main model.")] = None
    requests_per_minute: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="As for the main model, whose bound is not taken over.")
    ] = None
    vision: Annotated[
        bool | None,
        Field(
            description="As for the main model, and by itself: without it this one gets the words only. Default false."
        ),
    ] = None


class TranscriptionSpec(Wire):
    """The model that writes down what people say in voice messages: an endpoint with OpenAI's audio transcriptions."""

    rules = (
        Rule(
            "!has(self.baseUrl) || has(self.apiKeySecretRef)",
            "transcription with a baseUrl has a key of its own: give apiKeySecretRef: {name, key}, so that the main model's"
            " key goes to no other endpoint",
            lambda t: t.base_url is None or t.api_key_secret_ref is not None,
        ),
    )
    name: Annotated[str, Field(min_length=1, max_length=256, description="As the endpoint calls it.")]
    base_url: Annotated[BaseUrl | None, Field(description="Default: the main model's.")] = None
    api_key_secret_ref: Annotated[
        SecretKeyRef | None, Field(description="Default: the main model's; needed beside a baseUrl.")
    ] = None
    timeout_seconds: Annotated[int | None, Field(ge=1, le=600, description="For one voice message. Default 60.")] = None
    max_seconds: Annotated[
        int | None,
        Field(ge=1, le=1800, description="A longer voice message gets conversation.mediaText. Default 300."),
    ] = None
    price_per_minute: Annotated[
        Price | None, Field(description="Of sound, in the owner's currency, for an endpoint that counts seconds.")
    ] = None
    price_per_million_tokens: Annotated[PriceSpec | None, Field(description="For an endpoint that counts tokens.")] = (
        None
    )


class ModelSpec(Wire):
    """The model that writes the answers: any endpoint that speaks OpenAI's chat completions."""

    name: Annotated[str | None, Field(min_length=1, max_length=256, description="As the endpoint calls it.")] = None
    base_url: Annotated[BaseUrl | None, Field(description="Default https://api.openai.com/v1.")] = None
    api_key_secret_ref: Annotated[SecretKeyRef | None, Field(description="The endpoint's key.")] = None
    temperature: Annotated[
        Temperature | None, Field(description="0 to 2. Sent only when given: some models refuse it.")
    ] = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=1_000_000, description="Default 400.")] = None
    timeout_seconds: Annotated[int | None, Field(ge=1, le=600, description="For one answer. Default 30.")] = None
    price_per_million_tokens: Annotated[
        PriceSpec | None, Field(description="For counting cost, and for a budget in money.")
    ] = None
    requests_per_minute: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="This bot asks the model no more often; what is beyond it waits its turn. Default: as often as the"
            " endpoint allows, by its rate-limit headers.",
        ),
    ] = None
    fallbacks: Annotated[
        list[FallbackSpec] | None,
        Field(
            max_length=MOST_FALLBACKS,
            description="Asked in this order when the model before does not answer, or not with a usable text. One that"
            " failed three times in a row is left alone for 15 seconds, then longer, up to five minutes.",
        ),
    ] = None
    vision: Annotated[
        bool | None,
        Field(
            description="Pictures that people send are shown to this model, with their captions. Only for a model that takes"
            " them. Default false: captions are read, and a picture without one gets conversation.mediaText."
        ),
    ] = None
    max_image_bytes: Annotated[
        int | None,
        Field(
            ge=10_000,
            le=MOST_IMAGE_BYTES,
            description="A larger picture is shown to no model. Of a photo Telegram keeps several sizes: the largest that"
            " fits, up to 1280 pixels wide or high, is taken. Default 2000000.",
        ),
    ] = None
    transcription: Annotated[
        TranscriptionSpec | None,
        Field(description="Voice messages are written down by this model and read as text. Unsaid: they are not."),
    ] = None
