"""Why: what a spec does not say, layer by layer, and which layer wins. Pure: `effective` and who checks a layer use it.

The values below are the built-in defaults; docs and CRD descriptions name the same ones (a test compares them).
"""

from typing import Any

from botfleet.spec.behaviour import MEDIA_TEXT
from botfleet.spec.defaults import BotDefaults

VISION: dict[str, Any] = {"vision": False, "maxImageBytes": 2_000_000}
BUILT_IN: dict[str, Any] = {
    "persona": {"disclosure": "FirstReply"},
    "model": {"baseUrl": "https://api.openai.com/v1", "maxOutputTokens": 400, "timeoutSeconds": 30, **VISION},
    "conversation": {
        "debounceSeconds": 2.0,
        "historyMessages": 20,
        "historyTokens": 4000,
        "memory": {"facts": False, "summarizeEveryMessages": 12},
        "typing": True,
        "mediaText": MEDIA_TEXT,
        "takeoverMinutes": 60,
    },
    "access": {"groups": "Mention", "privateChats": True},
    "limits": {
        "messagesPerMinutePerChat": 20,
        "concurrentReplies": 5,
        "budget": {
            "tokensPerDay": 0,
            "moneyPerDay": 0.0,
            "exhaustedText": "That is all that I may say today. Please write to me again tomorrow.",
        },
    },
    "proactive": {
        "enabled": False,
        "afterSilenceHours": 72,
        "windowDays": 30,
        "messagesPerDay": 10,
        "maxUnanswered": 1,
    },
    "admins": [],
    "suspend": False,
    "deletionPolicy": "Retain",
    "network": {"egress": []},
    "workload": {},
}

NESTED = frozenset({"memory", "budget"})
"""Parts within a part."""
ONE_OF = frozenset({"prompt", "promptFrom"})
"""A layer that says one of these has said all of them."""


def check_defaults(layer: dict[str, Any]) -> dict[str, Any]:
    """The layer in wire form, if it is one: those of a namespace, of the chart and of a runner are the same.

    Raises:
        pydantic.ValidationError: it has a field that defaults cannot set, or a value that it cannot have there.
    """
    return BotDefaults.model_validate(layer).to_wire()


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Nearest first. The parts of a spec are merged by field; a field's value (a reference or a list, say) is taken whole."""
    out: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if key not in out:
                out[key] = dict(value) if isinstance(value, dict) else value
            elif isinstance(value, dict) and isinstance(out[key], dict):
                out[key] = _merged(out[key], value)
    return out


def _merged(nearer: dict[str, Any], farther: dict[str, Any]) -> dict[str, Any]:
    if ONE_OF & nearer.keys():
        farther = {field: value for field, value in farther.items() if field not in ONE_OF}
    both = {**farther, **nearer}
    for name in NESTED & nearer.keys() & farther.keys():
        if isinstance(nearer[name], dict) and isinstance(farther[name], dict):
            both[name] = {**farther[name], **nearer[name]}
    return both
