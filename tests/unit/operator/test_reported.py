"""What only a runner knows becomes a condition while its word is one about now, and is called unknown while it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from botfleet.conditions import Reason
from botfleet.health import Spent
from botfleet_operator import status
from botfleet_operator.decide import decide
from botfleet_operator.plan import Observed
from tests.unit.operator.samples import bot, fresh_pod, heartbeat, settled

UNTIL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIMITED: dict[str, Any] = {"limits": {"budget": {"tokensPerDay": 1000}}}
THREE = ("ModelAvailable", "Unrestricted", "WithinBudget")


def said(state: Observed) -> dict[str, tuple[str, Reason]]:
    return {v.type.value: (v.status, v.reason) for v in decide(state).verdicts}


def told(*, spec: dict[str, Any] | None = None, **health: Any) -> Observed:
    record = bot(**(spec or {}))
    return settled(record, heartbeat=heartbeat(record, **{"receiving": True, **health}))


def spent(rung: Reason | None) -> Spent:
    return Spent(day=date(2026, 1, 2), tokens=1, micros=1, rung=rung)


OUTAGES = (
    Reason.UNAUTHORIZED,
    Reason.RATE_LIMITED,
    Reason.QUOTA_EXHAUSTED,
    Reason.UNKNOWN_MODEL,
    Reason.UNREACHABLE,
    Reason.TIMEOUT,
    Reason.SERVER_ERROR,
    Reason.REQUEST_REFUSED,
    Reason.BAD_ANSWER,
)


@pytest.mark.parametrize("reason", OUTAGES)
def test_a_model_that_is_away_is_said_with_its_reason(reason: Reason) -> None:
    assert said(told(model=reason))["ModelAvailable"] == ("False", reason)


def test_a_model_is_available_once_it_has_answered_and_not_before() -> None:
    assert said(told(model=Reason.MODEL_ANSWERS))["ModelAvailable"] == ("True", Reason.MODEL_ANSWERS)
    assert said(told(model=Reason.FALLBACK_ANSWERS))["ModelAvailable"] == ("True", Reason.FALLBACK_ANSWERS)
    assert said(told())["ModelAvailable"] == ("Unknown", Reason.NOT_ASKED)
    assert said(told(model=Reason.DEAF))["ModelAvailable"] == ("Unknown", Reason.NOT_ASKED), "no word about a model"


def test_an_account_that_is_limited_is_said_with_the_time_until_when() -> None:
    waits = told(restriction=Reason.FLOOD_WAIT, restricted_until=UNTIL)
    assert said(waits)["Unrestricted"] == ("False", Reason.FLOOD_WAIT)
    written = {c["type"]: c for c in status.merged(waits.bot, decide(waits), UNTIL)["conditions"]}
    assert "until 2026-01-02T03:04:05Z" in written["Unrestricted"]["message"]
    for reason in (Reason.PEER_FLOOD, Reason.RESTRICTED):
        assert said(told(restriction=reason))["Unrestricted"] == ("False", reason)
    assert said(told())["Unrestricted"] == ("True", Reason.UNRESTRICTED)


def test_who_is_not_connected_is_not_called_unrestricted_and_a_limit_is_said_all_the_same() -> None:
    assert said(told(connected=False))["Unrestricted"] == ("Unknown", Reason.NOT_KNOWN)
    kept_out = told(connected=False, authorized=None, restriction=Reason.FLOOD_WAIT)
    assert said(kept_out)["Unrestricted"] == ("False", Reason.FLOOD_WAIT)


@pytest.mark.parametrize(
    ("rung", "word"),
    [
        (Reason.WITHIN_BUDGET, "True"),
        (Reason.BUDGET_WARNING, "True"),
        (Reason.BUDGET_NEARLY_SPENT, "True"),
        (Reason.BUDGET_EXHAUSTED, "False"),
    ],
)
def test_each_step_of_the_budgets_ladder_is_a_reason(rung: Reason, word: str) -> None:
    assert said(told(spec=LIMITED, spent=spent(rung)))["WithinBudget"] == (word, rung)


def test_without_a_budget_every_bot_is_within_it_and_with_one_not_before_it_was_counted() -> None:
    assert said(told(spent=spent(Reason.BUDGET_EXHAUSTED)))["WithinBudget"] == ("True", Reason.NO_BUDGET)
    assert said(told(spec=LIMITED))["WithinBudget"] == ("Unknown", Reason.NOT_KNOWN)
    assert said(told(spec=LIMITED, spent=spent(None)))["WithinBudget"] == ("Unknown", Reason.NOT_KNOWN)


@pytest.mark.parametrize("groups", ["Off", "Mention", "All"])
def test_privacy_mode_hides_what_the_owner_wants_answered_only_where_that_is_all(groups: str) -> None:
    hidden = told(spec={"access": {"groups": groups}}, privacy_mode=True)
    wanted = ("False", Reason.PRIVACY_MODE) if groups == "All" else ("True", Reason.RECEIVING)
    assert said(hidden)["Receiving"] == wanted
    seen = told(spec={"access": {"groups": groups}}, privacy_mode=False)
    assert said(seen)["Receiving"] == ("True", Reason.RECEIVING)


def test_deafness_is_said_before_privacy_mode_and_that_before_a_proof_that_is_missing() -> None:
    spec = {"access": {"groups": "All"}}
    assert said(told(spec=spec, privacy_mode=True, receiving=False))["Receiving"] == ("False", Reason.DEAF)
    assert said(told(spec=spec, privacy_mode=True, receiving=None))["Receiving"] == ("False", Reason.PRIVACY_MODE)


def test_the_word_of_a_runner_that_is_gone_or_has_another_spec_is_none_about_now() -> None:
    good = told(model=Reason.MODEL_ANSWERS, restriction=Reason.PEER_FLOOD)
    record, paused = good.bot, bot(suspend=True)
    for past in (
        replace(good, heartbeat=heartbeat(record, alive=False, model=Reason.MODEL_ANSWERS)),
        replace(good, heartbeat=heartbeat(record, holder=None, model=Reason.MODEL_ANSWERS)),
        replace(good, bot=bot(persona={"prompt": "Another."})),
        replace(good, pods=(fresh_pod(ended=True),)),
        settled(paused, heartbeat=heartbeat(paused, model=Reason.MODEL_ANSWERS)),
        settled(),
    ):
        assert {said(past)[name] for name in THREE} == {("Unknown", Reason.NOT_KNOWN)}
    silent = replace(good, heartbeat=heartbeat(record, silent=True, alive=False, model=Reason.MODEL_ANSWERS))
    assert {said(silent)[name] for name in THREE} == {("Unknown", Reason.NO_HEARTBEAT)}


def written(state: Observed, **options: Any) -> dict[str, Any]:
    return status.merged(state.bot, decide(state), UNTIL, **options)


def test_the_figures_are_as_the_runner_counted_them_beside_the_limits_of_the_spec() -> None:
    spec = {"limits": {"budget": {"tokensPerDay": 1000}}}
    cost = Spent(day=date(2026, 1, 2), tokens=900, micros=1_250_000, rung=Reason.BUDGET_WARNING)
    whole = written(told(spec=spec, pending=3, last_message_at=UNTIL, spent=cost))
    assert whole["budget"] == {"day": "2026-01-02", "tokens": 900, "money": 1.25, "tokensPerDay": 1000}
    assert (whole["pendingMessages"], whole["lastMessageTime"]) == (3, "2026-01-02T03:04:05Z")


def test_a_figure_that_is_not_known_stays_as_it_was_and_a_budget_that_is_gone_goes() -> None:
    old = {"pendingMessages": 3, "lastMessageTime": "2026-01-01T00:00:00Z", "budget": {"day": "2026-01-01"}}
    limited = bot(status=old, **LIMITED)
    kept = written(settled(limited, heartbeat=heartbeat(limited)))
    assert {key: kept[key] for key in old} == old
    free = bot(status=old)
    gone = written(settled(free, heartbeat=heartbeat(free)))
    assert "budget" not in gone


def test_figures_that_are_there_are_not_written_again_before_their_time_and_the_first_are() -> None:
    state = told(pending=3, last_message_at=UNTIL)
    first = written(state, figures=False)
    assert first["pendingMessages"] == 3
    record = bot(status=first)
    later = replace(state, bot=record, heartbeat=heartbeat(record, receiving=True, pending=9, last_message_at=UNTIL))
    assert status.changed(first, written(later, figures=False)) == set()
    assert status.changed(first, written(later)) == {"pendingMessages"}


def test_a_limit_that_is_no_more_is_taken_out_of_the_status() -> None:
    budget = {"day": "2026-01-02", "tokens": 1, "money": 0.0, "tokensPerDay": 5, "moneyPerDay": 2.0}
    limited = bot(status={"budget": budget}, **LIMITED)
    now = written(settled(limited, heartbeat=heartbeat(limited, spent=spent(Reason.WITHIN_BUDGET))))
    assert now["budget"].keys() == budget.keys() - {"moneyPerDay"}
