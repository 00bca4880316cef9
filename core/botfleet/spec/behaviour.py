"""Why: who a bot is and how it converses. Every optional field has no default here (see effective.py)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from botfleet.spec.account import SecretKey, SecretKeyRef, SecretName
from botfleet.spec.rules import Rule, Wire

MEDIA_TEXT = "I can only read text so far. Could you tell me in words?"


class Disclosure(StrEnum):
    """When a bot says of its own accord that it is an AI. There is no "never"."""

    FIRST_REPLY = "FirstReply"
    EVERY_CONVERSATION = "EveryConversation"
    ON_REQUEST = "OnRequest"


PROMPT_FILLED = Rule(
    "self.trim().size() > 0",
    'the prompt is empty: write who the bot is, for example "You are the concierge of a small hotel."',
    lambda text: bool(text.strip()),
)


PROMPT_MOST = 65536


def prompt_mistake(text: str) -> str | None:
    """Why a text that was read from somewhere cannot be the prompt; the same rules as those of `persona.prompt`."""
    if not text.strip():
        return "it is empty"
    if len(text) > PROMPT_MOST:
        return f"it has {len(text)} characters, and a prompt has {PROMPT_MOST} at most"
    return None


class ConfigMapKeyRef(Wire):
    """One key of a ConfigMap of the bot's namespace, with the label `botfleet.dev/prompt: "true"`."""

    name: SecretName
    key: SecretKey


class PromptSource(Wire):
    """Where the prompt is read from. A changed text restarts the bots that have it, gracefully."""

    rules = (
        Rule(
            "has(self.configMapKeyRef) != has(self.secretKeyRef)",
            "promptFrom has one source: give configMapKeyRef: {name, key} or secretKeyRef: {name, key}",
            lambda source: (source.config_map_key_ref is None) != (source.secret_key_ref is None),
        ),
    )
    config_map_key_ref: ConfigMapKeyRef | None = None
    secret_key_ref: Annotated[
        SecretKeyRef | None, Field(description="For a prompt that not everybody may read who may read ConfigMaps.")
    ] = None


class PersonaSpec(Wire):
    """Who the bot is."""

    prompt: Annotated[
        str | None,
        Field(max_length=PROMPT_MOST, description="The system prompt: who the bot is, what it knows, how it speaks."),
    ] = None
    prompt_from: Annotated[PromptSource | None, Field(description="Instead of prompt: where its text lies.")] = None
    disclosure: Annotated[
        Disclosure | None,
        Field(
            description="When the bot says that it is an AI: FirstReply (default), EveryConversation (again after six"
            " hours of silence) or OnRequest."
        ),
    ] = None
    rules = (
        Rule(
            "!has(self.prompt) || self.prompt.trim().size() > 0",
            PROMPT_FILLED.message,
            lambda p: p.prompt is None or bool(p.prompt.strip()),
        ),
        Rule(
            "!has(self.prompt) || !has(self.promptFrom)",
            "the prompt is said twice: give prompt or promptFrom",
            lambda p: p.prompt is None or p.prompt_from is None,
        ),
    )


class MemorySpec(Wire):
    """What the bot keeps in mind of a chat beyond the messages that the model is shown."""

    facts: Annotated[
        bool | None,
        Field(
            description="Keep a short list of facts that people told of themselves, learned with each summary by one more"
            " call of the model; in private chats only. Default false."
        ),
    ] = None
    summarize_every_messages: Annotated[
        int | None,
        Field(
            ge=0,
            le=1000,
            description="Messages that leave what the model is shown are summed up by it, so many at a time, and it is shown"
            " the summary from then on; one more call of the model each time. 0: never. Default 12.",
        ),
    ] = None


class ConversationSpec(Wire):
    """How the bot converses."""

    debounce_seconds: Annotated[
        float | None,
        Field(
            ge=0, le=60, description="Quick messages that follow each other within this time get one answer. Default 2."
        ),
    ] = None
    history_messages: Annotated[
        int | None, Field(ge=0, le=200, description="Earlier messages of the chat that the model sees. Default 20.")
    ] = None
    history_tokens: Annotated[
        int | None,
        Field(
            ge=100,
            le=1_000_000,
            description="What these messages may come to in tokens, estimated; the oldest are left out first. Default 4000.",
        ),
    ] = None
    memory: Annotated[MemorySpec | None, Field(description="What is kept in mind beyond these messages.")] = None
    typing: Annotated[
        bool | None, Field(description='Show "typing…" while the model writes an answer. Default true.')
    ] = None
    unavailable_text: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            description="Said when no model answers, at most once an outage and chat; the message stays pending. Unsaid:"
            " nothing is said.",
        ),
    ] = None
    media_text: Annotated[
        str | None,
        Field(
            max_length=1000,
            description="Said once to a voice message, a picture, a sticker or a file that comes without words; an empty text"
            f" says nothing. Default {MEDIA_TEXT}",
        ),
    ] = None
    takeover_minutes: Annotated[
        int | None,
        Field(
            ge=1,
            le=43200,
            description="How long the bot is silent in a chat that a person has taken over: the owner of a User account by"
            " typing there (each message anew), or an admin by /take. Default 60.",
        ),
    ] = None
