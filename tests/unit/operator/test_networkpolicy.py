"""Promises of a bot's NetworkPolicy: it reaches what it needs, and neither private addresses nor what no bot may reach.

A small evaluator says what a policy lets through, as
https://kubernetes.io/docs/concepts/services-networking/network-policies/ defines it.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import pytest

from botfleet.effective import effective
from botfleet.spec import EgressRule, TelegramBotSpec
from botfleet_operator.builders import Blueprint, networkpolicy
from botfleet_operator.egress import Network, beyond
from tests.unit.operator.samples import API_SERVER, NETWORK, PLATFORM, bot, in_namespace, rule

PUBLIC = ("149.154.167.51", "8.8.8.8", "2001:67c:4e8:f002::a", "2606:4700::6810:84e5")
PRIVATE = (
    "0.0.0.1", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1", "100.127.255.254",
    "169.254.1.1", "127.0.0.1", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1",
    "fdff::1", "fe80::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1",
)  # fmt: skip
METADATA = (
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.253", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:a9fe:a9fe::1", "fd00:42::42", "fe80::a9fe:a9fe",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
)  # fmt: skip
NEVER = (
    *METADATA,
    *(str(block.network_address) for block in API_SERVER),
    "127.0.0.1",
    "::1",
    "::ffff:10.96.0.1",
    "::ffff:10.20.0.5",
)
PORTS = (22, 80, 443, 6443, 8000, 8443, 10250)
EVERYTHING = Network(
    servers=NETWORK.servers,
    allowed=(rule(*({"ipBlock": {"cidr": cidr}} for cidr in ("0.0.0.0/0", "::/0")), {"namespaceSelector": {}}),),
    denied=API_SERVER,
)


def policy(spec: dict[str, Any] | None = None, network: Network = NETWORK, name: str = "minimal") -> dict[str, Any]:
    """The spec of the policy of a bot."""
    whole = effective(TelegramBotSpec.model_validate({**bot(name).spec, **(spec or {})}))
    own = {"database_password": "", "redis_password": "", "session_key": ""}
    names = {
        "bot_id": "b",
        "role": "r",
        "redis_user": "u",
        "spec_digest": "",
        "credentials_digest": "",
        "owner_digest": "",
    }
    platform = replace(PLATFORM, network=network)
    return dict(networkpolicy.build(Blueprint("hotel", "concierge", "uid", whole, platform, **names, **own))["spec"])


def reaches(policy: dict[str, Any], address: str, port: int, protocol: str = "TCP") -> bool:
    """Whether a packet to an address that is no pod's is let through."""
    return any(
        _port_fits(one, port, protocol) and ("to" not in one or any(_block_has(peer, address) for peer in one["to"]))
        for one in policy["egress"]
    )


def reaches_pod(policy: dict[str, Any], namespace: str, labels: dict[str, str], port: int) -> bool:
    """Whether a packet to a pod with these labels is let through, by selectors."""
    of_namespace = {"kubernetes.io/metadata.name": namespace}
    return any(
        _port_fits(one, port, "TCP")
        and any(
            "ipBlock" not in peer
            and _selects(
                peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": "hotel"}}), of_namespace
            )
            and _selects(peer.get("podSelector", {}), labels)
            for peer in one.get("to", ())
        )
        for one in policy["egress"]
    )


def _port_fits(one: dict[str, Any], port: int, protocol: str) -> bool:
    return "ports" not in one or any(
        entry["protocol"] == protocol and entry["port"] <= port <= entry.get("endPort", entry["port"])
        for entry in one["ports"]
    )


def _block_has(peer: dict[str, Any], text: str) -> bool:
    if "ipBlock" not in peer:
        return False
    # Literally, and as a node sends it: an IPv4-mapped address is an IPv4 packet on every wire.
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    block = peer["ipBlock"]
    return any(
        form in ip_network(block["cidr"]) and not any(form in ip_network(part) for part in block.get("except", ()))
        for form in (address, mapped or address)
    )


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


@pytest.mark.parametrize("address", PUBLIC)
def test_telegram_and_public_models_are_reached_by_https(address: str) -> None:
    assert reaches(policy(), address, 443)
    for port in (22, 25, 80, 5432, 6379, 8080):
        assert not reaches(policy(), address, port)


@pytest.mark.parametrize("address", (*PRIVATE, *METADATA))
def test_private_link_local_and_metadata_addresses_are_reached_by_dns_at_most(address: str) -> None:
    for name in ("minimal", "maximal"):
        made = policy(name=name) if name == "minimal" else policy({"network": {"egress": []}}, name=name)
        for port in PORTS:
            for protocol in ("TCP", "UDP"):
                assert not reaches(made, address, port, protocol)


def test_name_servers_are_reached_wherever_they_are() -> None:
    for address in ("10.96.0.10", "169.254.20.10", "8.8.8.8", "fd00::a"):
        for protocol in ("UDP", "TCP"):
            assert reaches(policy(), address, 53, protocol)


def test_the_platforms_servers_are_reached_on_their_ports_and_nothing_else_beside_them() -> None:
    made = policy()
    postgres = {"app.kubernetes.io/component": "postgres"}
    assert reaches_pod(made, "botfleet", postgres, 5432)
    assert not reaches_pod(made, "botfleet", postgres, 22)
    assert not reaches_pod(made, "botfleet", {"app.kubernetes.io/component": "operator"}, 5432)
    assert not reaches_pod(made, "hotel", postgres, 5432)
    assert reaches(made, "10.30.0.9", 6379)
    assert not reaches(made, "10.30.0.9", 5432)
    assert not reaches(made, "10.30.0.8", 6379)


