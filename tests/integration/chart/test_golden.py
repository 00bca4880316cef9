"""Promise: a change of the chart is seen as a change of what it renders.

`BOTFLEET_UPDATE_GOLDEN=1 pytest tests/integration/chart/test_golden.py` writes the files anew; the diff is for the review.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.integration.chart.conftest import Chart

GOLDEN = Path(__file__).parent / "golden"
UPDATE = bool(os.environ.get("BOTFLEET_UPDATE_GOLDEN"))


def compare(path: Path, rendered: str) -> None:
    if UPDATE:
        path.write_text(rendered)
    assert rendered == path.read_text(), f"{path.name} differs; see the top of this file"


def without_schema(document: dict[str, Any]) -> dict[str, Any]:
    """The CRD's schema is generated and compared elsewhere."""
    if document["kind"] == "CustomResourceDefinition":
        return {**document, "spec": "..."}
    return document


def test_each_scenario_renders_as_its_golden_file(
    chart: "Chart", scenario_name: str, scenario_values: dict[str, Any]
) -> None:
    documents = [without_schema(document) for document in chart.render(scenario_values)]
    compare(GOLDEN / f"{scenario_name}.yaml", yaml.safe_dump_all(documents, sort_keys=False, width=120))


def test_each_scenario_passes_the_strict_lint(chart: "Chart", scenario_values: dict[str, Any]) -> None:
    assert "0 chart(s) failed" in chart.helm("lint", "--strict", str(chart.path), values=scenario_values)


def test_rendering_twice_gives_the_same_names(chart: "Chart", scenario_values: dict[str, Any]) -> None:
    assert chart.rendered_anew(scenario_values) == chart.rendered_anew(scenario_values)


@pytest.mark.parametrize("mode", ["cluster", "namespaced"])
def test_the_rights_of_every_account_are_those_in_the_list(chart: "Chart", mode: str) -> None:
    values: dict[str, Any] = {} if mode == "cluster" else {"operator": {"watchNamespaces": ["hotel"]}}
    documents = chart.render(values)
    rules = {
        (doc["kind"], doc["metadata"].get("namespace"), doc["metadata"]["name"]): doc["rules"]
        for doc in documents
        if doc["kind"] in ("Role", "ClusterRole")
    }
    lines = []
    for binding in documents:
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        where = binding["metadata"].get("namespace")
        for subject in binding["subjects"]:
            lines.append(f"{subject['namespace']}/{subject['name']} in {where or 'the whole cluster'}:")
            for rule in rules[binding["roleRef"]["kind"], where, binding["roleRef"]["name"]]:
                names = f" named {', '.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
                for resource in rule["resources"]:
                    group = rule["apiGroups"][0] or "core"
                    lines.append(f"  {group} {resource}{names}: {' '.join(rule['verbs'])}")
    compare(GOLDEN / f"rights-{mode}.txt", "\n".join(lines) + "\n")
