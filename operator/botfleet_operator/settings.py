"""
Why: every setting of the operator in one typed object, documented where it is defined; docs are generated from it.
Never: hold a password (those are read from files), or be changed after the start.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from botfleet.bus.address import check_database
from botfleet.defaults import check_defaults
from botfleet.spec.network import EgressRule, Peer
from botfleet_operator.placement import Placement, placement
from botfleet_operator.rollout import Limits

PREFIX = "BOTFLEET_"
LONGEST_LEASE_SECONDS = 120.0
_IN_YAML = ", ".join(
    PREFIX + name for name in ("BOT_DEFAULTS", "NETWORK_SERVERS", "NETWORK_ALLOWED_EGRESS", "NETWORK_METRICS_FROM")
)


class SettingsError(Exception):
    """An environment variable is missing or makes no sense; the message names it."""


class Settings(BaseModel):
    """The operator's settings. Each is the environment variable BOTFLEET_<NAME IN CAPITALS>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespaces: Annotated[
        tuple[str, ...],
        Field(description="Namespaces to watch, separated by commas; empty: the whole cluster (needs ClusterRoles)."),
    ] = ()
    own_namespace: Annotated[str, Field(description="Namespace of the operator's pod, where its Lease lives.")] = (
        "default"
    )
    pod_uid: Annotated[
        str, Field(description="UID of the operator's pod (downward API); a restarted container leads again at once.")
    ] = ""
    lease_name: Annotated[str, Field(description="Name of the Lease that elects the leader.")] = "botfleet-operator"
    leader_lease_seconds: Annotated[
        float, Field(ge=1, le=60, description="A leader that did not renew for so long may be replaced.")
    ] = 15.0

    database_url: Annotated[
        str, Field(description="postgresql://USER@HOST:PORT/DATABASE of the operator's role, without a password.")
    ]
    database_password_file: Annotated[Path, Field(description="File with that role's password.")]
    redis_url: Annotated[str, Field(description="redis://USER@HOST:PORT/0 of the operator's user, no password.")]
    redis_password_file: Annotated[Path, Field(description="File with that user's password.")]
    runner_database_url: Annotated[
        str, Field(description="postgresql://HOST:PORT/DATABASE as bots reach it; empty: as the operator does.")
    ] = ""
    runner_redis_url: Annotated[
        str, Field(description="redis://HOST:PORT/0 as bots reach it; empty: as the operator does.")
    ] = ""
    installation_key_file: Annotated[
        Path, Field(description="File with the installation key, from which all bots' credentials are derived.")
    ]

    runner_image: Annotated[str, Field(min_length=1, description="Image of the runners, unless a bot pins its own.")]
    runner_image_pull_policy: Annotated[
        str, Field(pattern="^(Always|IfNotPresent|Never)$", description="imagePullPolicy of the runners.")
    ] = "IfNotPresent"
    runner_image_pull_secrets: Annotated[
        tuple[str, ...], Field(description="Names of imagePullSecrets, which exist in the bots' namespaces.")
    ] = ()
    runner_lease_term_seconds: Annotated[
        float, Field(ge=1, le=LONGEST_LEASE_SECONDS, description="Term of a runner's lease on its account.")
    ] = 15.0
    runner_log_level: Annotated[str, Field(description="BOTFLEET_LOG_LEVEL of the runners.")] = "info"
    bot_defaults: Annotated[
        dict[str, Any],
        Field(
            description="Defaults of the cluster for what a TelegramBot's spec does not say (YAML or JSON, as spec)."
        ),
    ] = {}
    allowed_images: Annotated[
        tuple[str, ...],
        Field(
            description="Images that bots may name beside the installation's own, separated by commas: a repository (with"
            " any tag and digest), one image by its tag or digest, or a prefix that ends in `/`; `*`: any."
        ),
    ] = ()
    allowed_model_endpoints: Annotated[
        tuple[str, ...],
        Field(
            description="Model endpoints that bots may use beside those of the defaults, separated by commas: a host (https)"
            " or a URL, and all below it; `*`: any. Empty, and none in the defaults: OpenAI's own."
        ),
    ] = ()
    allowed_node_selectors: Annotated[
        tuple[str, ...],
        Field(
            description="Node labels that bots may select beside those of the defaults, separated by commas: `key=value`, or a key"
            " with any value; `*`: any, and leaving out those of the defaults."
        ),
    ] = ()
    allowed_tolerations: Annotated[
        tuple[str, ...],
        Field(
            description="Taints that bots may tolerate beside those that the defaults do, separated by commas: `key=value`, or a key"
            " with any value; `*`: any."
        ),
    ] = ()
    allowed_affinities: Annotated[
        tuple[str, ...],
        Field(
            description="Parts of an affinity that bots may have otherwise than the defaults, separated by commas: nodeAffinity,"
            " podAffinity, podAntiAffinity; `*`: any."
        ),
    ] = ()
    allowed_priority_classes: Annotated[
        tuple[str, ...],
        Field(
            description="PriorityClasses that bots may name beside that of the defaults, separated by commas; `*`: any."
        ),
    ] = ()
    allowed_runtime_classes: Annotated[
        tuple[str, ...],
        Field(
            description="RuntimeClasses that bots may name beside that of the defaults, separated by commas; `*`: any."
        ),
    ] = ()

    network_policies: Annotated[
        bool, Field(description="Make a NetworkPolicy for each bot. Without it those that were made are removed.")
    ] = False
    network_servers: Annotated[
        tuple[EgressRule, ...],
        Field(
            description="What every bot must reach, PostgreSQL and Redis: egress rules of a NetworkPolicy, as YAML or JSON."
        ),
    ] = ()
    network_allowed_egress: Annotated[
        tuple[EgressRule, ...],
        Field(
            description="Egress rules within which spec.network.egress of a bot must lie; that of the bot defaults always does."
        ),
    ] = ()
    network_denied_addresses: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Field(
            description="Blocks of addresses, separated by commas, that no bot reaches, beside metadata services, link-local and"
            " loopback addresses and the API server."
        ),
    ] = ()
    network_metrics_from: Annotated[
        tuple[Peer, ...],
        Field(
            description="Who may reach the bots' metrics: peers of a NetworkPolicy, as YAML or JSON. Empty: anybody."
        ),
    ] = ()
    rollout_wave_size: Annotated[
        str,
        Field(
            pattern=r"^([1-9][0-9]{0,4}|([1-9][0-9]?|100)%)$",
            description="How many bots get a new pod template of the installation at once: a number, or a share as 10%.",
        ),
    ] = "10%"
    rollout_pause_seconds: Annotated[
        float, Field(ge=0, le=86400, description="From the end of one wave to the beginning of the next.")
    ] = 30.0
    rollout_timeout_seconds: Annotated[
        float,
        Field(ge=1, le=86400, description="A bot of a wave that is not Ready after so long stops the roll-out."),
    ] = 300.0

    workers: Annotated[int, Field(ge=1, le=256, description="How many bots are reconciled at once.")] = 16
    resync_seconds: Annotated[
        float, Field(ge=1, description="Every bot is looked at again about this often, jittered; it is only a net.")
    ] = 600.0
    sweep_seconds: Annotated[
        float, Field(ge=0.1, description="How often roles and users of bots that are gone are looked for.")
    ] = 60.0
    heartbeat_seconds: Annotated[
        float, Field(ge=1, description="A runner without news for so long is reported as NoHeartbeat.")
    ] = 60.0
    health_poll_seconds: Annotated[float, Field(gt=0, description="How often changed health is read.")] = 1.0
    api_timeout_seconds: Annotated[float, Field(gt=0, description="Deadline of a call to the API server.")] = 15.0
    watch_idle_seconds: Annotated[
        float, Field(gt=0, description="A watch that is silent for so long (no bookmark either) is opened anew.")
    ] = 75.0
    store_timeout_seconds: Annotated[float, Field(gt=0, description="Deadline of a call to PostgreSQL or Redis.")] = (
        10.0
    )
    start_deadline_seconds: Annotated[
        float, Field(gt=0, description="How long the start waits for database, migrations and CRD before it fails.")
    ] = 600.0

    http_address: Annotated[str, Field(description="Where /livez, /readyz and /metrics are served.")] = "0.0.0.0:8081"
    log_format: Annotated[str, Field(pattern="^(json|console)$", description="json, or console for a terminal.")] = (
        "json"
    )
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$", description="Least level logged.")] = "info"

    @field_validator(
        "namespaces",
        "runner_image_pull_secrets",
        "allowed_images",
        "allowed_model_endpoints",
        "allowed_node_selectors",
        "allowed_tolerations",
        "allowed_affinities",
        "allowed_priority_classes",
        "allowed_runtime_classes",
        "network_denied_addresses",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("redis_url", "runner_redis_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        check_database(value)
        return value

    @field_validator("bot_defaults", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        return (yaml.safe_load(value) or {}) if isinstance(value, str) else value

    @field_validator("network_servers", "network_allowed_egress", "network_metrics_from", mode="before")
    @classmethod
    def _parse_list(cls, value: Any) -> Any:
        return (yaml.safe_load(value) or ()) if isinstance(value, str) else value

    @field_validator("bot_defaults")
    @classmethod
    def _check(cls, value: dict[str, Any]) -> dict[str, Any]:
        # Here, and not in every bot: with wrong defaults no bot could be accepted.
        try:
            return check_defaults(value)
        except ValidationError as error:
            said = (f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
            raise ValueError(f"no defaults for a TelegramBot's spec: {'; '.join(said)}") from None

    @property
    def rollout_limits(self) -> Limits:
        """The three of `rollout_*`."""
        pause, timeout = timedelta(seconds=self.rollout_pause_seconds), timedelta(seconds=self.rollout_timeout_seconds)
        return Limits(self.rollout_wave_size, pause, timeout)

    @property
    def placement(self) -> Placement:
        """Where bots may run: the lists, and what the defaults say."""
        lists = {
            "nodeSelector": self.allowed_node_selectors,
            "tolerations": self.allowed_tolerations,
            "affinity": self.allowed_affinities,
            "priorityClassName": self.allowed_priority_classes,
            "runtimeClassName": self.allowed_runtime_classes,
        }
        return placement(lists, self.bot_defaults)

    @property
    def identity(self) -> str:
        """Who this replica is in leader election: the pod's UID, or something that no other process has."""
        return self.pod_uid or f"{socket.gethostname()}-{os.urandom(4).hex()}"


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: names the variable and what is wrong with it.
    """
    given = os.environ if environment is None else environment
    values = {name: given[variable] for name in Settings.model_fields if (variable := PREFIX + name.upper()) in given}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        said = "; ".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"The environment is not as it should be: {said}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"One of {_IN_YAML} is no YAML: {error}") from error
