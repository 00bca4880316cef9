"""
Why: the operator's own words: small records of what exists, made at the edge from what the API server sends.
Never: hold a secret's value, a message, or a whole object of Kubernetes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botfleet.conditions import Reason
from botfleet.digest import bot_account_id, credential_digest
from botfleet.spec.behaviour import prompt_mistake
from botfleet_operator.fields import Fields, our_fields
from botfleet_operator.names import (
    ANNOTATION_APPLIED,
    ANNOTATION_CREDENTIALS,
    ANNOTATION_PAUSED,
    ANNOTATION_ROTATE,
    LABEL_BOT,
    LABEL_MANAGED_BY,
    LABEL_PROMPT,
    MANAGED_BY,
)


class BotKey(NamedTuple):
    """Which TelegramBot: namespace and name."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class BotRecord:
    """A TelegramBot as the watch shows it. Spec and status are wire dictionaries: they are parsed where they are used."""

    namespace: str
    name: str
    uid: str
    version: int
    generation: int
    deleting: bool
    spec: dict[str, Any]
    status: dict[str, Any]
    finalizers: tuple[str, ...] = ()
    paused: bool = False  # the operator changes nothing of it
    rotation: str | None = None  # digest of the request for new credentials

    @property
    def key(self) -> BotKey:
        return BotKey(self.namespace, self.name)


def bot_record(body: Mapping[str, Any]) -> BotRecord:
    """Of a TelegramBot's body."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    request = annotations.get(ANNOTATION_ROTATE)
    return BotRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        spec=dict(body.get("spec") or {}),
        status=dict(body.get("status") or {}),
        finalizers=tuple(metadata.get("finalizers") or ()),
        paused=annotations.get(ANNOTATION_PAUSED) == "true",
        rotation=hashlib.sha256(request.encode()).hexdigest() if request else None,
    )


@dataclass(frozen=True, slots=True)
class NamedList:
    """A list in a pod template to which a foreign hand could add."""

    pointer: str  # JSON pointer within the pod spec
    label: str  # the same for the same list of the same container, whatever the container's index is
    key: str  # the field that tells its elements apart
    names: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """What a Deployment says about its pods."""

    observed_generation: int
    wanted: int  # spec.replicas
    replicas: int  # pods that exist
    lists: tuple[NamedList, ...]


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A child object: whose it is, what was applied, and whether that is still whole."""

    kind: str
    namespace: str
    name: str
    uid: str
    version: int
    generation: int
    bot: str | None
    controller_uid: str | None
    applied_hash: str | None
    fields: Fields | None
    deleting: bool
    deployment: DeploymentState | None = None


def child_record(kind: str, body: Mapping[str, Any]) -> ChildRecord:
    """Of a child's body, or of its metadata alone (then without a Deployment's state)."""
    metadata = body["metadata"]
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    return ChildRecord(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation") or 0),
        bot=(metadata.get("labels") or {}).get(LABEL_BOT),
        controller_uid=owner["uid"] if owner else None,
        applied_hash=(metadata.get("annotations") or {}).get(ANNOTATION_APPLIED),
        fields=our_fields(dict(metadata)),
        deleting=bool(metadata.get("deletionTimestamp")),
        deployment=_deployment_state(body) if kind == "Deployment" and "spec" in body else None,
    )


def ours(bot: BotRecord, child: ChildRecord) -> bool:
    """Made by us for exactly this object."""
    return child.controller_uid == bot.uid and (child.fields is not None or child.applied_hash is not None)


def _deployment_state(body: Mapping[str, Any]) -> DeploymentState:
    status = body.get("status") or {}
    return DeploymentState(
        observed_generation=int(status.get("observedGeneration") or 0),
        wanted=int(body["spec"].get("replicas", 1)),
        replicas=int(status.get("replicas") or 0),
        lists=named_lists(body["spec"]["template"]["spec"]),
    )


def named_lists(spec: Mapping[str, Any]) -> tuple[NamedList, ...]:
    """The lists of a pod spec, those of a container after the list of containers."""
    lists: list[NamedList] = []

    def note(pointer: str, label: str, elements: Any, key: str = "name") -> None:
        if elements:
            lists.append(NamedList(pointer, label, key, tuple(element.get(key) for element in elements)))

    note("/volumes", "volumes", spec.get("volumes"))
    for group in ("initContainers", "containers"):
        containers = spec.get(group) or ()
        note(f"/{group}", group, containers)
        for index, container in enumerate(containers):
            path, label = f"/{group}/{index}", f"{group} {container['name']}"
            note(f"{path}/env", f"{label} env", container.get("env"))
            note(f"{path}/envFrom", f"{label} envFrom", container.get("envFrom"), "prefix")
            note(f"{path}/volumeMounts", f"{label} volumeMounts", container.get("volumeMounts"), "mountPath")
    return tuple(lists)


