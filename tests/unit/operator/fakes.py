"""Stand-ins for PostgreSQL's roles, Redis' users and the API server; the store is a real one, on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from botfleet.store.errors import StoreUnavailable
from botfleet_operator.kubeapi import ConflictError, InvalidError, NotFoundError, Page, Resource
from botfleet_operator.provision.bus import BusUnavailableError, password_hash
from tests.unit.operator.samples import fields_of


class FakeRoles:
    def __init__(self) -> None:
        self.roles: dict[str, int] = {}
        self.away = False
        self.started = "run-1"
        self.half = False  # a removal gets as far as that nobody can log in

    async def run_id(self) -> str:
        return self.started

    async def present(self) -> dict[str, int]:
        return dict(self.roles)

    async def ensure(self, role: str, password: str, generation: int) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.roles[role] = generation

    async def remove(self, role: str) -> None:
        if self.half and role in self.roles:
            self.roles[role] = 0
            raise StoreUnavailable("away")
        self.roles.pop(role, None)


class FakeUsers:
    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.keys: set[str] = set()  # ids of bots that have some
        self.away = False
        self.started = "run-1"

    async def run_id(self) -> str:
        self._reach()
        return self.started

    async def present(self) -> dict[str, str]:
        self._reach()
        return dict(self.users)

    async def ensure(self, user: str, bot_id: str, password: str) -> None:
        self._reach()
        self.users[user] = f"on #{password_hash(password)} -@all"

    async def remove(self, user: str) -> None:
        self._reach()
        self.users.pop(user, None)

    async def erase_keys(self, user: str, bot_id: str) -> None:
        self._reach()
        self.keys.discard(bot_id)

    async def close(self) -> None:
        """Nothing is open."""

    def _reach(self) -> None:
        if self.away:
            raise BusUnavailableError("away")


class FakeApi:
    """Objects by kind and name, with versions and UIDs; errors on demand."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.version = 100
        self.calls: list[tuple[str, str, str]] = []
        self.errors: dict[str, Exception] = {}
        self.managed: dict[tuple[str, str, str], list[dict[str, Any]]] = {}  # managedFields, of what was applied
        self.hidden = False  # the whole resource is not served

    def _call(self, verb: str, kind: str, name: str) -> None:
        self.calls.append((verb, kind, name))
        if verb in self.errors:
            raise self.errors[verb]

    def writes(self) -> list[tuple[str, str, str]]:
        return [call for call in self.calls if call[0] in ("apply", "patch", "delete")]

    def store(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        metadata = body["metadata"]
        self.version += 1
        key = (kind, metadata["namespace"], metadata["name"])
        old = self.objects.get(key, {}).get("metadata", {})
        metadata = {**metadata, "resourceVersion": str(self.version), "uid": old.get("uid") or f"uid-{self.version}"}
        self.objects[key] = {**body, "metadata": {**metadata, "uid": body["metadata"].get("uid", metadata["uid"])}}
        return dict(self.objects[key]["metadata"])

    async def get(self, resource: Resource, namespace: str, name: str, **_: Any) -> Any:
        self._call("get", resource.kind, name)
        return None if self.hidden else self.objects.get((resource.kind, namespace, name))

    async def request(self, *_: Any, **__: Any) -> Any:
        if self.hidden:
            raise NotFoundError("no such resource", status=404)
        return {}

    async def list_pages(self, resource: Resource, namespace: str | None, **_: Any) -> AsyncIterator[Page]:
        self._call("list", resource.kind, namespace or "")
        items = [o for (kind, ns, _), o in self.objects.items() if kind == resource.kind and namespace in (None, ns)]
        yield Page(items, str(self.version))

    async def apply(
        self, resource: Resource, namespace: str, name: str, manifest: dict[str, Any], *, uid: str | None
    ) -> dict[str, Any]:
        self._call("apply", resource.kind, name)
        there = self.objects.get((resource.kind, namespace, name))
        if (there is None) != (uid is None):
            raise ConflictError("it exists, or exists no more", status=409)
        if there is not None and there["metadata"]["uid"] != uid:
            raise InvalidError("field is immutable", status=422)
        entry = {"manager": "botfleet-operator", "operation": "Apply", "fieldsV1": fields_of(manifest)}
        self.managed[(resource.kind, namespace, name)] = [entry]
        return {**self.store(resource.kind, manifest), "managedFields": [entry]}

    async def create(self, resource: Resource, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        self._call("create", resource.kind, manifest["metadata"]["name"])
        self.store(resource.kind, manifest)
        return manifest

    async def patch(self, resource: Resource, namespace: str, name: str, patch: Any, **_: Any) -> dict[str, Any]:
        self._call("patch", resource.kind, name)
        found = self.objects.get((resource.kind, namespace, name))
        if found is None:
            raise NotFoundError("gone", status=404)
        if isinstance(patch, dict) and "series" in patch:
            return self.store(resource.kind, {**found, **patch})
        if isinstance(patch, dict):
            return self._set_finalizers(resource, found, patch["metadata"])
        if patch[0] != {"op": "test", "path": "/metadata/uid", "value": found["metadata"]["uid"]}:
            raise InvalidError("another object", status=422)
        status: dict[str, Any] = next((operation["value"] for operation in patch if operation["path"] == "/status"), {})
        managed = self.managed.get((resource.kind, namespace, name), [])
        return {**self.store(resource.kind, {**found, "status": status}), "managedFields": managed}

    def _set_finalizers(self, resource: Resource, found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
        metadata = found["metadata"]
        if (wanted["uid"], wanted["resourceVersion"]) != (metadata["uid"], metadata["resourceVersion"]):
            raise ConflictError("changed meanwhile", status=409)
        changed = self.store(resource.kind, {**found, "metadata": {**metadata, "finalizers": wanted["finalizers"]}})
        if metadata.get("deletionTimestamp") and not wanted["finalizers"]:
            del self.objects[(resource.kind, metadata["namespace"], metadata["name"])]
        return changed

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        self._call("delete", resource.kind, name)
        self.objects.pop((resource.kind, namespace, name), None)
