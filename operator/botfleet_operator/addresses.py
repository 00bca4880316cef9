"""
Why: which addresses are public, and which no bot may reach whatever its spec says. Sources: the registries of special-purpose
addresses (https://www.iana.org/assignments/iana-ipv4-special-registry, …-ipv6-special-registry) and the clouds' documentation.
Never: a name; a NetworkPolicy knows numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from botfleet.spec.network import Block, lies_within

_ALL_IPV4 = IPv4Network("0.0.0.0/0")
# Everything that is given out for the Internet. Loopback (::1), IPv4-mapped (::ffff:0:0/96), translated (64:ff9b::/96), private
# (fc00::/7), link-local (fe80::/10) and multicast addresses lie outside of it.
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_PRIVATE_IPV6 = IPv6Network("fc00::/7")
_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64: the last 32 bits are an IPv4 address (RFC 6052)

_NEVER_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, with nearly every cloud's metadata
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # Azure's host: its wire server, in public space
        "192.0.0.192/32",  # metadata of Oracle Cloud's first generation
        "224.0.0.0/4",
        "255.255.255.255/32",
    )
)
_NEVER_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        # Metadata and identities: AWS, Google Cloud, Oracle Cloud, Akamai, Scaleway.
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "fd00:c1::a9fe:a9fe/128",
        "fd00:a9fe:a9fe::1/128",
        "fd00:42::42/128",
        "2002::/16",  # 6to4 and Teredo hold an IPv4 address each
        "2001::/32",
    )
)
_PRIVATE_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers; also the pods and nodes of some clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "240.0.0.0/4",
    )
)


@lru_cache(maxsize=8)  # the same for every bot, until the API server moves
def public(denied: tuple[Block, ...]) -> tuple[tuple[Block, tuple[Block, ...]], ...]:
    """The Internet: blocks, each with what is left out of it."""
    left_out = [*_PRIVATE_IPV4, *never(denied)]
    found = ((block, tuple(within(left_out, block))) for block in (_ALL_IPV4, _GLOBAL_IPV6))
    return tuple((block, excepts) for block, excepts in found if block not in excepts)


def never(denied: Iterable[Block]) -> list[Block]:
    """What no bot may reach: metadata services, link-local and loopback addresses, and what the installation denies (the API
    server's addresses among it)."""
    ipv4: list[Block] = [*_NEVER_IPV4]
    ipv6: list[Block] = [*_NEVER_IPV6]
    for block in denied:
        (ipv4 if block.version == 4 else ipv6).append(block)
    return [*ipv4, *ipv6, *(_translated(block) for block in ipv4 if isinstance(block, IPv4Network))]


def out_of_reach(block: Block, denied: Iterable[Block]) -> str | None:
    """Why no bot may reach this block at all, in words for a condition; None: it may, without what `never` says."""
    if isinstance(block, IPv6Network) and not any(
        lies_within(block, whole) for whole in (_GLOBAL_IPV6, _PRIVATE_IPV6, _TRANSLATED)
    ):
        return f"what lies outside of {_GLOBAL_IPV6}, {_PRIVATE_IPV6} and {_TRANSLATED}"
    return next((str(one) for one in never(denied) if lies_within(block, one)), None)


def within(blocks: Iterable[Block], whole: Block) -> list[Block]:
    """Those that lie within `whole` (or are it, or hold it), in order, none twice and none that lies in another one."""
    inside = {whole if lies_within(whole, block) else block for block in blocks if block.overlaps(whole)}
    return sorted(
        (block for block in inside if not any(block != other and lies_within(block, other) for other in inside)),
        key=lambda block: (int(block.network_address), block.prefixlen),
    )


def is_reached_as_public(host: str) -> bool:
    """Whether a host of a URL may be somewhere in the Internet: not when it is a private address or a name of the cluster."""
    try:
        address = ip_network(ip_address(host.strip("[]")))
    except ValueError:
        name = host.rstrip(".").lower()
        return "." in name and not name.endswith((".svc", ".local", ".internal")) and ".svc." not in name
    return any(
        lies_within(address, block) and not any(lies_within(address, one) for one in excepts)
        for block, excepts in public(())
    )


def _translated(block: IPv4Network) -> IPv6Network:
    start = int(_TRANSLATED.network_address) + int(block.network_address)
    return IPv6Network((start, 96 + block.prefixlen))
