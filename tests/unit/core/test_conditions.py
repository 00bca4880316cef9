"""Promises of the condition catalogue: one place, every message names the next action, nothing free-form."""

import re
from pathlib import Path
from string import Formatter

import pytest

from botfleet.conditions import CONDITIONS, REASONS, ConditionType, Reason, message
from botfleet.conditions_page import render

ROOT = Path(__file__).parents[3]
GOOD_NEWS = {Reason.ACCEPTED, Reason.PROVISIONED, Reason.AUTHORIZED, Reason.READY, Reason.RECEIVING}


def test_every_condition_and_every_reason_is_explained() -> None:
    assert set(CONDITIONS) == set(ConditionType)
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", [r for r in Reason if r not in GOOD_NEWS])
def test_a_message_tells_the_owner_what_to_do_or_that_it_passes_by_itself(reason: Reason) -> None:
    names = {field for _, field, _, _ in Formatter().parse(REASONS[reason].template) if field}
    told = message(reason, **dict.fromkeys(names, "x"))
    action = r"kubectl|by itself|Add|Put|put|Correct|Take|Make|Log|Find|Only|Copy|Rename|Check|Set|see|See|Wait|takes over|delete"
    assert re.search(action, told), told


def test_the_page_of_conditions_is_the_generated_one() -> None:
    assert (ROOT / "docs/conditions.md").read_text() == render(), "run: make generate"


def test_no_other_module_spells_a_condition_or_a_reason() -> None:
    words = {r.value for r in Reason if len(re.findall(r"[A-Z]", r.value)) > 1}
    found = []
    for part in ("core/botfleet", "operator/botfleet_operator", "botrunner/botrunner"):
        for path in (ROOT / part).rglob("*.py"):
            if path.name != "conditions.py":
                found += [f"{path}: {w}" for w in words if f'"{w}"' in path.read_text()]
    assert not found
