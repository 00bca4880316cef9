"""
Why: what a bot's status has to say in the end, from what its owner wants, who has its account, and what its runner says.
Never: ask anybody, or take more than one answer for right where only one is. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.integration.operator.storms.erasures import FINALIZER
from tests.integration.operator.storms.plan import Says, Wanted

_ACCEPTED = {"Accepted": ("True", "Accepted"), "Provisioned": ("True", "Provisioned")}
_WAITS = {"Starting", "Resuming"}


class Standing(enum.Enum):
    """Where a bot of the plan stands."""

    SERVED = enum.auto()
    IN_USE = enum.auto()  # another bot has its account
    NO_SECRET = enum.auto()


@dataclass(frozen=True)
class Expected:
    """Conditions by type, each with status and reason; and phases, each as good as the other."""

    conditions: dict[str, tuple[str, str]]
    phases: set[str] = field(default_factory=set)


_OF_A_RUNNER = {
    Says.WELL: Expected({"Ready": ("True", "Ready"), "Receiving": ("True", "Receiving")}, {"Running"}),
    Says.DISCONNECTED: Expected({"Ready": ("False", "Disconnected")}, {*_WAITS, "Degraded"}),
    Says.REFUSED: Expected({"Ready": ("False", "NotAuthorized"), "Authorized": ("False", "TokenInvalid")}, {"Failed"}),
    Says.DEAF: Expected({"Ready": ("True", "Ready"), "Receiving": ("False", "Deaf")}, {"Degraded"}),
}


def expected(bot: Wanted, standing: Standing) -> Expected:
    """Of a bot that exists."""
    refusal = {Standing.IN_USE: "AccountInUse", Standing.NO_SECRET: "SecretMissing"}.get(standing)
    if refusal is not None:
        refused = {"Accepted": ("False", refusal), "Provisioned": ("False", "NotAccepted")}
        if bot.suspended:
            return Expected({**refused, "Ready": ("False", "Suspended")}, {"Suspended"})
        return Expected({**refused, "Ready": ("False", "NotAccepted")}, {"Failed"})
    if bot.suspended:
        return Expected({**_ACCEPTED, "Ready": ("False", "Suspended")}, {"Suspended"})
    if not bot.runner:
        return Expected({**_ACCEPTED, "Ready": ("False", "Starting")}, _WAITS)
    said = _OF_A_RUNNER[bot.says]
    return Expected({**_ACCEPTED, **said.conditions}, said.phases)


def otherwise(seen: dict[str, Any], bot: Wanted, standing: Standing) -> Iterator[str]:
    """What an object says, or has, that is not as expected."""
    status, metadata = seen.get("status", {}), seen["metadata"]
    wanted = expected(bot, standing)
    if status.get("observedGeneration") != metadata["generation"]:
        yield f"observedGeneration {status.get('observedGeneration')} of {metadata['generation']}"
    words = {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", ())}
    for kind, word in wanted.conditions.items():
        if words.get(kind) != word:
            yield f"{kind} is {words.get(kind)} instead of {word}"
    if status.get("phase") not in wanted.phases:
        yield f"phase {status.get('phase')} instead of {wanted.phases}"
    if words.get("Ready") == ("True", "Ready") and status.get("account", {}).get("id") != bot.account:
        yield f"account {status.get('account')} instead of {bot.account}"
    finalizers = metadata.get("finalizers") or []
    if finalizers != ([FINALIZER] if bot.erase else []):
        yield f"finalizers {finalizers}"
