"""Promises of the condition catalogue: one place, every message names the next action, nothing free-form."""

import re
from enum import StrEnum
from pathlib import Path
from string import Formatter

import pytest

from botfleet.conditions import CONDITIONS, GOOD, REASONS, ConditionType, Reason, message
from botfleet.conditions_page import render
from botrunner.conversation.skips import Skip
from botrunner.conversation.trouble import Failed
from botrunner.telegram.errors import SendReason

ROOT = Path(__file__).parents[3]
GOOD_NEWS = {
    Reason.ACCEPTED,
    Reason.PROVISIONED,
    Reason.AUTHORIZED,
    Reason.READY,
    Reason.RECEIVING,
    Reason.MODEL_ANSWERS,
    Reason.UNRESTRICTED,
    Reason.WITHIN_BUDGET,
    Reason.UP_TO_DATE,
}
# The reasons of messages, which stand in the store, are words of their own; some are spelled as one of a condition.
OF_MESSAGES: dict[str, type[StrEnum]] = {"skips.py": Skip, "trouble.py": Failed, "errors.py": SendReason}


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
                own = {str(word) for word in OF_MESSAGES.get(path.name, ())}
                found += [f"{path}: {w}" for w in words - own if f'"{w}"' in path.read_text()]
    assert not found


def test_the_reasons_with_which_a_condition_is_true_are_its_own() -> None:
    assert all(condition in REASONS[reason].conditions for condition, reasons in GOOD.items() for reason in reasons)
