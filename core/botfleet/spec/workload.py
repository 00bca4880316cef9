"""Why: how a bot's pod runs. These are Kubernetes' own fields; the types are the parts of them that a bot can use.

What a Deployment would refuse is refused here already: otherwise half of a bot would be made and tried again for ever.
"""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from botfleet.spec.rules import Rule, Wire

QUANTITY = r"^(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{1,2}))?$"
Quantity = Annotated[
    str | int,
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "minimum": 0, "maxLength": 32, "pattern": QUANTITY}),
]
Opaque = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
MOST_RESOURCES = 16
_QUALIFIED = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
# As container runtimes take it: host with port, path, tag, digest.
_IMAGE = (
    r"^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
LabelName = Annotated[str, Field(max_length=317, pattern=rf"^$|{_QUALIFIED}")]
LabelValue = Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{letter}i": 2 ** (10 * power) for power, letter in enumerate("KMGTPE", 1)}


def quantity(said: str | int) -> Decimal:
    """What a quantity amounts to: Kubernetes' resource.Quantity. Zero for what is none; the pattern refuses that."""
    parts = re.fullmatch(r"([0-9.]+)(?:([eE][+-]?[0-9]{1,2})|([A-Za-z]*))", str(said))
    if parts is None or re.match(QUANTITY, str(said)) is None:
        return Decimal(0)
    number, suffix = Decimal(parts[1] + (parts[2] or "")), parts[3] or ""
    return number * _BINARY[suffix] if suffix in _BINARY else number.scaleb(_SUFFIXES[suffix])


class Resources(Wire):
    """Requests and limits of the runner's container."""

    rules = (
        Rule(
            "[has(self.requests) ? self.requests.map(k, k) : [], has(self.limits) ? self.limits.map(k, k) : []]"
            ".all(names, names.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || k.contains('/')))",
            "resources are cpu, memory and ephemeral-storage, or a device's name with its domain (example.com/gpu)",
            lambda r: all(
                name in ("cpu", "memory", "ephemeral-storage") or "/" in name
                for name in [*(r.requests or ()), *(r.limits or ())]
            ),
        ),
        Rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits)"
            " || !isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k]))"
            " || !quantity(string(self.requests[k])).isGreaterThan(quantity(string(self.limits[k]))))",
            "a request is larger than its limit: write a larger limit or a smaller request",
            lambda r: all(
                quantity(value) <= quantity(r.limits[name])
                for name, value in (r.requests or {}).items()
                if name in (r.limits or {})
            ),
        ),
    )
    requests: Annotated[dict[str, Quantity] | None, Field(max_length=MOST_RESOURCES)] = None
    limits: Annotated[dict[str, Quantity] | None, Field(max_length=MOST_RESOURCES)] = None


class Toleration(Wire):
    """As in a pod."""

    rules = (
        Rule(
            "has(self.key) && self.key != '' || has(self.operator) && self.operator == 'Exists'",
            "a toleration without a key is for every taint: then operator must be Exists",
            lambda t: bool(t.key) or t.operator == "Exists",
        ),
        Rule(
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "a toleration with the operator Exists has no value",
            lambda t: t.operator != "Exists" or not t.value,
        ),
        Rule(
            "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
            "tolerationSeconds goes with the effect NoExecute only",
            lambda t: t.toleration_seconds is None or t.effect == "NoExecute",
        ),
    )
    key: LabelName | None = None
    operator: Annotated[str | None, Field(json_schema_extra={"enum": ["Exists", "Equal"]})] = None
    value: LabelValue | None = None
    effect: Annotated[
        str | None, Field(json_schema_extra={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]})
    ] = None
    toleration_seconds: Annotated[int | None, Field(json_schema_extra={"format": "int64"})] = None


class WorkloadSpec(Wire):
    """Where and with what the runner's pod runs, within what the installation allows."""

    rules = (
        Rule(
            f"!has(self.nodeSelector) || self.nodeSelector.all(k, k.size() <= 317 && k.matches('{_QUALIFIED}'))",
            "a key of nodeSelector is a label's name, such as kubernetes.io/arch",
            lambda w: all(re.match(_QUALIFIED, key) for key in w.node_selector or ()),
        ),
    )
    image: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1024,
            pattern=_IMAGE,
            description="Pins this bot to a runner image, one of those that the installation allows.",
        ),
    ] = None
    resources: Resources | None = None
    node_selector: Annotated[dict[str, LabelValue] | None, Field(max_length=32)] = None
    tolerations: Annotated[list[Toleration] | None, Field(max_length=64)] = None
    affinity: Annotated[dict[str, Any] | None, Field(description="As in a pod.", json_schema_extra=Opaque)] = None
    priority_class_name: ObjectName | None = None
    runtime_class_name: ObjectName | None = None
