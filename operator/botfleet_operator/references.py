"""
Why: the one place that knows which keys of which Secrets and ConfigMaps a spec names, for accepting it and for mounting them.
Never: look at one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from botfleet.effective import EffectiveSpec
from botfleet.spec.behaviour import ConfigMapKeyRef


class Use(StrEnum):
    """What a value is for; the word that a condition's message says."""

    API_ID = "api-id"
    API_HASH = "api-hash"
    TOKEN = "bot token"  # noqa: S105 -- a word, not a token
    SESSION = "session"
    PUBLIC_KEY = "public key of the data center"
    MODEL_KEY = "model API key"
    FALLBACK_KEY = "API key of a fallback model"
    TRANSCRIPTION_KEY = "API key of the transcription model"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Need:
    """One key of one Secret, and what it is for."""

    secret: str
    key: str
    use: Use


def needs(spec: EffectiveSpec) -> Iterator[Need]:
    """Everything that the spec takes from Secrets, the account's own credential first."""
    account = spec.account
    if account.bot_token_secret_ref:
        yield Need(account.bot_token_secret_ref.name, account.bot_token_secret_ref.key, Use.TOKEN)
    if account.session_secret_ref:
        yield Need(account.session_secret_ref.name, account.session_secret_ref.key, Use.SESSION)
    yield Need(account.api_credentials_secret_ref.name, "api-id", Use.API_ID)
    yield Need(account.api_credentials_secret_ref.name, "api-hash", Use.API_HASH)
    if account.data_center and account.data_center.public_key_secret_ref:
        reference = account.data_center.public_key_secret_ref
        yield Need(reference.name, reference.key, Use.PUBLIC_KEY)
    yield Need(spec.model.api_key_secret_ref.name, spec.model.api_key_secret_ref.key, Use.MODEL_KEY)
    for fallback in spec.model.fallbacks:
        yield Need(fallback.api_key_secret_ref.name, fallback.api_key_secret_ref.key, Use.FALLBACK_KEY)
    if voices := spec.model.transcription:
        yield Need(voices.api_key_secret_ref.name, voices.api_key_secret_ref.key, Use.TRANSCRIPTION_KEY)
    if (source := spec.persona.prompt_from) and source.secret_key_ref:
        yield Need(source.secret_key_ref.name, source.secret_key_ref.key, Use.PROMPT)


def config_map_of(spec: EffectiveSpec) -> ConfigMapKeyRef | None:
    """Where the prompt lies, if that is a ConfigMap."""
    return spec.persona.prompt_from.config_map_key_ref if spec.persona.prompt_from else None
