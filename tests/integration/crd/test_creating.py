"""The promise of never taking over somebody else's object, as each version of the API server keeps it for us."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import kopf
import pytest

from botfleet_operator.kubeapi import ConflictError, Credentials, KubeApi
from botfleet_operator.world import CHILD_RESOURCES
from botfleet_tools.servers import ApiServer

LABELS = {"matchLabels": {"app": "x"}}
POD = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "one", "image": "registry.example/one"}]}}
BODIES: dict[str, dict[str, Any]] = {
    "ServiceAccount": {"apiVersion": "v1"},
    "NetworkPolicy": {"apiVersion": "networking.k8s.io/v1", "spec": {"podSelector": {}}},
    "ConfigMap": {"apiVersion": "v1", "data": {"a": "1"}},
    "Secret": {"apiVersion": "v1", "stringData": {"a": "1"}},
    "Deployment": {"apiVersion": "apps/v1", "spec": {"replicas": 0, "selector": LABELS, "template": POD}},
}


@pytest.fixture
async def client(api: ApiServer) -> AsyncIterator[KubeApi]:
    """The operator's, as administrator."""
    login = kopf.ConnectionInfo(
        server=api.url,
        ca_path=str(api.ca),
        certificate_path=str(api.client_cert),
        private_key_path=str(api.client_key),
    )
    made = KubeApi(Credentials(login))
    yield made
    await made.close()


@pytest.mark.parametrize("kind", CHILD_RESOURCES)
async def test_an_apply_that_creates_makes_what_is_absent_and_changes_nothing_that_has_the_name(
    client: KubeApi, kind: str
) -> None:
    resource, name = CHILD_RESOURCES[kind], f"created-{kind.lower()}"

    def manifest(whose: str) -> dict[str, Any]:
        return {
            **BODIES[kind],
            "kind": kind,
            "metadata": {"name": name, "namespace": "default", "labels": {"of": whose}},
        }

    made = await client.apply(resource, "default", name, manifest("us"), creates=True)
    assert [(entry["manager"], entry["operation"]) for entry in made["managedFields"]] == [
        ("botfleet-operator", "Apply")
    ]
    with pytest.raises(ConflictError):
        await client.apply(resource, "default", name, manifest("others"), creates=True)
    found = await client.get(resource, "default", name, metadata_only=True)
    assert found["metadata"]["labels"] == {"of": "us"}
    assert found["metadata"]["resourceVersion"] == made["resourceVersion"]

    again = await client.apply(resource, "default", name, manifest("us-again"))
    assert again["labels"] == {"of": "us-again"}, "what is there already is applied without it"
    await client.delete(resource, "default", name, uid=made["uid"])
