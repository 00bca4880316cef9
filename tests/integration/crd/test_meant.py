"""A write is for the object that was looked at and for no other of its name, as each version of the API server keeps it for us."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import kopf
import pytest

from botfleet_operator.kubeapi import (
    JSON_PATCH,
    MERGE_PATCH,
    ConflictError,
    Credentials,
    InvalidError,
    KubeApi,
    same,
)
from botfleet_operator.world import CHILD_RESOURCES, TELEGRAM_BOTS
from botfleet_tools.servers import ApiServer
from tests.integration.operator.harness import bot_of

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


def manifest(kind: str, name: str, whose: str) -> dict[str, Any]:
    """Of a child, as somebody would apply it."""
    return {**BODIES[kind], "kind": kind, "metadata": {"name": name, "namespace": "default", "labels": {"of": whose}}}


@pytest.mark.parametrize("kind", CHILD_RESOURCES)
async def test_an_apply_of_what_is_not_there_makes_it_and_changes_nothing_that_has_the_name(
    client: KubeApi, kind: str
) -> None:
    resource, name = CHILD_RESOURCES[kind], f"created-{kind.lower()}"
    apply, of = partial(client.apply, resource, "default", name), partial(manifest, kind, name)
    made = await apply(of("us"), uid=None)
    assert [(entry["manager"], entry["operation"]) for entry in made["managedFields"]] == [
        ("botfleet-operator", "Apply")
    ]
    with pytest.raises(ConflictError):
        await apply(of("others"), uid=None)
    found = await client.get(resource, "default", name, metadata_only=True)
    assert found["metadata"]["labels"] == {"of": "us"}
    assert found["metadata"]["resourceVersion"] == made["resourceVersion"]
    await client.delete(resource, "default", name, uid=made["uid"])


@pytest.mark.parametrize("kind", CHILD_RESOURCES)
async def test_an_apply_of_what_is_there_changes_that_and_nothing_else_that_has_its_name_by_now(
    client: KubeApi, kind: str
) -> None:
    resource, name = CHILD_RESOURCES[kind], f"meant-{kind.lower()}"
    apply, of = partial(client.apply, resource, "default", name), partial(manifest, kind, name)
    made = await apply(of("us"), uid=None)
    again = await apply(of("us"), uid=made["uid"])
    assert again == made, "the UID is no change, and no field of ours"
    changed = await apply(of("us-again"), uid=made["uid"])
    assert changed["labels"] == {"of": "us-again"}

    await client.delete(resource, "default", name, uid=made["uid"])
    with pytest.raises(ConflictError):
        await apply(of("us"), uid=made["uid"])
    theirs = await client.create(resource, "default", of("others"))
    with pytest.raises(InvalidError):
        await apply(of("us"), uid=made["uid"])
    with pytest.raises(InvalidError):
        patch = [same(made["uid"]), {"op": "replace", "path": "/metadata/labels/of", "value": "us"}]
        await client.patch(resource, "default", name, patch, content_type=JSON_PATCH)
    found = await client.get(resource, "default", name, metadata_only=True)
    assert found["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]
    await client.delete(resource, "default", name, uid=theirs["metadata"]["uid"])


async def test_a_status_is_written_to_the_bot_that_it_is_about_and_a_uid_in_a_merge_patch_is_no_help(
    client: KubeApi,
) -> None:
    bot = bot_of("anew")
    first = (await client.create(TELEGRAM_BOTS, "default", bot))["metadata"]["uid"]
    write = partial(client.patch, TELEGRAM_BOTS, "default", "anew", subresource="status")

    def says(phase: str, uid: str) -> list[dict[str, Any]]:
        return [same(uid), {"op": "add", "path": "/status", "value": {"phase": phase}}]

    async def status() -> dict[str, Any]:
        return dict((await client.get(TELEGRAM_BOTS, "default", "anew")).get("status", {}))

    await write(says("Pending", first), content_type=JSON_PATCH)
    await write(says("Running", first), content_type=JSON_PATCH)
    assert await status() == {"phase": "Running"}

    await client.delete(TELEGRAM_BOTS, "default", "anew", uid=first)
    second = (await client.create(TELEGRAM_BOTS, "default", bot))["metadata"]["uid"]
    with pytest.raises(InvalidError):
        await write(says("Running", first), content_type=JSON_PATCH)
    assert await status() == {}
    await write({"metadata": {"uid": first}, "status": {"phase": "Running"}}, content_type=MERGE_PATCH)
    assert await status() == {"phase": "Running"}, "if the API server compares by now, that would do"
    await client.delete(TELEGRAM_BOTS, "default", "anew", uid=second)
