"""
Why: a bot's pod talks with strangers and with models; it reaches what it needs and nothing else.
Never: a rule to everybody but for DNS, or one that lets a bot reach metadata services or the API server.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from botfleet.effective import EffectiveSpec
from botfleet.spec.network import Block, EgressRule, IPBlock, Peer
from botfleet_operator import addresses
from botfleet_operator.builders.common import Blueprint, metadata, selector_labels
from botfleet_operator.builders.deployment import HEALTH_PORT
from botfleet_operator.egress import Network

DNS_PORT = 53
HTTPS_PORT = 443
_DEFAULT_PORTS = {"https": HTTPS_PORT, "http": 80}


def build(blueprint: Blueprint) -> dict[str, Any]:
    """The NetworkPolicy of a bot whose rules are allowed."""
    network = blueprint.platform.network
    if network is None:
        raise AssertionError("built only where bots have network policies")
    ingress: dict[str, Any] = {"ports": [_port("TCP", HEALTH_PORT)]}
    if network.metrics_from:
        ingress["from"] = [peer.to_wire() for peer in network.metrics_from]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(blueprint, blueprint.name),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(blueprint.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [ingress],
            "egress": list(_egress(blueprint.spec, network)),
        },
    }


def _egress(spec: EffectiveSpec, network: Network) -> Iterable[dict[str, Any]]:
    # To anybody: a cluster's name server may be a pod, a service's address or one of the node's own.
    yield {"ports": [_port("UDP", DNS_PORT), _port("TCP", DNS_PORT)]}
    yield from (_rule(rule.to, rule, network.denied, verbatim=True) for rule in network.servers)
    internet = [_block(block, excepts) for block, excepts in addresses.public(network.denied)]
    if internet:
        yield {"to": internet, "ports": [_port("TCP", port) for port in sorted(public_ports(spec))]}
    yield from (_rule(rule.to, rule, network.denied) for rule in spec.egress)


def public_ports(spec: EffectiveSpec) -> set[int]:
    """Where Telegram and the models of a spec are reached in the Internet."""
    ports = {HTTPS_PORT}
    center = spec.account.data_center
    if center is not None and addresses.is_reached_as_public(center.address):
        ports.add(center.port)
    urls = [model.base_url for model in spec.model.chain]
    if spec.model.transcription is not None:
        urls.append(spec.model.transcription.base_url)
    return ports.union(*(_public_port(url) for url in urls))


def _public_port(url: str) -> set[int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return set()  # no URL that anybody can call; the runner says so when it tries
    return {port} if host and addresses.is_reached_as_public(host) else set()


def _rule(
    peers: Iterable[Peer], rule: EgressRule, denied: tuple[Block, ...], *, verbatim: bool = False
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "to": [
            peer.to_wire() if verbatim or peer.ip_block is None else _own_block(peer.ip_block, denied) for peer in peers
        ]
    }
    if rule.ports:
        made["ports"] = [_port(one.protocol or "TCP", one.port, one.end_port) for one in rule.ports]
    return made


def _own_block(block: IPBlock, denied: tuple[Block, ...]) -> dict[str, Any]:
    whole = ip_network(block.cidr)
    said = [ip_network(text) for text in block.excepts or ()]
    return _block(whole, addresses.within([*said, *addresses.never(denied)], whole))


def _block(block: Block, excepts: Iterable[Block]) -> dict[str, Any]:
    left_out = [str(one) for one in excepts]
    return {"ipBlock": {"cidr": str(block), **({"except": left_out} if left_out else {})}}


def _port(protocol: str, port: int, end: int | None = None) -> dict[str, Any]:
    return {"protocol": str(protocol), "port": port, **({} if end is None else {"endPort": end})}
