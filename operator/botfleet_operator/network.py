"""
Why: what the bots' network policies are made of beside a bot's own spec: settings, and the API server's addresses, which no bot
reaches: the one that the operator itself uses (in a pod that of the Service), and those behind the Service.
Never: fail because they cannot be read; without the right the administrator names them (networkPolicies.bots.deniedAddresses).
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import structlog

from botfleet.spec.network import Block, EgressRule
from botfleet_operator.egress import Network
from botfleet_operator.kubeapi import ENDPOINT_SLICES, ForbiddenError, KubeApi, KubeError
from botfleet_operator.observe import Setting
from botfleet_operator.settings import Settings

log = structlog.get_logger("botfleet.operator.network")

_NAMESPACE, _NAME = "default", "kubernetes"  # where every API server publishes itself


async def network_of(settings: Settings, api: KubeApi) -> Network | None:
    """What the policies of all bots share as of now; None: they have none.

    Raises:
        KubeError: ask again later.
    """
    if not settings.network_policies:
        return None
    # Who writes the defaults of the cluster is who says what is allowed.
    of_defaults = (settings.bot_defaults.get("network") or {}).get("egress") or ()
    return Network(
        servers=settings.network_servers,
        allowed=(*settings.network_allowed_egress, *(EgressRule.model_validate(rule) for rule in of_defaults)),
        denied=(*settings.network_denied_addresses, *await addresses(api)),
        metrics_from=settings.network_metrics_from,
    )


async def renewed(setting: Setting, settings: Settings, api: KubeApi) -> Setting:
    """The same with the API server's addresses as they are now; as it was when they cannot be read."""
    try:
        network = await network_of(settings, api)
    except KubeError as error:
        log.warning("addresses_of_api_server_not_read", error=str(error))
        return setting
    return replace(setting, platform=replace(setting.platform, network=network))


async def addresses(api: KubeApi) -> tuple[Block, ...]:
    """Each address of the API server that is known, as a block of one.

    Raises:
        KubeError: ask again later.
    """
    found = {urlsplit(api.server).hostname or ""}
    try:
        slice_ = await api.get(ENDPOINT_SLICES, _NAMESPACE, _NAME)
    except ForbiddenError:
        log.info("addresses_of_api_server_not_readable", known=len(found))
    else:
        found.update(_listed(slice_ or {}))
    return tuple(sorted((block for text in found if (block := _block(text)) is not None), key=str))


def _listed(slice_: dict[str, Any]) -> set[str]:
    return {str(address) for endpoint in slice_.get("endpoints") or () for address in endpoint.get("addresses") or ()}


def _block(text: str) -> Block | None:
    try:
        return ip_network(ip_address(text))
    except ValueError:
        return None  # a name