def test_the_port_of_a_public_model_and_of_a_data_center_is_opened_to_public_addresses_only() -> None:
    model = bot().spec["model"]
    key = {"apiKeySecretRef": {"name": "openai", "key": "api-key"}}
    account = bot().spec["account"]
    made = policy(
        {
            "account": {**account, "dataCenter": {"id": 2, "address": "203.0.113.9", "port": 8443}},
            "model": {
                **model,
                "baseUrl": "https://models.example:9443/v1",
                "fallbacks": [{"name": "f", "baseUrl": "http://[2606:4700::1]:8000/v1", **key}],
                "transcription": {"name": "t", "baseUrl": "http://voices.example/v1", **key},
            },
        }
    )
    for port in (443, 8443, 9443, 8000, 80):
        assert reaches(made, "203.0.113.9", port)
        assert not reaches(made, "10.0.0.9", port)
    assert not reaches(made, "203.0.113.9", 9444)


@pytest.mark.parametrize(
    "host",
    [
        "model.simulated.svc.cluster.local",
        "model.simulated.svc",
        "model",
        "localhost",
        "10.1.2.3",
        "[fd00::1]",
        "127.0.0.1",
    ],
)
def test_a_model_in_the_cluster_opens_no_port_of_the_internet(host: str) -> None:
    made = policy({"model": {**bot().spec["model"], "baseUrl": f"http://{host}:8080/v1"}})
    assert not reaches(made, "8.8.8.8", 8080)


@pytest.mark.parametrize("url", ["http://models.example:99999/v1", "http://[bad]/v1", "http://[bad]:99999"])
def test_a_url_that_nobody_can_call_opens_nothing(url: str) -> None:
    made = policy({"model": {**bot().spec["model"], "baseUrl": url}})
    assert [port for port in (80, 443, 9999) if reaches(made, "8.8.8.8", port)] == [443]


def test_what_the_spec_asks_for_is_opened_and_no_more() -> None:
    made = policy(name="maximal")
    assert reaches_pod(made, "models", {"app": "large"}, 8000)
    assert not reaches_pod(made, "models", {"app": "large"}, 8001)
    assert not reaches_pod(made, "models", {"app": "small"}, 8000)
    assert not reaches_pod(made, "other", {"app": "large"}, 8000)
    assert reaches(made, "10.20.0.4", 8010)
    assert not reaches(made, "10.20.0.4", 8011)
    assert not reaches(made, "10.20.0.200", 8000), "left out by the spec"
    assert not reaches(made, "10.20.0.5", 8000), "the API server's"


ASKED = [
    [rule({"ipBlock": {"cidr": cidr}})]
    for cidr in (
        "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.20.0.0/16", "10.20.0.4/31", "168.63.128.0/20", "169.0.0.0/8",
        "100.64.0.0/10", "192.0.0.0/16", "126.0.0.0/7", "2000::/3", "fc00::/7", "fd00::/8", "64:ff9b::/96", "2001:db8::/32",
    )
] + [
    [rule({"namespaceSelector": {}}), rule({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, ports=(80, 443, 6443))],
    [rule({"ipBlock": {"cidr": "10.0.0.0/9"}}, {"ipBlock": {"cidr": "10.20.0.0/24"}}), rule({"podSelector": {}})],
]  # fmt: skip


@pytest.mark.parametrize("asked", ASKED, ids=lambda rules: str(rules[0].to[0].to_wire()))
def test_metadata_services_and_the_api_server_are_out_of_reach_whatever_is_asked_for_and_allowed(
    asked: list[EgressRule],
) -> None:
    assert beyond(asked, EVERYTHING, "hotel") == []
    made = policy({"network": {"egress": [one.to_wire() for one in asked]}}, EVERYTHING)
    for address in NEVER:
        for port in PORTS:
            for protocol in ("TCP", "UDP", "SCTP"):
                assert not reaches(made, address, port, protocol), address


@pytest.mark.parametrize("asked", ASKED[:-2], ids=lambda rules: str(rules[0].to[0].to_wire()))
def test_each_exception_is_a_real_part_of_its_block_as_kubernetes_asks(asked: list[EgressRule]) -> None:
    made = policy({"network": {"egress": [one.to_wire() for one in asked]}}, EVERYTHING)
    for peer in (peer for one in made["egress"] for peer in one.get("to", ()) if "ipBlock" in peer):
        whole: Any = ip_network(peer["ipBlock"]["cidr"])
        parts: list[Any] = [ip_network(part) for part in peer["ipBlock"].get("except", ())]
        assert all(part.subnet_of(whole) and part != whole for part in parts)
        assert len(set(parts)) == len(parts)


def test_only_metrics_are_let_in_from_whom_the_installation_says() -> None:
    assert policy()["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    peers = tuple(rule(in_namespace("monitoring")).to)
    (one,) = policy(network=replace(NETWORK, metrics_from=peers))["ingress"]
    assert one["from"] == [in_namespace("monitoring")]
    assert policy()["policyTypes"] == ["Ingress", "Egress"]


def test_where_everything_is_denied_nothing_of_the_internet_is_opened() -> None:
    made = policy(network=replace(NETWORK, denied=(ip_network("0.0.0.0/0"), ip_network("::/0"))))
    assert not any(reaches(made, address, 443) for address in PUBLIC)
