"""Why: what a bot's pod may reach beyond Telegram and public models. The shape is Kubernetes' own: rules of a NetworkPolicy
(https://kubernetes.io/docs/concepts/services-networking/network-policies/), the parts of it that a bot can use."""

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from botfleet.spec.rules import Rule, Wire

Block = IPv4Network | IPv6Network

MOST_RULES = 16
MOST_PEERS = 16
MOST_PORTS = 16
_MOST_EXCEPT = 32
_MOST_LABELS = 16

_LABEL_PREFIX = r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
_LABEL_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = rf"^{_LABEL_PREFIX}{_LABEL_NAME}$"


def _is_cidr(text: str) -> str:
    # What the API server cannot know (CEL knows CIDRs since 1.31 only) the operator says in the condition Accepted.
    try:
        block = ip_network(text)
    except ValueError:
        raise ValueError(
            "write an address block such as 10.20.0.0/16 or 10.20.0.7/32, without bits beyond it"
        ) from None
    return str(block)


def lies_within(inner: Block, outer: Block) -> bool:
    """Whether each address of the one block is in the other."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def _are_label_keys(labels: dict[str, str] | None) -> dict[str, str] | None:
    wrong = [key for key in labels or () if not re.fullmatch(_LABEL_KEY, key) or len(key) > 317]
    if wrong:
        raise ValueError("each key must be the name of a label, such as app.kubernetes.io/name")
    return labels


Cidr = Annotated[str, Field(max_length=43, pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$"), AfterValidator(_is_cidr)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=_LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=rf"^({_LABEL_NAME})?$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Protocol(StrEnum):
    """Of a port."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class LabelOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


def _values_fit(requirement: "LabelRequirement") -> bool:
    compares = requirement.operator in (LabelOperator.IN, LabelOperator.NOT_IN)
    return bool(requirement.values) == compares


class LabelRequirement(Wire):
    """One requirement on a label."""

    rules = (
        Rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            "In and NotIn need values; Exists and DoesNotExist have none",
            _values_fit,
        ),
    )
    key: LabelKey
    operator: LabelOperator
    values: Annotated[list[LabelValue] | None, Field(max_length=_MOST_LABELS)] = None


class LabelSelector(Wire):
    """As in Kubernetes; an empty one selects everything."""

    match_labels: Annotated[
        dict[str, LabelValue] | None, Field(max_length=_MOST_LABELS), AfterValidator(_are_label_keys)
    ] = None
    match_expressions: Annotated[list[LabelRequirement] | None, Field(max_length=_MOST_LABELS)] = None


class IPBlock(Wire):
    """Addresses by number."""

    cidr: Annotated[Cidr, Field(description="Such as 10.20.0.0/16, or 10.20.0.7/32 for one address.")]
    excepts: Annotated[
        list[Cidr] | None,
        Field(alias="except", max_length=_MOST_EXCEPT, description="Blocks within it that are left out."),
    ] = None

    @model_validator(mode="after")
    def _excepts_lie_within(self) -> Self:
        # No CEL rule: CEL knows CIDRs since 1.31 only. The operator says it in the condition Accepted.
        whole = ip_network(self.cidr)
        parts = [ip_network(part) for part in self.excepts or ()]
        if not all(part != whole and lies_within(part, whole) for part in parts):
            raise ValueError("each block of except must be a part of cidr, and less than all of it")
        return self


class Peer(Wire):
    """Addresses by number, or pods by their labels."""

    rules = (
        Rule(
            "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
            "a peer has either an ipBlock or selectors: podSelector, namespaceSelector or both",
            lambda p: (p.ip_block is not None) != (p.pod_selector is not None or p.namespace_selector is not None),
        ),
    )
    ip_block: IPBlock | None = None
    pod_selector: Annotated[
        LabelSelector | None, Field(description="Pods of the selected namespaces; alone: of the bot's own.")
    ] = None
    namespace_selector: Annotated[LabelSelector | None, Field(description="Namespaces; alone: all their pods.")] = None


class PolicyPort(Wire):
    """One port, or a range of them."""

    rules = (
        Rule(
            "!has(self.endPort) || self.endPort >= self.port",
            "endPort must not be below port",
            lambda p: p.end_port is None or p.end_port >= p.port,
        ),
    )
    protocol: Annotated[Protocol | None, Field(description="TCP (default), UDP or SCTP.")] = None
    port: Annotated[Port, Field(description="Of the pod, where a Service maps it to another one.")]
    end_port: Annotated[Port | None, Field(description="The last port of a range that begins with port.")] = None


class EgressRule(Wire):
    """Who may be called on which ports."""

    to: Annotated[list[Peer], Field(min_length=1, max_length=MOST_PEERS)]
    ports: Annotated[
        list[PolicyPort] | None, Field(min_length=1, max_length=MOST_PORTS, description="Unsaid: every port.")
    ] = None


class NetworkSpec(Wire):
    """What the bot's pod may reach."""

    egress: Annotated[
        list[EgressRule] | None,
        Field(
            max_length=MOST_RULES,
            description="Rules of a NetworkPolicy, beyond DNS, the platform's servers, Telegram and public models: for a"
            " model in the cluster or in a private network. Only within what the installation allows"
            " (networkPolicies.bots.allowedEgress of the chart).",
        ),
    ] = None
