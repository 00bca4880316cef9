"""
Why: a Deployment remembers the pod template that was applied to it, so that one that is held back is repaired to that and not
brought forward to another (rollout.py). It is in an annotation: what follows from the cluster needs no memory.
Never: believe an annotation that somebody else has written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from botfleet.digest import canonical, content_digest
from botfleet_operator.fields import Fields, covers_part
from botfleet_operator.names import (
    ANNOTATION_APPLIED_TEMPLATE,
    ANNOTATION_CREDENTIALS,
    ANNOTATION_OWNER,
    ANNOTATION_SPEC,
    ANNOTATION_TEMPLATE,
)


@dataclass(frozen=True, slots=True)
class NamedList:
    """A list in a pod template to which a foreign hand could add."""

    pointer: str  # JSON pointer within the pod spec
    label: str  # the same for the same list of the same container, whatever the container's index is
    key: str  # the field that tells its elements apart
    names: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class TemplateRecord:
    """The pod template that was applied, as far as decisions need it."""

    digest: str
    owner: str  # what of it comes from the bot's owner
    spec_digest: str
    credentials: str
    lists: tuple[NamedList, ...]
    whole: bool  # nobody has changed a field of it since


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


def recorded(manifest: dict[str, Any], owner: str) -> dict[str, Any]:
    """The manifest of a Deployment with what `template_record` reads."""
    template = manifest["spec"]["template"]
    annotations = {**template["metadata"]["annotations"], ANNOTATION_TEMPLATE: content_digest(template)[:32]}
    template = {**template, "metadata": {**template["metadata"], "annotations": annotations}}
    told = {ANNOTATION_OWNER: owner, ANNOTATION_APPLIED_TEMPLATE: canonical(template).decode()}
    metadata = {**manifest["metadata"], "annotations": {**manifest["metadata"]["annotations"], **told}}
    return {**manifest, "metadata": metadata, "spec": {**manifest["spec"], "template": template}}


def template_record(
    annotations: Mapping[str, str], fields: Fields | None, lists: tuple[NamedList, ...]
) -> TemplateRecord | None:
    """What a Deployment remembers; None when it remembers nothing, or somebody else has written what it does. `lists`: those
    of its pod template as it is, kept in place of equal ones."""
    ours = ((fields or {}).get("f:metadata") or {}).get("f:annotations") or {}
    if f"f:{ANNOTATION_APPLIED_TEMPLATE}" not in ours or f"f:{ANNOTATION_OWNER}" not in ours:
        return None
    try:
        template = orjson.loads(annotations[ANNOTATION_APPLIED_TEMPLATE])
        marks, applied = template["metadata"]["annotations"], named_lists(template["spec"])
        return TemplateRecord(
            digest=marks[ANNOTATION_TEMPLATE],
            owner=annotations[ANNOTATION_OWNER],
            spec_digest=marks[ANNOTATION_SPEC],
            credentials=marks[ANNOTATION_CREDENTIALS],
            lists=lists if lists == applied else applied,
            whole=covers_part(((fields or {}).get("f:spec") or {}).get("f:template"), template),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # somebody has applied it in our name: a watch must not end of that


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Of the pod template in the manifest of a Deployment."""
    return str(manifest["spec"]["template"]["metadata"]["annotations"][ANNOTATION_TEMPLATE])


def without_template(manifest: dict[str, Any], record: TemplateRecord) -> dict[str, Any]:
    """The manifest with the recorded template in place of its own, of which only the digest is there: see `with_template`."""
    told = {k: v for k, v in manifest["metadata"]["annotations"].items() if k != ANNOTATION_APPLIED_TEMPLATE}
    metadata = {**manifest["metadata"], "annotations": {**told, ANNOTATION_OWNER: record.owner}}
    template = {"metadata": {"annotations": {ANNOTATION_TEMPLATE: record.digest}}}
    return {**manifest, "metadata": metadata, "spec": {**manifest["spec"], "template": template}}


def with_template(manifest: dict[str, Any], found: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `without_template` left out, from the Deployment's metadata; None when it remembers another template by now."""
    annotations = found["metadata"].get("annotations") or {}
    text = annotations.get(ANNOTATION_APPLIED_TEMPLATE, "{}")
    template = orjson.loads(text)
    if not template or digest_of({"spec": {"template": template}}) != digest_of(manifest):
        return None
    told = {**manifest["metadata"]["annotations"], ANNOTATION_APPLIED_TEMPLATE: text}
    metadata = {**manifest["metadata"], "annotations": told}
    return {**manifest, "metadata": metadata, "spec": {**manifest["spec"], "template": template}}
