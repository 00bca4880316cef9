"""Promises of the limits on nodes, priority and sandbox, as the operator holds them on the effective spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from botfleet.conditions import ConditionType, Reason
from botfleet.effective import effective
from botfleet.spec import TelegramBotSpec
from botfleet_operator.allowlist import Allowlist
from botfleet_operator.decide import decide
from botfleet_operator.placement import CHART_VALUES, placement
from botfleet_operator.plan import Patch
from tests.support.placement_cases import INSTALLATIONS, LISTED, PINNED, PLACEMENTS, PLAIN, Installation
from tests.unit.operator.samples import bot, observed, settled


def limits(of: Installation) -> Allowlist:
    lists = {name: tuple(of.lists.get(name, ())) for name in CHART_VALUES}
    return Allowlist(placement=placement(lists, {"workload": of.defaults}))


def refused(of: Installation, workload: dict[str, Any] | None, *nearer: dict[str, Any]) -> list[str]:
    own = TelegramBotSpec.model_validate({**bot().spec, "workload": workload})
    whole = effective(own, *({"workload": layer} for layer in (*nearer, of.defaults)))
    return [excess.value for excess in limits(of).excesses(whole)]


@pytest.mark.parametrize(("of", "workload", "values"), PLACEMENTS)
def test_a_bot_runs_where_and_as_the_installation_lists_and_as_its_defaults_say(
    of: Installation, workload: dict[str, Any], values: list[str]
) -> None:
    assert refused(of, workload) == values


@pytest.mark.parametrize("of", INSTALLATIONS)
def test_a_bot_that_says_nothing_runs_as_the_installations_defaults_say(of: Installation) -> None:
    assert refused(of, None) == []


def test_the_defaults_of_a_namespace_can_neither_add_a_place_nor_take_one_away() -> None:
    """The API server's policy refuses them too; not every cluster has it."""
    assert refused(PINNED, None, {"nodeSelector": {"pool": "gpu"}, "runtimeClassName": "runc"}) == ["pool=gpu", "runc"]
    assert refused(PINNED, None, {"nodeSelector": {}}) == ["without pool=bots"]
    assert refused(PINNED, {"nodeSelector": {"pool": "bots"}}, {"nodeSelector": {"pool": "gpu"}}) == []


@pytest.mark.parametrize(
    ("workload", "field", "value", "allowed"),
    [
        (
            {"nodeSelector": {"pool": "gpu"}},
            "nodeSelector",
            "pool=gpu",
            "pool=bots, kubernetes.io/arch, pool=spare, empty=",
        ),
        ({"tolerations": [{"operator": "Exists"}]}, "tolerations", "*", "spot, dedicated=spare"),
        ({"affinity": {"nodeAffinity": {}}}, "affinity", "nodeAffinity", "podAntiAffinity"),
        ({"priorityClassName": "high"}, "priorityClassName", "high", "low, lower"),
        ({"runtimeClassName": "runc"}, "runtimeClassName", "runc", "kata"),
    ],
)
def test_a_bot_beyond_its_place_is_not_accepted_and_told_field_value_and_what_is_allowed(
    workload: dict[str, Any], field: str, value: str, allowed: str
) -> None:
    for state in (observed(), settled()):
        asked = replace(state, bot=bot(workload=workload), defaults={"workload": LISTED.defaults})
        plan = decide(replace(asked, allowed=limits(LISTED)))
        assert plan.steps == ()
        (told,) = [v for v in plan.verdicts if v.type is ConditionType.ACCEPTED]
        assert (told.status, told.reason) == ("False", Reason.NOT_ALLOWED)
        said = {"field": f"spec.workload.{field}", "value": value, "allowed": allowed}
        assert told.values == {**said, "chart_value": CHART_VALUES[field]}


def test_where_nothing_is_allowed_the_condition_says_so() -> None:
    plan = decide(replace(observed(), bot=bot(workload={"priorityClassName": "high"}), allowed=limits(PLAIN)))
    (told,) = [v for v in plan.verdicts if v.type is ConditionType.ACCEPTED]
    assert told.values["allowed"] == "none"


def test_a_bot_that_had_its_place_before_the_limits_can_be_suspended() -> None:
    stopped = bot(suspend=True, workload={"nodeSelector": {"pool": "gpu"}, "priorityClassName": "high"})
    plan = decide(replace(settled(), bot=stopped, allowed=limits(PLAIN)))
    assert [type(step) for step in plan.steps] == [Patch]
