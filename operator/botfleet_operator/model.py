"""
Why: the operator's own words: small records of what exists, made at the edge from what the API server sends.
Never: hold a secret's value, a message, or a whole object of Kubernetes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botfleet.conditions import Reason
from botfleet.digest import bot_account_id, credential_digest
from botfleet.spec.behaviour import prompt_mistake
from botfleet_operator.fields import Fields, our_fields
from botfleet_operator.names import (
    ANNOTATION_APPLIED,
    ANNOTATION_CREDENTIALS,
    ANNOTATION_PAUSED,
    ANNOTATION_ROLLED_OUT,
    ANNOTATION_ROTATE,
    ANNOTATION_TEMPLATE,
    LABEL_BOT,
    LABEL_MANAGED_BY,
    LABEL_PROMPT,
    MANAGED_BY,
    RESTARTED,
)
from botfleet_operator.podtemplate import NamedList, TemplateRecord, named_lists, template_record


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
        status=_status(body.get("status") or {}),
        finalizers=tuple(metadata.get("finalizers") or ()),
        paused=annotations.get(ANNOTATION_PAUSED) == "true",
        rotation=hashlib.sha256(request.encode()).hexdigest() if request else None,
    )


def _status(written: Mapping[str, Any]) -> dict[str, Any]:
    """As it is; of words that all bots have in their conditions there is one copy in memory."""
    status = dict(written)
    if "conditions" in status:
        status["conditions"] = [
            {key: sys.intern(value) if type(value) is str else value for key, value in condition.items()}
            for condition in status["conditions"] or ()
        ]
    return status


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """What a Deployment says about its pods."""

    observed_generation: int
    wanted: int  # spec.replicas
    replicas: int  # pods that exist
    lists: tuple[NamedList, ...]
    restarted_at: datetime | None = None  # by `kubectl rollout restart`


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
    _: KW_ONLY
    deployment: DeploymentState | None = None
    template: TemplateRecord | None = None  # of a Deployment: the pod template as it was applied
    owned: bool = True  # by something: when that goes, Kubernetes collects the child
    rolled_out: str = ""  # of a Deployment: when a wave that waits for the bot brought it


def child_record(kind: str, body: Mapping[str, Any]) -> ChildRecord:
    """Of a child's body, or of its metadata alone (then without a Deployment's state)."""
    metadata = body["metadata"]
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    annotations, fields = metadata.get("annotations") or {}, our_fields(dict(metadata))
    state = _deployment_state(body) if kind == "Deployment" and "spec" in body else None
    return ChildRecord(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation") or 0),
        bot=(metadata.get("labels") or {}).get(LABEL_BOT),
        controller_uid=owner["uid"] if owner else None,
        owned=bool(metadata.get("ownerReferences")),
        applied_hash=annotations.get(ANNOTATION_APPLIED),
        fields=fields,
        deleting=bool(metadata.get("deletionTimestamp")),
        deployment=state,
        template=template_record(annotations, fields, state.lists if state else ()),
        rolled_out=annotations.get(ANNOTATION_ROLLED_OUT, ""),
    )


def ours(bot: BotRecord, child: ChildRecord) -> bool:
    """Made by us for exactly this object."""
    return child.controller_uid == bot.uid and (child.fields is not None or child.applied_hash is not None)


def unowned(child: ChildRecord) -> bool:
    """Made by us, and somebody took the reference to its owner away: nobody collects it."""
    return child.fields is not None and not child.owned


def _deployment_state(body: Mapping[str, Any]) -> DeploymentState:
    status, template = body.get("status") or {}, body["spec"]["template"]
    restarted = ((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED)
    return DeploymentState(
        observed_generation=int(status.get("observedGeneration") or 0),
        wanted=int(body["spec"].get("replicas", 1)),
        replicas=int(status.get("replicas") or 0),
        lists=named_lists(template["spec"]),
        restarted_at=moment(restarted),
    )


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
    template: str | None = None  # botfleet.dev/template-digest of its template


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
        template=(metadata.get("annotations") or {}).get(ANNOTATION_TEMPLATE),
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


def moment(text: object) -> datetime | None:
    """Of an RFC 3339 time that somebody else wrote; None when it is none."""
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
