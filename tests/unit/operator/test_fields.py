"""Whether somebody changed what we applied, told by metadata alone."""

from __future__ import annotations

from typing import Any

import pytest

from botfleet_operator.fields import covers, our_fields
from tests.unit.operator.samples import fields_of

MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "X",
    "metadata": {"name": "x", "namespace": "ns", "labels": {"a": "b"}, "ownerReferences": [{"uid": "1", "kind": "T"}]},
    "spec": {
        "replicas": 1,
        "containers": [
            {"name": "c", "args": ["x"], "ports": [{"containerPort": 80, "protocol": "TCP"}], "nothing": None}
        ],
        "finalizers": ["f"],
    },
}
ENTRY: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:a": {}}, "f:ownerReferences": {'k:{"uid":"1"}': {}}},
    "f:spec": {
        "f:replicas": {},
        "f:containers": {
            'k:{"name":"c"}': {
                ".": {},
                "f:name": {},
                "f:args": {},
                "f:ports": {
                    'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}}
                },
            }
        },
        "f:finalizers": {'v:"f"': {}},
    },
}


def metadata(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    managed = {"manager": "botfleet-operator", "operation": "Apply", "fieldsV1": entry, **changes}
    return {"managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {}}, managed]}


def test_an_entry_that_is_whole_covers_what_was_applied() -> None:
    ours = our_fields(metadata(ENTRY))
    assert ours is not None
    assert covers(ours, MANIFEST)


@pytest.mark.parametrize(
    "path",
    [
        ("f:spec", "f:replicas"),
        ("f:metadata", "f:labels"),
        ("f:metadata", "f:ownerReferences"),
        ("f:spec", "f:finalizers"),
        ("f:spec", "f:containers", 'k:{"name":"c"}', "f:args"),
        (
            "f:spec",
            "f:containers",
            'k:{"name":"c"}',
            "f:ports",
            'k:{"containerPort":80,"protocol":"TCP"}',
            "f:protocol",
        ),
    ],
)
def test_a_field_that_was_taken_away_is_noticed_wherever_it_was(path: tuple[str, ...]) -> None:
    ours = our_fields(metadata(without(ENTRY, path)))
    assert ours is not None
    assert not covers(ours, MANIFEST)


def without(entry: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {k: v for k, v in entry.items() if k != head}
    return {**entry, head: without(entry[head], tuple(rest))}


def test_only_our_own_apply_of_the_object_itself_counts() -> None:
    assert our_fields({}) is None
    assert our_fields(metadata(ENTRY, operation="Update")) is None
    assert our_fields(metadata(ENTRY, subresource="status")) is None
    assert our_fields(metadata(ENTRY, manager="other")) is None


def test_entries_of_equal_structure_are_one_in_memory() -> None:
    other = {**ENTRY, "f:metadata": {**ENTRY["f:metadata"], "f:ownerReferences": {'k:{"uid":"2"}': {}}}}
    assert our_fields(metadata(ENTRY)) is our_fields(metadata(other))


def test_the_samples_make_entries_as_the_api_server_does() -> None:
    assert covers(fields_of({**MANIFEST, "spec": {"replicas": 1}}), {**MANIFEST, "spec": {"replicas": 1}})
