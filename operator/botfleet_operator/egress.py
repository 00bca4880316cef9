"""
Why: whether what a spec wants its bot to reach lies within what the installation allows. Said before anything is made.
Never: narrow a rule in silence: what is not allowed is refused, with the field's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from botfleet.conditions import Reason
from botfleet.spec.network import (
    Block,
    EgressRule,
    IPBlock,
    LabelOperator,
    LabelSelector,
    Peer,
    PolicyPort,
    lies_within,
)
from botfleet_operator.addresses import out_of_reach

_NAME_OF_NAMESPACE = "kubernetes.io/metadata.name"  # each namespace has it (Kubernetes 1.21)
_IN, _NOT_IN = LabelOperator.IN, LabelOperator.NOT_IN
_EXISTS, _DOES_NOT_EXIST = LabelOperator.EXISTS, LabelOperator.DOES_NOT_EXIST


@dataclass(frozen=True, slots=True)
class Network:
    """What the installation gives every bot's NetworkPolicy."""

    servers: tuple[EgressRule, ...] = ()  # PostgreSQL and Redis
    allowed: tuple[EgressRule, ...] = ()  # what specs may ask for beyond the rest
    denied: tuple[Block, ...] = ()  # never reached, the API server's addresses among them
    metrics_from: tuple[Peer, ...] = ()  # empty: from anywhere


@dataclass(frozen=True, slots=True)
class Beyond:
    """A part of a spec that is more than a bot may reach; `values` for the condition's message."""

    reason: Reason
    rule: int
    values: dict[str, str | int]


def beyond(rules: Sequence[EgressRule], network: Network, namespace: str) -> list[Beyond]:
    """What is not allowed, at most one of each rule."""
    found = (_beyond(place, rule, network, namespace) for place, rule in enumerate(rules))
    return [one for one in found if one is not None]


def _beyond(place: int, rule: EgressRule, network: Network, namespace: str) -> Beyond | None:
    path = f"spec.network.egress[{place}]"
    for index, peer in enumerate(rule.to):
        field = f"{path}.to[{index}]"
        if peer.ip_block is not None:
            never = out_of_reach(ip_network(peer.ip_block.cidr), network.denied)
            if never is not None:
                values: dict[str, str | int] = {
                    "field": f"{field}.ipBlock", "address": peer.ip_block.cidr, "range": never,
                }  # fmt: skip
                return Beyond(Reason.EGRESS_FORBIDDEN, place, values)
        allowing = [one for one in network.allowed if any(_covers_peer(p, peer, namespace) for p in one.to)]
        if not allowing:
            return Beyond(Reason.EGRESS_NOT_ALLOWED, place, {"field": field})
        for number, port in _ports(rule):
            if not any(_covers_port(one, port) for one in allowing):
                ports = f"{path}.ports" if port is None else f"{path}.ports[{number}]"
                return Beyond(Reason.EGRESS_NOT_ALLOWED, place, {"field": f"{ports} (to[{index}])"})
    return None


def _ports(rule: EgressRule) -> Iterable[tuple[int, PolicyPort | None]]:
    return enumerate(rule.ports) if rule.ports else [(0, None)]  # unsaid: every port


def _covers_port(allowed: EgressRule, port: PolicyPort | None) -> bool:
    if not allowed.ports:
        return True
    return port is not None and any(
        (one.protocol or "TCP") == (port.protocol or "TCP")
        and one.port <= port.port
        and (port.end_port or port.port) <= (one.end_port or one.port)
        for one in allowed.ports
    )


def _covers_peer(allowed: Peer, peer: Peer, namespace: str) -> bool:
    if peer.ip_block is not None:
        return allowed.ip_block is not None and _covers_block(allowed.ip_block, peer.ip_block)
    if allowed.ip_block is not None:
        return False
    # A selector of pods without one of namespaces means the bot's own.
    namespaces = _implies(_of_namespaces(peer, namespace), _of_namespaces(allowed, namespace))
    return namespaces and _implies(_requirements(peer.pod_selector), _requirements(allowed.pod_selector))


def _covers_block(allowed: IPBlock, block: IPBlock) -> bool:
    whole = ip_network(block.cidr)
    excepts = [ip_network(text) for text in block.excepts or ()]
    return lies_within(whole, ip_network(allowed.cidr)) and all(
        not whole.overlaps(left_out) or any(lies_within(left_out, one) for one in excepts)
        for left_out in map(ip_network, allowed.excepts or ())
    )


@dataclass(frozen=True, slots=True)
class _Requirement:
    key: str
    operator: LabelOperator
    values: frozenset[str]


def _requirements(selector: LabelSelector | None) -> list[_Requirement]:
    return list(_each_requirement(selector)) if selector else []


def _each_requirement(selector: LabelSelector) -> Iterator[_Requirement]:
    for key, value in (selector.match_labels or {}).items():
        yield _Requirement(key, _IN, frozenset({value}))
    for one in selector.match_expressions or ():
        yield _Requirement(one.key, one.operator, frozenset(one.values or ()))


def _of_namespaces(peer: Peer, namespace: str) -> list[_Requirement]:
    if peer.namespace_selector is None:
        return [_Requirement(_NAME_OF_NAMESPACE, _IN, frozenset({namespace}))]
    return _requirements(peer.namespace_selector)


def _implies(said: Sequence[_Requirement], wanted: Sequence[_Requirement]) -> bool:
    """Whether all that the first select is selected by the second."""
    return all(any(_is_as_narrow(one, asked) for one in said) for asked in wanted)


def _is_as_narrow(said: _Requirement, asked: _Requirement) -> bool:
    if said.key != asked.key:
        return False
    if asked.operator is _IN:
        return said.operator is _IN and said.values <= asked.values
    if asked.operator is _NOT_IN:
        disjoint = said.operator is _IN and not said.values & asked.values
        return (
            disjoint or said.operator is _DOES_NOT_EXIST or (said.operator is _NOT_IN and said.values >= asked.values)
        )
    if asked.operator is _EXISTS:
        return said.operator in (_IN, _EXISTS)
    return said.operator is _DOES_NOT_EXIST
