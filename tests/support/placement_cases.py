"""Why: the operator (Python) and the chart's admission policy (CEL) hold the same limits on where bots run; one list of cases for both.

Each case is an installation, a workload, and the values that are refused of it.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Installation:
    """What the chart's values list, by field of spec.workload, and what `bots.defaults.workload` says."""

    lists: dict[str, list[str]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)


def near(key: str) -> dict[str, Any]:
    """A part of an affinity."""
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": {"topologyKey": key}}]}


def toleration(key: str = "", value: str | None = None, **more: Any) -> dict[str, Any]:
    """Of every taint of a key where no value is said."""
    said = {"operator": "Exists"} if value is None else {"value": value}
    return {"tolerations": [{**({"key": key} if key else {}), **said, **more}]}


PLAIN = Installation()
PINNED = Installation(
    defaults={
        "nodeSelector": {"pool": "bots"},
        "affinity": {"podAntiAffinity": near("zone")},
        **toleration("dedicated", "bots"),
        "priorityClassName": "bots",
        "runtimeClassName": "gvisor",
    }
)
LISTED = Installation(
    lists={
        "nodeSelector": ["kubernetes.io/arch", "pool=spare", "empty="],
        "tolerations": ["spot", "dedicated=spare"],
        "affinity": ["podAntiAffinity"],
        "priorityClassName": ["low", "lower"],
        "runtimeClassName": ["kata"],
    },
    defaults={"nodeSelector": {"pool": "bots"}},
)
OPEN = Installation(
    lists={
        name: ["*"] for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName")
    },
    defaults=PINNED.defaults,
)
TOLERANT = Installation(defaults=toleration())
INSTALLATIONS = [PLAIN, PINNED, LISTED, OPEN, TOLERANT]

PLACEMENTS: list[tuple[Installation, dict[str, Any], list[str]]] = [
    # Nothing is listed: nothing may be named.
    (PLAIN, {"resources": {"limits": {"memory": "1Gi"}}}, []),
    (PLAIN, {"nodeSelector": {}, "tolerations": [], "affinity": {}}, []),
    (PLAIN, {"nodeSelector": {"kubernetes.io/arch": "amd64"}}, ["kubernetes.io/arch=amd64"]),
    (PLAIN, toleration("node-role.kubernetes.io/control-plane"), ["node-role.kubernetes.io/control-plane"]),
    (PLAIN, toleration("dedicated", "gpu", effect="NoSchedule"), ["dedicated=gpu"]),
    (PLAIN, {"affinity": {"nodeAffinity": {}}}, ["nodeAffinity"]),
    (PLAIN, {"affinity": {"other": 1}}, ["other"]),
    (PLAIN, {"priorityClassName": "system-cluster-critical"}, ["system-cluster-critical"]),
    (PLAIN, {"runtimeClassName": "runc"}, ["runc"]),
    # What the defaults name may be said again, and not be undone.
    (PINNED, PINNED.defaults, []),
    (PINNED, {"nodeSelector": {}}, ["without pool=bots"]),
    (PINNED, {"nodeSelector": {"pool": "gpu"}}, ["pool=gpu"]),
    (PINNED, {"affinity": {}}, ["without podAntiAffinity"]),
    (PINNED, {"affinity": {"podAntiAffinity": near("host")}}, ["podAntiAffinity"]),
    (PINNED, {"affinity": {"podAntiAffinity": {}}}, ["podAntiAffinity"]),
    (PINNED, {"affinity": {"podAffinity": near("zone")}}, ["podAffinity", "without podAntiAffinity"]),
    (PINNED, {"tolerations": []}, []),
    (PINNED, toleration("dedicated", "bots", effect="NoExecute", tolerationSeconds=60), []),
    (PINNED, toleration("dedicated"), ["dedicated"]),
    (PINNED, {"priorityClassName": "bots-high"}, ["bots-high"]),
    (PINNED, {"runtimeClassName": "runc"}, ["runc"]),
    # A key stands for all its values, a value for itself, and no name for one that begins alike.
    (LISTED, {"nodeSelector": {"kubernetes.io/arch": "arm64", "pool": "bots"}}, []),
    (LISTED, {"nodeSelector": {"pool": "spare", "empty": ""}}, []),
    (LISTED, {"nodeSelector": {"kubernetes.io/arch": "arm64"}}, ["without pool=bots"]),
    (LISTED, {"nodeSelector": {"pool": "spare2", "empty": "x"}}, ["pool=spare2", "empty=x"]),
    (LISTED, {"nodeSelector": {"pool": "bots", "kubernetes.io/arch2": "x"}}, ["kubernetes.io/arch2=x"]),
    (LISTED, toleration("spot"), []),
    (LISTED, toleration("spot", "true"), []),
    (LISTED, toleration("spot", ""), []),
    (LISTED, toleration("dedicated", "spare", operator="Equal"), []),
    (LISTED, toleration("dedicated"), ["dedicated"]),
    (LISTED, toleration("dedicated", ""), ["dedicated="]),
    (LISTED, toleration("dedicated", "spares"), ["dedicated=spares"]),
    (LISTED, toleration("spotted"), ["spotted"]),
    (LISTED, toleration(), ["*"]),
    (LISTED, {"affinity": {"podAntiAffinity": near("zone")}}, []),
    (LISTED, {"affinity": {"podAntiAffinity": {}, "nodeAffinity": {}}}, ["nodeAffinity"]),
    (LISTED, {"priorityClassName": "low"}, []),
    (LISTED, {"priorityClassName": "lowest"}, ["lowest"]),
    (LISTED, {"runtimeClassName": "kata"}, []),
    (LISTED, {"runtimeClassName": "low"}, ["low"]),
    # Open is open, also to what the defaults say.
    (OPEN, {"nodeSelector": {}, "affinity": {}, "priorityClassName": "x", "runtimeClassName": "y", **toleration()}, []),
    (OPEN, {"nodeSelector": {"pool": "gpu"}, "affinity": {"nodeAffinity": {}}}, []),
    (TOLERANT, toleration(), []),
    (TOLERANT, toleration("anything", "at-all"), []),
]
