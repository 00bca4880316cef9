"""The design tells what is there and what comes later, and the code agrees: fields, conditions, reasons, tables, folders."""

import re
from pathlib import Path
from typing import Any

import yaml

from botfleet.conditions import ConditionType, Phase, Reason
from botfleet.manifest import parse_bot
from botfleet.store.tables import InboxState, OutboxState, metadata
from tests.unit.core.test_fields import SPEC, STATUS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/design/README.md").read_text()
CONDITIONS = dict(re.findall(r"^\| `(\w+)`( \(later\))? \|", PAGE, re.MULTILINE))


def block(kind: str) -> dict[str, Any]:
    (text,) = re.findall(rf"```yaml {kind}\n(.*?)```", PAGE, re.DOTALL)
    return dict(yaml.safe_load(text))


def said(value: Any, path: str = "") -> set[str]:
    """Dotted paths, `[]` for the entries of a list, as tests/unit/core/test_fields.py writes them."""
    opaque = {"workload.resources.requests", "workload.resources.limits", "workload.nodeSelector", "workload.affinity"}
    if isinstance(value, dict) and path not in opaque and not path.endswith(".matchLabels"):
        return set().union(*(said(child, f"{path}.{key}" if path else key) for key, child in value.items()))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return set().union(*(said(entry, f"{path}[]") for entry in value))
    return {path}


def test_the_object_of_the_design_says_every_field_that_there_is_and_is_a_valid_one() -> None:
    shown = block("object")
    session = {"account.sessionSecretRef.name", "account.sessionSecretRef.key"}
    assert said(shown["spec"]) == SPEC - session - {field for field in SPEC if field.startswith("persona.promptFrom.")}
    assert "# sessionSecretRef: {name: " in PAGE
    assert "# promptFrom: {configMapKeyRef: {name: " in PAGE
    assert "or {secretKeyRef: {name: " in PAGE
    assert said(shown["status"]) == STATUS
    assert parse_bot({key: value for key, value in shown.items() if key != "status"}, "the design").metadata.name
    assert shown["status"]["phase"] in set(Phase)


def test_what_comes_later_is_no_field_yet() -> None:
    later = block("later")
    fields = {re.sub(r"\[\].*", "", field) for field in SPEC}
    assert not said(later["spec"]) & fields
    assert not said(later.get("status", {})) & STATUS


def test_the_conditions_of_the_design_are_there_or_marked() -> None:
    there = {name for name, later in CONDITIONS.items() if not later}
    assert there == set(ConditionType)
    for name, later, reasons in re.findall(r"^\| `(\w+)`( \(later\))? \|[^|]*\|(.*)\|$", PAGE, re.MULTILINE):
        named = set(re.findall(r"\b[A-Z]\w+", re.sub(r"\([^)]*\)", "", reasons)))
        assert later or named <= set(Reason), name


def test_the_tables_of_the_design_are_there_or_marked() -> None:
    (listed,) = re.findall(r"\*\*Tables\*\* \([^)]*\): (.*?)\.\n\(later\) (?:.*)\.", PAGE, re.DOTALL)
    names = re.sub(r"\([^)]*\)", "", listed).replace("\n", " ").split(",")
    assert {name.strip() for name in names} == set(metadata.tables)


def test_the_lives_of_a_row_are_drawn_with_the_states_that_are_set() -> None:
    page = (ROOT / "docs/design/database.md").read_text()
    picture = page.split("## The life of a row")[1].split("```mermaid")[1].split("```")[0]
    drawn = {
        name: set(re.findall(r"(\w+)(?= -->|:)", part))
        for name, part in re.findall(r"state (\w+) \{(.*?)\}", picture, re.DOTALL)
    }
    assert drawn["outbox"] - {"waiting"} | {"pending"} == set(OutboxState)
    assert drawn["inbox"] == set(InboxState)


def test_the_folders_of_the_design_are_there_or_marked() -> None:
    for line in re.findall(r"^\| (`[a-z]+/.*)\|$", PAGE.split("## 3.")[0], re.MULTILINE):
        for folder in re.findall(r"`([a-z]+/)(?:[a-z]+/)?`", line.split("|")[0]):
            assert (ROOT / folder).exists() != ("(later)" in line), folder


def test_the_modules_of_the_design_are_there() -> None:
    rooms = PAGE.split("The rooms:\n")[1].split("\nNotes\n")[0]
    modules = {path.stem for part in ("core", "botrunner", "operator") for path in (ROOT / part).rglob("*.py")}
    folders = {
        path.name for part in ("core", "botrunner", "operator") for path in (ROOT / part).rglob("*") if path.is_dir()
    }
    named = re.sub(
        r"^ +\S+/\S+/  |\(lease, clock, cut-off, binding\)|builders/<kind>|operator\.md says.*",
        "",
        rooms,
        flags=re.MULTILINE,
    )
    words = set(re.findall(r"\b[a-z]{2,}\b", named))
    assert words, "nothing was found"
    assert words <= modules | folders


def test_figures_that_nobody_has_measured_are_called_aims() -> None:
    targets = (ROOT / "docs/design/targets.md").read_text()
    assert (ROOT / "bench").exists() or "These are aims, not results" in targets
