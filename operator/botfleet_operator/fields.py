"""
Why: whether somebody changed what we applied is told by metadata alone: an edit of one of our fields takes it out of our
entry in managedFields (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
Never: need a schema: the entry itself says which lists are associative and which are atomic.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from botfleet_operator.kubeapi import FIELD_MANAGER

Fields = dict[str, Any]

_interned: dict[bytes, Fields] = {}
_INTERNED_MOST = 1024


def our_fields(metadata: dict[str, Any]) -> Fields | None:
    """Our server-side apply entry, or None when we never applied the object.

    Entries of equal structure are one object in memory: all bots have the same but for the owner's UID, which is
    replaced by a star.
    """
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields = dict(entry.get("fieldsV1") or {})
            owners = (fields.get("f:metadata") or {}).get("f:ownerReferences")
            if isinstance(owners, dict) and len(owners) == 1:
                whole = dict(fields["f:metadata"])
                whole["f:ownerReferences"] = {'k:{"uid":"*"}': next(iter(owners.values()))}
                fields["f:metadata"] = whole
            text = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
            if text not in _interned:
                if len(_interned) >= _INTERNED_MOST:
                    _interned.clear()
                _interned[text] = fields
            return _interned[text]
    return None


def covers(fields: Fields, manifest: dict[str, Any]) -> bool:
    """Whether the entry still holds every field of the manifest that was applied."""
    content = {k: v for k, v in manifest.items() if k not in ("apiVersion", "kind")}
    content["metadata"] = {k: v for k, v in manifest["metadata"].items() if k not in ("name", "namespace")}
    return _covers_object(fields, content)


def covers_part(fields: Fields | None, value: dict[str, Any]) -> bool:
    """The same for an object within, by the part of the entry that is about it; None: the entry has none."""
    return fields is not None and _covers_object(fields, value)


def _covers(fields: Fields, value: Any) -> bool:
    if not fields:
        return True  # a leaf, or a list or object that is owned as a whole
    if isinstance(value, dict):
        return _covers_object(fields, value)
    if isinstance(value, list):
        return _covers_list(fields, value)
    return True


def _covers_object(fields: Fields, value: dict[str, Any]) -> bool:
    for key, inner in value.items():
        if inner is None:
            continue
        owned = fields.get(f"f:{key}")
        if owned is None or not _covers(owned, inner):
            return False
    return True


def _covers_list(fields: Fields, value: list[Any]) -> bool:
    by_key = [(json.loads(name[2:]), owned) for name, owned in fields.items() if name.startswith("k:")]
    for element in value:
        if isinstance(element, dict):
            owned = next((o for key, o in by_key if _is_element(key, element)), None)
        else:
            owned = fields.get("v:" + json.dumps(element))
        if owned is None or not _covers(owned, element):
            return False
    return True


def _is_element(key: dict[str, Any], element: dict[str, Any]) -> bool:
    return all(expected == "*" or element.get(name) == expected for name, expected in key.items())
