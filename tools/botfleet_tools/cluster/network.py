"""The one link between the host and a cluster: a pair of interfaces with four addresses that nothing else uses.

The cluster gets no default route, so nothing in it can reach further than the host. Pod and service addresses exist inside
the cluster's network namespace only; the host has no route to them.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from botfleet_tools.cluster.names import ClusterError
from botfleet_tools.run import CommandFailedError, capture

COMMAND_SECONDS = 15.0
CLUSTERS = 32
NODE_INTERFACE = "eth0"
_LINKS = ("10.89.{index}.0/30", "172.29.{index}.0/30", "192.168.{index}.240/30")
_DEFAULT = ipaddress.IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Network:
    """The addresses of one cluster."""

    index: int
    host_ip: str
    node_ip: str
    pods: str
    services: str

    @property
    def dns_ip(self) -> str:
        """The address of the Service kube-dns."""
        return str(ipaddress.IPv4Network(self.services)[10])

    @property
    def api_ip(self) -> str:
        """The address of the Service kubernetes."""
        return str(ipaddress.IPv4Network(self.services)[1])


def candidates() -> Iterator[tuple[ipaddress.IPv4Network, Network]]:
    """Every link that a cluster may get, in the order of preference, with the network that comes with it."""
    for pattern in _LINKS:
        for index in range(CLUSTERS):
            link = ipaddress.IPv4Network(pattern.format(index=index))
            host, node = (str(address) for address in link.hosts())
            yield link, Network(index, host, node, pods=f"10.{128 + index}.0.0/16", services=f"10.{160 + index}.0.0/16")


def choose(used: Iterable[str], taken: Iterable[Network]) -> Network:
    """The first network whose link overlaps no route or address of the host and that no other cluster was given.

    Raises ClusterError when there is none.
    """
    routes = [route for text in used if (route := ipaddress.IPv4Network(text, strict=False)) != _DEFAULT]
    others = list(taken)
    for link, network in candidates():
        free = not any(link.overlaps(route) for route in routes)
        if free and all(other.index != network.index and other.node_ip != network.node_ip for other in others):
            return network
    raise ClusterError("no free addresses for the link to the cluster: remove clusters that are not needed any more")


def host_networks() -> list[str]:
    """The host's IPv4 addresses and routes."""
    routes = json.loads(
        capture(["ip", "-json", "-4", "route", "show", "table", "all"], deadline_seconds=COMMAND_SECONDS)
    )
    used = [route["dst"] for route in routes if route.get("dst", "default") != "default"]
    links = json.loads(capture(["ip", "-json", "-4", "address", "show"], deadline_seconds=COMMAND_SECONDS))
    for link in links:
        used += [f"{address['local']}/{address['prefixlen']}" for address in link.get("addr_info", ())]
    return used


def connect(interface: str, network: Network, pid: int) -> None:
    """Link the host to the network namespace of process ``pid``."""
    peer = ["peer", "name", NODE_INTERFACE, "netns", str(pid)]
    _ip("link", "add", interface, "type", "veth", *peer)
    _ip("address", "add", f"{network.host_ip}/30", "dev", interface)
    _ip("link", "set", interface, "up")
    inside = ("nsenter", "--target", str(pid), "--net", "ip")
    for argv in (
        ("link", "set", "lo", "up"),
        ("address", "add", f"{network.node_ip}/30", "dev", NODE_INTERFACE),
        ("link", "set", NODE_INTERFACE, "up"),
    ):
        capture([*inside, *argv], deadline_seconds=COMMAND_SECONDS)


def disconnect(interface: str) -> None:
    """Remove the host's end of the link; the other end goes with it."""
    try:
        if exists(interface):
            _ip("link", "delete", interface)
    except CommandFailedError:
        # The kernel removes it by itself, a moment after the cluster's last process; it may have been quicker.
        if exists(interface):
            raise


def exists(interface: str) -> bool:
    """Whether the host has this interface."""
    return (Path("/sys/class/net") / interface).exists()


def _ip(*argv: str) -> None:
    capture(["ip", *argv], deadline_seconds=COMMAND_SECONDS)
