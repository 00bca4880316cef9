"""Answers from data: the first rule that fits a request, its template filled in.

Pure: it must never know HTTP, and templates run in a sandbox.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_TEMPLATES = ImmutableSandboxedEnvironment(keep_trailing_newline=False)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_NUMBER = re.compile(r"(?<![\w.,-])-?\d+(?![\w]|[.,]\d)")


class AnswersError(ValueError):
    """The answers file makes no sense; the message names the place."""


class NoAnswerError(LookupError):
    """No rule fits the request."""


class When(BaseModel):
    """What a request has to look like; patterns are searched for, all that are given must be found."""

    model_config = ConfigDict(extra="forbid")

    last_user: re.Pattern[str] | None = None
    system: re.Pattern[str] | None = None
    key: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None
    numbers: bool | None = None
    images: bool | None = None


class AnswerRule(BaseModel):
    """One answer."""

    model_config = ConfigDict(extra="forbid")

    when: When = Field(default_factory=When)
    reply: str


class WhenHeard(BaseModel):
    """What a file to transcribe has to be; as in `When`."""

    model_config = ConfigDict(extra="forbid")

    name: re.Pattern[str] | None = None
    words: re.Pattern[str] | None = None
    key: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None


class TranscriptRule(BaseModel):
    """What is heard in a file."""

    model_config = ConfigDict(extra="forbid")

    when: WhenHeard = Field(default_factory=WhenHeard)
    text: str


class Answers(BaseModel):
    """A whole answers file."""

    model_config = ConfigDict(extra="forbid")

    keys: list[str] | None = None
    models: list[str] | None = None
    rules: list[AnswerRule] = Field(min_length=1)
    transcriptions: list[TranscriptRule] = Field(default_factory=lambda: [TranscriptRule(text="{{ words }}")])


@dataclass(frozen=True)
class Question:
    """A request as rules and templates see it: messages as (role, text), the key and the model's name."""

    messages: Sequence[tuple[str, str]]
    key: str
    model: str
    images: int = 0

    @cached_property
    def system(self) -> str:
        """The system prompt, all of it."""
        return "\n".join(text for role, text in self.messages if role in {"system", "developer"})

    @cached_property
    def turn(self) -> list[str]:
        """The user's messages after the last one of the assistant: what is asked about."""
        texts: list[str] = []
        for role, text in reversed(self.messages):
            if role == "assistant":
                break
            if role == "user":
                texts.insert(0, text)
        return texts

    @cached_property
    def last_user(self) -> str:
        """The newest text of the user."""
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    @cached_property
    def numbers(self) -> list[int]:
        """All integers of the turn, in order."""
        return [int(found) for text in self.turn for found in _NUMBER.findall(text)]

    @cached_property
    def persona(self) -> str:
        """The first sentence of the system prompt, or its first line."""
        line = self.system.strip().partition("\n")[0].strip()
        return _SENTENCE_END.split(line, maxsplit=1)[0] if line else "A simulated model."

    def variables(self) -> dict[str, Any]:
        """What templates can use."""
        return {
            "last_user": self.last_user,
            "numbers": self.numbers,
            "turn": self.turn,
            "persona": self.persona,
            "system": self.system,
            "key": self.key,
            "key_suffix": self.key[-4:],
            "model": self.model,
            "count": len(self.messages),
            "images": self.images,
        }


def load(source: Path | str | Mapping[str, Any] | None) -> Answers:
    """Answers of a file, a YAML text or data; None: the built-in ones. Raises AnswersError."""
    try:
        data: Any = source
        if source is None:
            data = yaml.safe_load(files("botfleet_simulator.model").joinpath("default_answers.yaml").read_text("utf-8"))
        elif isinstance(source, Path):
            data = yaml.safe_load(source.read_text(encoding="utf-8"))
        elif isinstance(source, str):
            data = yaml.safe_load(source)
        answers = Answers.model_validate(data)
        for text in (*(rule.reply for rule in answers.rules), *(rule.text for rule in answers.transcriptions)):
            _TEMPLATES.from_string(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise AnswersError(f"answers: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TemplateError) as error:
        raise AnswersError(f"answers: {error}") from error
    return answers


def answer(answers: Answers, question: Question) -> str:
    """The answer to a question. Raises NoAnswerError or AnswersError."""
    for rule in answers.rules:
        if _fits(rule.when, question):
            try:
                return _TEMPLATES.from_string(rule.reply).render(question.variables()).strip()
            except TemplateError as error:
                raise AnswersError(f"a reply's template failed: {error}") from error
    raise NoAnswerError("no rule of the answers file fits this request")


@dataclass(frozen=True)
class Heard:
    """A file to transcribe. `words`: what of its bytes is readable text, so that a test says what is heard."""

    name: str
    data: bytes
    key: str
    model: str

    @cached_property
    def words(self) -> str:
        """The printable text in the file, without the head of an Ogg file."""
        return self.data.removeprefix(b"OggS").decode("utf-8", "ignore").strip("\x00 \n")


def transcript(answers: Answers, heard: Heard) -> str:
    """What is heard. Raises NoAnswerError or AnswersError."""
    for rule in answers.transcriptions:
        when = rule.when
        wanted = ((when.name, heard.name), (when.words, heard.words), (when.key, heard.key), (when.model, heard.model))
        if all(pattern is None or pattern.search(text) for pattern, text in wanted):
            try:
                values = {"words": heard.words, "name": heard.name, "size": len(heard.data), "model": heard.model}
                return _TEMPLATES.from_string(rule.text).render(values).strip()
            except TemplateError as error:
                raise AnswersError(f"a transcription's template failed: {error}") from error
    raise NoAnswerError("no rule of `transcriptions` fits this file")


def _fits(when: When, question: Question) -> bool:
    if when.numbers is not None and when.numbers != bool(question.numbers):
        return False
    if when.images is not None and when.images != bool(question.images):
        return False
    wanted = (
        (when.last_user, question.last_user),
        (when.system, question.system),
        (when.key, question.key),
        (when.model, question.model),
    )
    return all(pattern is None or pattern.search(text) for pattern, text in wanted)
