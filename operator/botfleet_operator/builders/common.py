"""
Why: names, labels and ownership that all children share, and the hash by which drift is told after a restart.
Never: anything of a single kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botfleet.digest import content_digest
from botfleet.effective import EffectiveSpec
from botfleet.spec import API_VERSION, KIND
from botfleet_operator.egress import Network
from botfleet_operator.names import (
    ANNOTATION_APPLIED,
    ANNOTATION_APPLIED_TEMPLATE,
    ANNOTATION_ROLLED_OUT,
    LABEL_BOT,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    own_secret_name,
)
from botfleet_operator.podtemplate import digest_of

_NOT_HASHED = (ANNOTATION_APPLIED, ANNOTATION_APPLIED_TEMPLATE, ANNOTATION_ROLLED_OUT)


@dataclass(frozen=True, slots=True)
class Platform:
    """What the installation gives every bot."""

    image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    database_url: str = ""  # postgresql://HOST:PORT/DATABASE, without a user
    redis_url: str = ""  # redis://HOST:PORT/0, without a user
    installation_id: str = ""
    lease_term_seconds: float = 15.0
    log_level: str = "info"
    network: Network | None = None  # None: bots have no network policies


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One bot, ready to be built: nothing is missing."""

    namespace: str
    name: str
    uid: str
    spec: EffectiveSpec
    platform: Platform
    bot_id: str
    role: str
    redis_user: str
    spec_digest: str
    credentials_digest: str
    owner_digest: str
    database_password: str = field(repr=False)
    redis_password: str = field(repr=False)
    session_key: str = field(repr=False)

    @property
    def own_secret_name(self) -> str:
        """The Secret that the operator makes; all other children have the bot's name."""
        return own_secret_name(self.name)


def selector_labels(name: str) -> dict[str, str]:
    """What a Deployment selects its pods by; never changes, since it cannot be changed."""
    return {LABEL_BOT: name, LABEL_MANAGED_BY: MANAGED_BY}


def labels(name: str) -> dict[str, str]:
    """Of every child and pod (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/)."""
    return {
        **selector_labels(name),
        "app.kubernetes.io/name": "botrunner",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "runner",
        "app.kubernetes.io/part-of": "botfleet",
    }


def metadata(blueprint: Blueprint, name: str) -> dict[str, Any]:
    """Metadata of a child: its labels, and its owner, with which it goes."""
    return {
        "name": name,
        "namespace": blueprint.namespace,
        "labels": labels(blueprint.name),
        "annotations": {},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": blueprint.name,
                "uid": blueprint.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def applied_hash(manifest: dict[str, Any]) -> str:
    """Of a manifest without its own hash, nor when it was rolled out. The digest of a pod template stands for it."""
    annotations = {k: v for k, v in manifest["metadata"]["annotations"].items() if k not in _NOT_HASHED}
    content = {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}
    if manifest["kind"] == "Deployment":
        content["spec"] = {**manifest["spec"], "template": digest_of(manifest)}
    return content_digest(content)[:32]


def stamped(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the annotation that says what was applied."""
    annotations = {**manifest["metadata"]["annotations"], ANNOTATION_APPLIED: applied_hash(manifest)}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}
