"""
Why: a status is written only when it says something new; a transition time moves only with its condition.
Never: a clock of its own, text from a runner, or a write.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botfleet.conditions import ConditionType, message
from botfleet.model import MICROS
from botfleet_operator.model import BotRecord
from botfleet_operator.plan import BudgetFigures, Figures, Plan, Verdict

FIGURES_INTERVAL_SECONDS = 60.0
FIGURES = frozenset({"lastReplyTime", "lastMessageTime", "pendingMessages", "budget"})
"""What moves with every message: written at most once in that time."""


def merged(bot: BotRecord, plan: Plan, now: datetime, *, figures: bool = True) -> dict[str, Any]:
    """The status as it should be. With `figures` False those that are there stay as they were."""
    old = bot.status
    status = dict(old)
    if plan.in_force:
        status["observedGeneration"] = bot.generation
    status["phase"] = plan.phase.value
    status["conditions"] = _conditions(bot, plan.verdicts, now)
    if plan.account_id is not None:
        account: dict[str, Any] = {"id": plan.account_id}
        if plan.username:
            account["username"] = plan.username
        status["account"] = account
    status.pop("defaults", None)
    if plan.defaults is not None:
        status["defaults"] = {"name": plan.defaults.name, "generation": plan.defaults.generation}
    status.update({key: value for key, value in _figures(plan.figures).items() if figures or key not in old})
    if plan.figures.no_budget:
        status.pop("budget", None)
    return status


def _figures(known: Figures) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if known.budget is not None:
        told["budget"] = _budget(known.budget)
    if known.pending is not None:
        told["pendingMessages"] = known.pending
    if known.last_message_at is not None:
        told["lastMessageTime"] = instant(known.last_message_at)
    if known.last_reply_at is not None:
        told["lastReplyTime"] = instant(known.last_reply_at)
    return told


def _budget(known: BudgetFigures) -> dict[str, Any]:
    told = {"day": known.day.isoformat(), "tokens": known.tokens, "money": known.micros / MICROS}
    if known.tokens_limit:
        told["tokensPerDay"] = known.tokens_limit
    if known.micros_limit:
        told["moneyPerDay"] = known.micros_limit / MICROS
    return told


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """The fields that differ; empty: nothing to write."""
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _conditions(bot: BotRecord, verdicts: tuple[Verdict, ...], now: datetime) -> list[dict[str, Any]]:
    old = {str(c.get("type")): c for c in bot.status.get("conditions") or ()}
    new = dict(old)
    for verdict in verdicts:
        before = old.get(verdict.type.value)
        same = before is not None and before.get("status") == verdict.status
        new[verdict.type.value] = {
            "type": verdict.type.value,
            "status": verdict.status,
            "reason": verdict.reason.value,
            "message": message(verdict.reason, **{"namespace": bot.namespace, "name": bot.name, **verdict.values}),
            "lastTransitionTime": before["lastTransitionTime"] if before and same else instant(now),
            "observedGeneration": bot.generation,
        }
    order = [condition.value for condition in ConditionType]
    return sorted(new.values(), key=lambda c: order.index(c["type"]) if c["type"] in order else len(order))
