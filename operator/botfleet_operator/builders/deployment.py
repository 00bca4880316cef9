"""
Why: one bot is one Deployment with one runner. The lease, not the strategy, keeps the account single.
Never: a secret in an environment variable, a token of Kubernetes, or a container that could become root.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from botfleet_operator.builders.common import Blueprint, labels, metadata, selector_labels
from botfleet_operator.names import ANNOTATION_CREDENTIALS, ANNOTATION_SPEC
from botfleet_operator.podtemplate import recorded
from botfleet_operator.references import needs

CONTAINER = "runner"
HEALTH_PORT = 8080
USER = 65532
GRACE_BEYOND_MODEL_SECONDS = 10

_CONFIG, _SECRETS, _OWN = "/etc/botfleet", "/run/botfleet/secrets", "/run/botfleet/own"
_READABLE_BY_GROUP = 0o440
_DEFAULT_RESOURCES = {"requests": {"cpu": "20m", "memory": "160Mi"}, "limits": {"memory": "384Mi"}}


def build(blueprint: Blueprint) -> dict[str, Any]:
    """The Deployment; suspended: with no replica."""
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(blueprint, blueprint.name),
        "spec": {
            "replicas": 0 if blueprint.spec.suspend else 1,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": selector_labels(blueprint.name)},
            # With Recreate a pod that hangs Terminating on a lost node blocks every later change.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {
                "metadata": {
                    "labels": labels(blueprint.name),
                    "annotations": {
                        "kubectl.kubernetes.io/default-container": CONTAINER,
                        ANNOTATION_SPEC: blueprint.spec_digest,
                        ANNOTATION_CREDENTIALS: blueprint.credentials_digest,
                    },
                },
                "spec": _pod(blueprint),
            },
        },
    }
    return recorded(manifest, blueprint.owner_digest)


def _pod(blueprint: Blueprint) -> dict[str, Any]:
    workload = blueprint.spec.workload.to_wire()
    pod: dict[str, Any] = {
        "serviceAccountName": blueprint.name,
        "serviceAccount": blueprint.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": blueprint.spec.model.longest_call_seconds + GRACE_BEYOND_MODEL_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [
            *(_gone_node(key) for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")),
            *workload.get("tolerations", ()),
        ],
        "containers": [_container(blueprint, workload)],
        "volumes": _volumes(blueprint),
    }
    if blueprint.platform.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in blueprint.platform.image_pull_secrets]
    for field in ("nodeSelector", "affinity", "priorityClassName", "runtimeClassName"):
        if workload.get(field):
            pod[field] = workload[field]
    return pod


def _gone_node(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}


def _container(blueprint: Blueprint, workload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": workload.get("image") or blueprint.platform.image,
        "imagePullPolicy": blueprint.platform.image_pull_policy,
        "args": ["run", "-f", f"{_CONFIG}/bot.yaml"],
        "env": _environment(blueprint),
        "ports": [{"name": "http", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        "resources": workload.get("resources") or _DEFAULT_RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": _probe("/livez", period=1, failures=120),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=2, failures=3),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "config", "mountPath": _CONFIG, "readOnly": True},
            {"name": "secrets", "mountPath": _SECRETS, "readOnly": True},
            {"name": "own", "mountPath": _OWN, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- a volume of the pod's own
        ],
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "successThreshold": 1,
        "failureThreshold": failures,
    }


def _environment(blueprint: Blueprint) -> list[dict[str, Any]]:
    platform = blueprint.platform
    values = {
        "BOTFLEET_DATABASE_URL": with_user(platform.database_url, blueprint.role),
        "BOTFLEET_REDIS_URL": with_user(platform.redis_url, blueprint.redis_user),
        "BOTFLEET_OWN_DIR": _OWN,
        "BOTFLEET_SECRETS_DIR": _SECRETS,
        "BOTFLEET_BUS_PREFIX": f"bf:{platform.installation_id}:{blueprint.bot_id}:",
        "BOTFLEET_HEALTH_ADDRESS": f"0.0.0.0:{HEALTH_PORT}",
        "BOTFLEET_LEASE_TERM_SECONDS": f"{platform.lease_term_seconds:g}",
        "BOTFLEET_LOG_FORMAT": "json",
        "BOTFLEET_LOG_LEVEL": platform.log_level,
    }
    holder = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        {"name": "BOTFLEET_HOLDER", "valueFrom": holder},
    ]


def with_user(url: str, user: str) -> str:
    """The URL with this user and no password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))


def _volumes(blueprint: Blueprint) -> list[dict[str, Any]]:
    return [
        {"name": "config", "configMap": {"name": blueprint.name, "defaultMode": 0o444}},
        {
            "name": "secrets",
            "projected": {"defaultMode": _READABLE_BY_GROUP, "sources": _sources(blueprint)},
        },
        {"name": "own", "secret": {"secretName": blueprint.own_secret_name, "defaultMode": _READABLE_BY_GROUP}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]


def _sources(blueprint: Blueprint) -> list[dict[str, Any]]:
    """The owner's Secrets, only the keys that the spec names, as <secret>/<key>."""
    keys: dict[str, list[str]] = {}
    for need in needs(blueprint.spec):
        if need.key not in keys.setdefault(need.secret, []):
            keys[need.secret].append(need.key)
    return [
        {
            "secret": {
                "name": name,
                "items": [{"key": key, "path": f"{name}/{key}"} for key in sorted(keys[name])],
            }
        }
        for name in sorted(keys)
    ]
