"""
Why: the ConfigMaps that bots may have their prompts from, as small records: each key's text, or why it can be none.
Never: a ConfigMap without the label, or what else stands in one that is too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botfleet.spec.behaviour import prompt_mistake


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """A ConfigMap with the label. `mistakes`: of the keys whose values are no prompts."""

    namespace: str
    name: str
    uid: str
    version: int
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    mistakes: dict[str, str] = field(default_factory=dict)


def prompt_record(body: Mapping[str, Any]) -> PromptRecord:
    """Of a ConfigMap's body."""
    metadata = body["metadata"]
    texts: dict[str, str] = {}
    mistakes = dict.fromkeys(body.get("binaryData") or {}, "it is not text in UTF-8")
    for key, text in (body.get("data") or {}).items():
        wrong = prompt_mistake(text)
        if wrong is None:
            texts[key] = text
        else:
            mistakes[key] = wrong
    return PromptRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        texts=texts,
        mistakes=mistakes,
    )