@dataclass(frozen=True, slots=True)
class KeyView:
    """What may be known of one value of a Secret without keeping it."""

    digest: str  # under the installation's key: says "changed", tells nothing else
    credential: str  # botfleet.digest.credential_digest of the text
    account_id: int | None  # when it looks like a bot token
    is_number: bool
    is_empty: bool
    prompt_mistake: str | None  # why it could not be one


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A Secret that bots may use."""

    namespace: str
    name: str
    uid: str
    version: int
    ours: bool  # made by the operator: never accepted as a reference
    tellable: bool  # its owner says that it holds prompts, which a bot may be made to tell
    keys: dict[str, KeyView] = field(repr=False)


def secret_record(body: Mapping[str, Any], installation_key: bytes) -> SecretRecord:
    """Digests and the few public properties that decide; the values are dropped here."""
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    keys = {}
    for key, encoded in (body.get("data") or {}).items():
        keys[key] = _key_view(base64.b64decode(encoded), installation_key)
    return SecretRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        ours=labels.get(LABEL_MANAGED_BY) == MANAGED_BY,
        tellable=labels.get(LABEL_PROMPT) == "true",
        keys=keys,
    )


def _key_view(value: bytes, installation_key: bytes) -> KeyView:
    text = value.decode("utf-8", "replace").strip()
    try:
        account_id: int | None = bot_account_id(text)
    except ValueError:
        account_id = None
    return KeyView(
        digest=hmac.new(installation_key, value, hashlib.sha256).hexdigest()[:32],
        credential=credential_digest(text),
        account_id=account_id,
        is_number=text.isascii() and text.isdigit(),
        is_empty=not text,
        prompt_mistake=prompt_mistake(text),
    )


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A runner's pod: its UID is the holder of the lease, and what kubelet or scheduler complain about."""

    namespace: str
    name: str
    uid: str
    version: int
    bot: str
    deleting: bool
    running: bool  # the container runs now
    ended: bool  # the container has ended and is not running again yet
    trouble: Reason | None
    restarting: bool  # its container has ended before and has not come up again yet
    credentials: str | None  # botfleet.dev/credentials-digest of its template


_BACK_OFF, _KILLED = "CrashLoopBackOff", "OOMKilled"
_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}


def pod_record(body: Mapping[str, Any]) -> PodRecord:
    """Of a pod's body; only reasons that are enumerated are taken from it."""
    metadata, status = body["metadata"], body.get("status") or {}
    containers = status.get("containerStatuses") or ()
    states = [c.get("state") or {} for c in containers]
    waiting = {(s.get("waiting") or {}).get("reason") for s in states}
    return PodRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        bot=(metadata.get("labels") or {}).get(LABEL_BOT, ""),
        deleting=bool(metadata.get("deletionTimestamp")),
        running=bool(states) and all("running" in s for s in states),
        ended=any("terminated" in s for s in states) or _BACK_OFF in waiting,
        trouble=_trouble(status, containers, waiting),
        restarting=any(_restarting(container) for container in containers),
        credentials=(metadata.get("annotations") or {}).get(ANNOTATION_CREDENTIALS),
    )


def _trouble(status: Mapping[str, Any], containers: Sequence[Mapping[str, Any]], waiting: set[Any]) -> Reason | None:
    if waiting & _PULL:
        return Reason.IMAGE_PULL_FAILED
    if any(_how_it_ended(container) == _KILLED for container in containers):
        return Reason.OUT_OF_MEMORY
    if _BACK_OFF in waiting:
        return Reason.CRASH_LOOPING
    unplaced = any(
        c.get("type") == "PodScheduled" and c.get("status") == "False" and c.get("reason") == "Unschedulable"
        for c in status.get("conditions") or ()
    )
    return Reason.UNSCHEDULABLE if unplaced else None


def _how_it_ended(container: Mapping[str, Any]) -> str | None:
    """Of a container that has ended and has not come up again: kubelet's word for it. While it waits for its next start,
    and until that has passed its startup probe, the word is that of its last end."""
    now = (container.get("state") or {}).get("terminated")
    if now is None and _restarting(container):
        now = (container.get("lastState") or {}).get("terminated")
    return now.get("reason") if now else None


def _restarting(container: Mapping[str, Any]) -> bool:
    state = container.get("state") or {}
    if "running" in state:
        return container.get("started") is False and bool(container.get("restartCount"))
    return "terminated" in state or (state.get("waiting") or {}).get("reason") == _BACK_OFF
