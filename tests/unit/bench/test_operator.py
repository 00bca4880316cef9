"""Promises of how the operator's figures are counted, printed, kept and drawn."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from bench.operator import sheet
from bench.operator.curves import svg
from bench.operator.floor import bare
from bench.operator.sheet import Measured
from tests.integration.operator.standin import pod_of

SIZES: sheet.Sizes = {
    10: {sheet.CHILDREN.name: Measured(1.0, 0.5), sheet.IDLE.name: Measured(0)},
    1000: {sheet.CHILDREN.name: Measured(31.0, 10.0), sheet.IDLE.name: Measured(2)},
}


def line(verb: str, resource: str, agent: str = "botfleet-operator") -> str:
    return json.dumps({"verb": verb, "userAgent": agent, "objectRef": {"resource": resource}}) + "\n"


def test_only_whole_lines_of_the_operator_that_write_are_counted_leases_and_events_apart() -> None:
    counted = [line("patch", "configmaps"), line("delete", "secrets"), line("create", "pods", "kopf/1.45")]
    others = [line("get", "pods"), line("update", "leases"), line("create", "events"), line("patch", "pods", "by-hand")]
    assert sheet.writes_in([*counted, *others, line("patch", "configmaps")[:-2]]) == len(counted)


def test_a_figure_is_printed_beside_its_floor_as_a_ratio_and_with_the_verdict_on_its_target() -> None:
    first, second = sheet.rows(SIZES[10], 10)
    assert first == ["all children exist (s)", "1", "0.5", "2.0", "≤ 30: at 1,000"], (
        "ten bots prove nothing of a thousand"
    )
    assert sheet.rows(SIZES[10], 1000)[0][-1] == "≤ 30: reached"
    assert second == ["writes of an idle fleet", "0", "", "", "≤ 0: reached"]
    assert [row[-1] for row in sheet.rows(SIZES[1000], 1000)] == ["≤ 30: MISSED", "≤ 0: MISSED"]


def test_what_earlier_runs_kept_stays_beside_a_new_size(tmp_path: Path) -> None:
    file = tmp_path / "operator.json"
    assert sheet.kept(file) == {}
    sheet.keep(file, SIZES)
    assert sheet.kept(file) == SIZES
    sheet.keep(file, {**sheet.kept(file), 100: SIZES[10]})
    assert list(sheet.kept(file)) == [10, 100, 1000]


def test_the_drawing_has_each_figure_once_and_all_of_its_points_within() -> None:
    root = ET.fromstring(svg(SIZES))  # noqa: S314 -- our own
    spelled = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert [spelled.count(title) for title in ("all children exist (s)", "writes of an idle fleet")] == [1, 1]
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(circles) == 2 + 2 + 2  # children: operator and floor; idle: the operator alone
    assert all(0 <= float(circle.get("cy", "-1")) <= 190 for circle in circles)


def test_a_floor_has_nothing_by_which_the_operator_would_see_it() -> None:
    child = {"kind": "ConfigMap", "data": {"a": "b"}, "status": {}, "metadata": {
        "name": "x", "labels": {"botfleet.dev/bot": "x"}, "ownerReferences": [{}], "uid": "1", "annotations": {"c": "d"},
    }}  # fmt: skip
    assert bare(child, "floor", "y") == {
        "kind": "ConfigMap", "data": {"a": "b"},
        "metadata": {"name": "y", "namespace": "floor", "annotations": {"c": "d"}},
    }  # fmt: skip


def test_the_stand_ins_pod_has_the_template_that_its_controller_would_give_it() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    pod = pod_of({"metadata": {"name": "concierge"}, "spec": {"template": template}})
    assert pod["metadata"].pop("name").startswith("concierge-")
    assert {key: pod[key] for key in ("metadata", "spec")} == template
