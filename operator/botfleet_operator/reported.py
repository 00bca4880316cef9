"""
Why: the conditions that only a runner can know of: what comes in, whether a model answers, what Telegram forbids, what is spent.
Never: take the word of a runner that is silent, or has another spec or other credentials, for one about now.
"""

from __future__ import annotations

from botfleet.conditions import GOOD, REASONS, ConditionType, Reason
from botfleet.health import Health
from botfleet.model import Budget
from botfleet.spec.access import Groups
from botfleet_operator.acceptance import Accepted
from botfleet_operator.plan import BudgetFigures, Figures, Verdict
from botfleet_operator.status import instant

_RECEIVING, _MODEL = ConditionType.RECEIVING, ConditionType.MODEL_AVAILABLE
_UNRESTRICTED, _BUDGET = ConditionType.UNRESTRICTED, ConditionType.WITHIN_BUDGET

HIDES = frozenset({Reason.DEAF, Reason.PRIVACY_MODE})
"""With which `Receiving` is False although the bot is Ready."""


def reported(accepted: Accepted | None, health: Health | None, ready: Verdict) -> list[Verdict]:
    """The four verdicts. `health`: that of a runner which holds the lease and runs what it should; None: there is none."""
    if ready.reason is Reason.NO_HEARTBEAT:
        return [Verdict(c, "Unknown", Reason.NO_HEARTBEAT) for c in (_RECEIVING, _MODEL, _UNRESTRICTED, _BUDGET)]
    if accepted is None or health is None or ready.reason is Reason.SUSPENDED:
        unknown = [Verdict(c, "Unknown", Reason.NOT_KNOWN) for c in (_MODEL, _UNRESTRICTED, _BUDGET)]
        return [Verdict(_RECEIVING, "False", Reason.NOT_READY), *unknown]
    return [
        _receiving(accepted, health, ready),
        _model(health),
        _unrestricted(health, ready),
        _within_budget(accepted.spec.limits.budget, health),
    ]


def _receiving(accepted: Accepted, health: Health, ready: Verdict) -> Verdict:
    """Of a runner that is Ready, what it has proved. The time of the proof is not told: it would be a write each time."""
    if ready.status != "True":
        return Verdict(_RECEIVING, "False", Reason.NOT_READY)
    if health.receiving is False:
        return Verdict(_RECEIVING, "False", Reason.DEAF)
    if health.privacy_mode and accepted.spec.access.groups == Groups.ALL:
        return Verdict(_RECEIVING, "False", Reason.PRIVACY_MODE)
    if health.receiving is None:
        return Verdict(_RECEIVING, "Unknown", Reason.NOT_PROVED)
    return Verdict(_RECEIVING, "True", Reason.RECEIVING)


def _model(health: Health) -> Verdict:
    return _said(_MODEL, health.model) or Verdict(_MODEL, "Unknown", Reason.NOT_ASKED)


def _unrestricted(health: Health, ready: Verdict) -> Verdict:
    """That nothing is known against it says something only while the account is in use."""
    if health.restriction is Reason.FLOOD_WAIT:
        until = health.restricted_until
        values = {"until": instant(until) if until is not None else "a time that is not known"}
        return Verdict(_UNRESTRICTED, "False", Reason.FLOOD_WAIT, values)
    free = Verdict(_UNRESTRICTED, "True", Reason.UNRESTRICTED)
    if ready.status != "True":
        free = Verdict(_UNRESTRICTED, "Unknown", Reason.NOT_KNOWN)
    return _said(_UNRESTRICTED, health.restriction) or free


def _within_budget(budget: Budget, health: Health) -> Verdict:
    if not budget.limited:
        return Verdict(_BUDGET, "True", Reason.NO_BUDGET)
    spent = health.spent
    return _said(_BUDGET, spent.rung if spent else None) or Verdict(_BUDGET, "Unknown", Reason.NOT_KNOWN)


def _said(condition: ConditionType, reason: Reason | None) -> Verdict | None:
    """What a runner said, if it is a word about this condition."""
    if reason is None or condition not in REASONS[reason].conditions:
        return None
    return Verdict(condition, "True" if reason in GOOD[condition] else "False", reason)


def figures(accepted: Accepted | None, health: Health | None) -> Figures:
    """What a runner counts, as far as it has told; a figure that is None stays as it was."""
    budget = accepted.spec.limits.budget if accepted is not None else None
    if health is None:
        return Figures(no_budget=budget is not None and not budget.limited)
    spent = None
    if budget is not None and budget.limited and health.spent is not None:
        told = health.spent
        spent = BudgetFigures(told.day, told.tokens, told.micros, budget.tokens, budget.micros)
    return Figures(
        pending=health.pending,
        last_message_at=health.last_message_at,
        last_reply_at=health.last_reply_at,
        budget=spent,
        no_budget=budget is not None and not budget.limited,
    )
