"""
Why: on which nodes, with which priority and in which sandbox bots may run, decided on the effective workload, since what a bot
leaves out comes from defaults that no object shows.
Never: ask the cluster which nodes, taints and classes there are: names are compared with names. The chart's admission policy
has the same rules in CEL (templates/admission); tests/support/placement_cases.py holds the cases that both are tried with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botfleet.spec.workload import Toleration, WorkloadSpec

ANY = "*"
CHART_VALUES: Mapping[str, str] = {
    "nodeSelector": "bots.allowedNodeSelectors",
    "tolerations": "bots.allowedTolerations",
    "affinity": "bots.allowedAffinities",
    "priorityClassName": "bots.allowedPriorityClasses",
    "runtimeClassName": "bots.allowedRuntimeClasses",
}
"""The fields of spec.workload that are limited, and where the chart lists what they may name."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What the fields may name, by field, and what the installation's own defaults say of them.

    An entry is a name, a label or a taint (`key=value`), or the key of one with any value; "*" is anything.
    """

    lists: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict.fromkeys(CHART_VALUES, (ANY,)))
    defaults: WorkloadSpec = field(default_factory=WorkloadSpec)

    def beyond(self, workload: WorkloadSpec) -> Iterator[tuple[str, str]]:
        """Every field with a value that is not allowed, that value in words."""
        for name, value in _asked(workload, self.defaults):
            if not any(entry in (ANY, value) or value.startswith(f"{entry}=") for entry in self.lists[name]):
                yield name, value


def placement(lists: Mapping[str, tuple[str, ...]], defaults: Mapping[str, Any]) -> Placement:
    """What was listed, and what the installation's defaults name. Their affinity is allowed as it stands there: it has no name
    that could be listed."""
    own = WorkloadSpec.model_validate(defaults.get("workload") or {})
    named: dict[str, list[str]] = {name: [] for name in CHART_VALUES}
    for name, value in _asked(own, own):
        named[name].append(value)
    return Placement({name: tuple(dict.fromkeys([*named[name], *lists[name]])) for name in CHART_VALUES}, own)


def _asked(workload: WorkloadSpec, defaults: WorkloadSpec) -> Iterator[tuple[str, str]]:
    """What the fields name. What the defaults pin a bot to and the nearer layer leaves out counts as asked for: each of these
    fields is taken whole, so that an empty one would undo it."""
    labels = workload.node_selector or {}
    for key, value in labels.items():
        yield "nodeSelector", f"{key}={value}"
    for key, value in (defaults.node_selector or {}).items():
        if key not in labels:
            yield "nodeSelector", f"without {key}={value}"
    for toleration in workload.tolerations or ():
        yield "tolerations", _taints(toleration)
    rules, pinned = workload.affinity or {}, defaults.affinity or {}
    for part, rule in rules.items():
        if part not in pinned or rule != pinned[part]:
            yield "affinity", part
    for part in pinned:
        if part not in rules:
            yield "affinity", f"without {part}"
    if workload.priority_class_name:
        yield "priorityClassName", workload.priority_class_name
    if workload.runtime_class_name:
        yield "runtimeClassName", workload.runtime_class_name


def _taints(toleration: Toleration) -> str:
    """The taints that are tolerated: `key=value`, every one of a key, or "*", every one."""
    if not toleration.key:
        return ANY
    return toleration.key if toleration.operator == "Exists" else f"{toleration.key}={toleration.value or ''}"
