"""
Why: which changes of a bot's conditions are worth a Kubernetes Event, and what it says. Pure.
Never: text from a runner (the messages are those of the conditions), or a word about what did not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botfleet.conditions import ConditionType, Reason

NOTE_MOST_BYTES = 1024  # events.k8s.io/v1
NORMAL, WARNING = "Normal", "Warning"
# Told by another condition, with its reason.
_TOLD_ELSEWHERE = {Reason.NOT_ACCEPTED, Reason.NOT_AUTHORIZED}
# On the way to Ready, and news only for a bot that was.
_ON_THE_WAY = {Reason.STARTING, Reason.LEASE_HELD_ELSEWHERE}


@dataclass(frozen=True, slots=True)
class Transition:
    """What an Event says of a bot."""

    type: str
    reason: str
    action: str
    note: str


DELETED = Transition(
    NORMAL,
    "Deleted",
    "Delete",
    "The TelegramBot and what was made for it are gone; its data is kept, or erased if spec.deletionPolicy was Erase.",
)


def transitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Transition]:
    """From one status to the next."""
    old, new = _conditions(before), _conditions(after)
    for kind in (ConditionType.ACCEPTED, ConditionType.AUTHORIZED, ConditionType.READY):
        was, now = old.get(kind), new.get(kind)
        if now is None or (was is not None and _word(was) == _word(now)):
            continue
        severity = _severity(kind, was, now)
        if severity is not None:
            yield Transition(severity, str(now["reason"]), f"Set{kind.value}", _bounded(str(now.get("message") or "")))


def _severity(kind: ConditionType, was: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str | None:
    """Normal or Warning; None: no Event."""
    status, reason = _word(now)
    before = was["status"] if was is not None else None
    if kind is ConditionType.ACCEPTED:
        # That a new bot is accepted goes without saying.
        return {"False": WARNING, "True": NORMAL if before == "False" else None}.get(status)
    if kind is ConditionType.AUTHORIZED:
        return WARNING if status == "False" and reason != Reason.BINDING_PENDING else None
    if status == "True":
        return NORMAL
    if reason in _TOLD_ELSEWHERE:
        return None
    if reason in _ON_THE_WAY:
        return NORMAL if before == "True" else None
    return NORMAL if reason == Reason.SUSPENDED else WARNING


def _conditions(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(c.get("type")): c for c in status.get("conditions") or ()}


def _word(condition: Mapping[str, Any]) -> tuple[str, str]:
    return str(condition.get("status")), str(condition.get("reason"))


def _bounded(note: str) -> str:
    """Not longer than the API server takes; a cut is shown."""
    whole = note.encode()
    return note if len(whole) <= NOTE_MOST_BYTES else whole[: NOTE_MOST_BYTES - 3].decode(errors="ignore") + "…"
