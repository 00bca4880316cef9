"""
Why: makes the generated Secrets of an installation inside the cluster, once; the chart's Job runs it.
Never: change or replace a Secret that is there, or print a value: a new installation key would lose every bot's session.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
import yaml

from botfleet.keys import new_installation_key
from botfleet_operator import logs
from botfleet_operator.kubeapi import SECRETS, ConflictError, Credentials, KubeApi, KubeError

log = structlog.get_logger("botfleet.bootstrap")

_PREFIX = "BOTFLEET_BOOTSTRAP_"
# What the operator does in Redis; it needs no key of anybody's.
_REDIS_COMMANDS = (
    "acl|setuser", "acl|deluser", "acl|list", "info", "ping", "hello", "auth", "client|setname", "quit",
)  # fmt: skip


class BootstrapError(Exception):
    """A Secret cannot be made or is not whole; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A Secret to be made if it is absent."""

    name: str
    values: dict[str, str] = field(repr=False)


def wanted(environment: Mapping[str, str]) -> list[Wanted]:
    """The Secrets that the environment names, with fresh values."""
    result: list[Wanted] = []
    if name := environment.get(f"{_PREFIX}INSTALLATION_KEY_SECRET"):
        key = base64.urlsafe_b64encode(new_installation_key()).decode().rstrip("=")
        result.append(Wanted(name, {"installation-key": key}))
    if name := environment.get(f"{_PREFIX}POSTGRES_SECRET"):
        names = ("superuser-password", "owner-password", "operator-password")
        result.append(Wanted(name, {key: secrets.token_urlsafe(32) for key in names}))
    if name := environment.get(f"{_PREFIX}REDIS_SECRET"):
        password = secrets.token_urlsafe(32)
        user = environment.get(f"{_PREFIX}REDIS_USER") or "botfleet_operator"
        result.append(Wanted(name, {"operator-password": password, "users.acl": users_acl(user, password)}))
    return result


def users_acl(user: str, password: str) -> str:
    """The access list that Redis starts with: nobody by default, the operator for users only."""
    commands = " ".join(f"+{command}" for command in _REDIS_COMMANDS)
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user default off\nuser {user} on #{digest} resetchannels -@all {commands}\n"


def manifest(want: Wanted, namespace: str, labels: Mapping[str, str]) -> dict[str, object]:
    """The Secret. Neither Helm nor Argo CD made it, and neither may take it away."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": want.name,
            "namespace": namespace,
            "labels": dict(labels),
            "annotations": {
                "helm.sh/resource-policy": "keep",
                "argocd.argoproj.io/sync-options": "Prune=false",
                "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
            },
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in want.values.items()},
    }


async def bootstrap(api: KubeApi, namespace: str, wants: list[Wanted], labels: Mapping[str, str]) -> list[str]:
    """Makes what is absent; returns the names of the Secrets that were made.

    Raises:
        BootstrapError: one is there without a key that it needs. KubeError: ask again.
    """
    made = []
    for want in wants:
        try:
            await api.create(SECRETS, namespace, manifest(want, namespace, labels))
        except ConflictError:
            await _check(api, namespace, want)
            log.info("secret_kept", name=want.name)
            continue
        made.append(want.name)
        log.info("secret_made", name=want.name, keys=sorted(want.values))
    return made


async def _check(api: KubeApi, namespace: str, want: Wanted) -> None:
    found = await api.get(SECRETS, namespace, want.name)
    missing = sorted(set(want.values) - set((found or {}).get("data") or {}))
    if missing:
        raise BootstrapError(
            f"Secret {want.name} is there but has no {', '.join(missing)}. It is not changed: restore it from the backup, "
            "or, if no bot was ever made with it, delete it and run this Job again."
        )


async def run(environment: Mapping[str, str]) -> None:
    """The whole Job."""
    namespace = environment.get("BOTFLEET_OWN_NAMESPACE")
    if not namespace:
        raise BootstrapError("Set BOTFLEET_OWN_NAMESPACE to the namespace of the installation.")
    labels = yaml.safe_load(environment.get(f"{_PREFIX}LABELS") or "{}") or {}
    api = KubeApi(Credentials())
    try:
        await bootstrap(api, namespace, wanted(environment), {str(k): str(v) for k, v in labels.items()})
    finally:
        await api.close()


def main() -> None:
    """What the console script `botfleet-bootstrap` runs."""
    logs.configure(os.environ.get("BOTFLEET_LOG_FORMAT", "json"), os.environ.get("BOTFLEET_LOG_LEVEL", "info"))
    try:
        asyncio.run(run(os.environ))
    except (BootstrapError, KubeError) as error:
        log.error("bootstrap_failed", error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
