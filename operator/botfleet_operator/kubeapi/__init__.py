"""
Why: everything that is spoken with the API server outside kopf's own watch goes through this package.
Never: know what a TelegramBot is.
"""

from botfleet_operator.kubeapi.client import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    KubeApi,
    Page,
    WatchEvent,
    same,
)
from botfleet_operator.kubeapi.credentials import Credentials, connection_info
from botfleet_operator.kubeapi.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    NotLeadingError,
    OverloadedError,
    ServerSideError,
    UnauthorizedError,
    UnreachableError,
)
from botfleet_operator.kubeapi.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    LEASES,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from botfleet_operator.kubeapi.transport import FIELD_MANAGER

__all__ = [
    "APPLY_PATCH",
    "CONFIG_MAPS",
    "DEPLOYMENTS",
    "ENDPOINT_SLICES",
    "EVENTS",
    "FIELD_MANAGER",
    "JSON_PATCH",
    "LEASES",
    "MERGE_PATCH",
    "NAMESPACES",
    "NETWORK_POLICIES",
    "PODS",
    "SECRETS",
    "SERVICE_ACCOUNTS",
    "ConflictError",
    "Credentials",
    "ForbiddenError",
    "GoneError",
    "InvalidError",
    "KubeApi",
    "KubeError",
    "NotFoundError",
    "NotLeadingError",
    "OverloadedError",
    "Page",
    "Resource",
    "ServerSideError",
    "UnauthorizedError",
    "UnreachableError",
    "WatchEvent",
    "connection_info",
    "same",
]
