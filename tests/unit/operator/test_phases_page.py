"""Promises of docs/design/multibot-manager.md: its table of transitions is what the deciding function does, row by row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from botfleet.conditions import Phase, Reason
from botfleet_operator.decide import KINDS, decide
from botfleet_operator.model import BotKey, DeploymentState
from botfleet_operator.plan import Absence, Observed
from tests.unit.operator.samples import bot, fresh_pod, heartbeat, observed, provisioned, secrets, settled

PAGE = (Path(__file__).parents[3] / "docs/design/multibot-manager.md").read_text()
NEW = "(none)"


def table() -> tuple[list[str], dict[int, tuple[str, dict[str, str]]]]:
    """The phases of the head, and for each row what is seen and what each phase becomes."""
    text = re.search(r"<!-- phases: .*?-->\n(.*?)<!-- /phases -->", PAGE, re.DOTALL)
    assert text
    head, _, *lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text[1].strip().splitlines()]
    before = head[2:]
    return before, {int(cells[0]): (cells[1], dict(zip(before, cells[2:], strict=True))) for cells in lines}


BEFORE, ROWS = table()


def with_missing_secret(state: Observed) -> Observed:
    return replace(state, secrets={**secrets(), "openai": Absence.MISSING})


def foreign_deployment() -> Observed:
    state = settled()
    foreign = replace(state.children["Deployment"], fields=None, applied_hash=None, controller_uid=None)
    return replace(state, children={**state.children, "Deployment": foreign})


def still_a_replica() -> Observed:
    state = settled(bot(suspend=True))
    child = state.children["Deployment"]
    assert child.deployment is not None
    busy = replace(child, deployment=DeploymentState(1, 0, 1, child.deployment.lists))
    return replace(state, children={**state.children, "Deployment": busy})


def told(**health: Any) -> Observed:
    record = bot()
    return settled(heartbeat=heartbeat(record, **health))


ALL_GROUPS = bot(access={"groups": "All"})

SITUATIONS: dict[int, list[Callable[[], Observed]]] = {
    1: [
        lambda: settled(replace(bot(), deleting=True), heartbeat=heartbeat(bot())),
        lambda: observed(replace(bot(suspend=True), deleting=True)),
    ],
    2: [still_a_replica, lambda: settled(bot(suspend=True), pods=(fresh_pod(bot(suspend=True), deleting=True),))],
    3: [lambda: settled(bot(suspend=True)), lambda: observed(bot(suspend=True))],
    4: [
        lambda: with_missing_secret(settled()),
        lambda: with_missing_secret(observed()),
        lambda: observed(bot(persona={"prompt": " "})),
        lambda: observed(bot(model={})),
        lambda: provisioned(in_use_by=BotKey("hotel", "other")),
        foreign_deployment,
    ],
    5: [observed, provisioned],
    6: [lambda: told(authorized=False), lambda: told(authorized=False, reason=Reason.TOKEN_INVALID)],
    7: [
        lambda: told(receiving=False),
        lambda: replace(told(receiving=False), pods=(fresh_pod(bot()),)),
        lambda: settled(ALL_GROUPS, heartbeat=heartbeat(ALL_GROUPS, receiving=True, privacy_mode=True)),
        lambda: told(receiving=True, model=Reason.UNREACHABLE),
        lambda: told(receiving=True, restriction=Reason.PEER_FLOOD),
    ],
    8: [
        told,
        lambda: told(receiving=True),
        lambda: told(receiving=True, model=Reason.FALLBACK_ANSWERS, privacy_mode=True),
        lambda: replace(told(), pods=(fresh_pod(bot()),)),
    ],
    9: [
        *(
            lambda trouble=trouble: settled(pods=(fresh_pod(bot(), running=False, trouble=trouble),))
            for trouble in (Reason.CRASH_LOOPING, Reason.OUT_OF_MEMORY, Reason.IMAGE_PULL_FAILED, Reason.UNSCHEDULABLE)
        ),
        lambda: told(silent=True, alive=False),
    ],
    10: [
        settled,
        lambda: told(connected=False, authorized=None),
        lambda: told(connected=False, authorized=None, reason=Reason.BINDING_PENDING),
        lambda: told(holder=None),
    ],
    11: [
        lambda: told(connected=False),
        lambda: told(connected=False, reason=Reason.DISCONNECTED),
        lambda: replace(told(holder="another"), pods=(fresh_pod(bot()),)),
    ],
}


def phase_after(state: Observed, before: str) -> str:
    status = {} if before == NEW else {"phase": before}
    return decide(replace(state, bot=replace(state.bot, status=status))).phase.value


def test_the_table_has_every_phase_and_every_situation() -> None:
    assert [NEW, *(phase.value for phase in Phase)] == BEFORE
    assert set(ROWS) == set(SITUATIONS)
    assert {after for _, becomes in ROWS.values() for after in becomes.values()} == {phase.value for phase in Phase}


@pytest.mark.parametrize("number", ROWS)
def test_a_row_of_the_table_is_what_is_decided(number: int) -> None:
    seen, becomes = ROWS[number]
    for situation in SITUATIONS[number]:
        state = situation()
        for before in BEFORE:
            assert phase_after(state, before) == becomes[before], f"row {number}, {seen}, before {before}"


def test_the_reasons_that_a_row_names_are_those_that_are_written() -> None:
    for number in (9, 10, 11):
        named = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z]\w+|ing|ected|able)\b", ROWS[number][0]))
        reasons = {
            verdict.reason.value
            for situation in SITUATIONS[number]
            for verdict in decide(situation()).verdicts
            if verdict.type.value == "Ready"
        }
        assert reasons == named


@pytest.mark.parametrize("suspend", [False, True])
@pytest.mark.parametrize("deployed", [False, True])
def test_the_first_row_that_fits_counts(suspend: bool, deployed: bool) -> None:
    record = bot(suspend=suspend)
    base = settled(record) if deployed else provisioned(record)
    for deleting, refused, trouble, word in product(
        (False, True), (False, True), (False, True), ("", "no", "deaf", "ready")
    ):
        state = replace(base, bot=replace(record, deleting=deleting))
        if refused:
            state = with_missing_secret(state)
        if trouble:
            state = replace(state, pods=(fresh_pod(record, running=False, trouble=Reason.CRASH_LOOPING),))
        if word:
            state = replace(state, heartbeat=heartbeat(record, authorized=word != "no", receiving=word != "deaf"))
        fits = {
            1: deleting,
            2: suspend and trouble,
            3: suspend,
            4: refused,
            5: not deployed,
            6: word == "no",
            7: word == "deaf",
            8: word == "ready",
            9: trouble,
            10: True,
        }
        row = next(number for number, fit in fits.items() if fit)
        for before in BEFORE:
            assert phase_after(state, before) == ROWS[row][1][before]


def test_looking_something_up_leaves_the_phase_as_it_is() -> None:
    waiting = observed(secrets={})
    for before in BEFORE:
        assert phase_after(waiting, before) == (Phase.PENDING.value if before == NEW else before)
        assert decide(waiting).verdicts == ()


def test_every_arrow_of_the_picture_is_in_the_table() -> None:
    picture = re.search(r"stateDiagram-v2\n(.*?)```", PAGE, re.DOTALL)
    assert picture
    possible = {(before, after) for _, becomes in ROWS.values() for before, after in becomes.items()}
    arrows = re.findall(r"^  (\S+) --> (\w+): ", picture[1], re.MULTILINE)
    assert len(arrows) > 15
    for before, after in arrows:
        assert (NEW if before == "[*]" else before, after) in possible


def test_the_steps_are_in_the_order_that_the_page_promises() -> None:
    assert KINDS == ("ServiceAccount", "NetworkPolicy", "ConfigMap", "Secret", "Deployment")
    said = re.search(r"row, \*\*binding of the account\*\*, role, Redis user, then (.*?)\. So", PAGE, re.DOTALL)
    assert said
    assert tuple(re.findall(r"[A-Z]\w+", said[1])) == KINDS
