"""
Why: a thin client on aiohttp: typed errors, a deadline on every call, server-side apply with metadata-only replies
(docs/design/operator.md has the measurements that made it so).
Never: retry a write by itself, or send one while `guard` says that this replica is not the leader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from botfleet_operator.kubeapi.credentials import Credentials
from botfleet_operator.kubeapi.errors import GoneError, NotFoundError, error_from_status
from botfleet_operator.kubeapi.resources import Resource
from botfleet_operator.kubeapi.transport import FIELD_MANAGER, JSON, Transport

APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# The store's first revision is spent before there is an object. An apply that names it conflicts with anything that exists, and is
# no hindrance where nothing does.
_OF_NO_OBJECT = "1"


def same(uid: str) -> dict[str, str]:
    """The first operation of a JSON patch that changes this object and no other of its name; else it is an InvalidError."""
    return {"op": "test", "path": "/metadata/uid", "value": uid}


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: ADDED, MODIFIED, DELETED or BOOKMARK, and its object."""

    type: str
    object: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and the resource version from which a watch can go on."""

    items: list[dict[str, Any]]
    resource_version: str


def no_guard() -> None:
    """For callers that need no leadership (bootstrap, tests)."""


class KubeApi:
    """Calls to one API server. `on_request(verb, resource, status)` sees every call that ended (metrics, tests)."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout_seconds: float = 15.0,
        watch_idle_seconds: float = 75.0,
        guard: Callable[[], None] = no_guard,
        on_request: Callable[[str, str, int], None] | None = None,
    ) -> None:
        self._transport = Transport(credentials, timeout_seconds=timeout_seconds, on_request=on_request)
        self._watch_idle = watch_idle_seconds
        self._guard = guard

    def with_guard(self, guard: Callable[[], None]) -> None:
        """From now on every write asks `guard` first; it raises NotLeadingError to refuse."""
        self._guard = guard

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._transport.server

    async def close(self) -> None:
        """Ends every request and watch."""
        await self._transport.close()

    async def request(self, method: str, path: str, *, resource: str, verb: str, **more: Any) -> Any:
        """One request, as `Transport.request`: for what has no method here."""
        return await self._transport.request(method, path, resource=resource, verb=verb, **more)

    # Reading

    async def get(self, resource: Resource, namespace: str | None, name: str, *, metadata_only: bool = False) -> Any:
        """The object, or None when it is not there."""
        try:
            return await self._transport.request(
                "GET",
                resource.path(namespace, name),
                resource=resource.plural,
                verb="get",
                accept=_METADATA if metadata_only else JSON,
            )
        except NotFoundError:
            return None

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        selector: str = "",
        metadata_only: bool = False,
        page_size: int = 500,
    ) -> AsyncIterator[Page]:
        """All objects, in pages; the last page's resource version is where a watch goes on. Raises GoneError when the
        list took so long that its snapshot is gone: begin again."""
        token = ""
        while True:
            params = {"limit": str(page_size)}
            if selector:
                params["labelSelector"] = selector
            if token:
                params["continue"] = token
            reply = await self._transport.request(
                "GET",
                resource.path(namespace),
                resource=resource.plural,
                verb="list",
                params=params,
                accept=_METADATA_LIST if metadata_only else JSON,
                timeout_seconds=max(self._transport.timeout_seconds, 60.0),
            )
            metadata = reply.get("metadata") or {}
            # An empty PartialObjectMetadataList has `items: null`.
            yield Page(items=reply.get("items") or [], resource_version=str(metadata.get("resourceVersion") or ""))
            token = str(metadata.get("continue") or "")
            if not token:
                return

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        since: str,
        selector: str = "",
        metadata_only: bool = False,
        server_seconds: int = 290,
    ) -> AsyncIterator[WatchEvent]:
        """Events after `since`. Ends when the server ends it, or when nothing came for `watch_idle_seconds` (the server
        sends a bookmark about once a minute, so silence means a dead connection). Raises GoneError for a version
        that is too old, another KubeError when the watch cannot be had."""
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(server_seconds),
        }
        if selector:
            params["labelSelector"] = selector
        path = resource.path(namespace)
        lines = self._transport.stream(
            path,
            resource=resource.plural,
            verb="watch",
            params=params,
            accept=_METADATA if metadata_only else JSON,
            total_seconds=server_seconds + 30,
            idle_seconds=self._watch_idle,
        )
        async with aclosing(lines):
            async for line in lines:
                yield _event_of(line, f"watch {resource.plural} ({path})")

    # Writing

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        manifest: dict[str, Any],
        *,
        uid: str | None,
        force: bool = True,
    ) -> dict[str, Any]:
        """Server-side apply; returns the metadata that the object has now.

        Args:
            uid: of the object that is meant; None: there is none yet. Whatever else has the name stays as it is.

        Raises:
            ConflictError: something has the name already (None), or nothing has it any more (a UID).
            InvalidError: an object with another UID has the name by now; or the manifest can never succeed.
        """
        self._guard()
        meant = {"resourceVersion": _OF_NO_OBJECT} if uid is None else {"uid": uid}
        manifest = {**manifest, "metadata": {**manifest["metadata"], **meant}}
        reply = await self._transport.request(
            "PATCH",
            resource.path(namespace, name),
            resource=resource.plural,
            verb="apply",
            params={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": "true" if force else "false"},
            body=manifest,
            content_type=APPLY_PATCH,
            accept=_METADATA,
        )
        return dict(reply["metadata"])

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Any,
        *,
        content_type: str,
        subresource: str | None = None,
    ) -> dict[str, Any]:
        """A JSON patch or merge patch; returns the metadata that the object has now.

        A UID in a merge patch protects no status: where only the status is written, the API server takes all other
        metadata from what it has before it compares. `same` does, in a JSON patch.
        """
        self._guard()
        reply = await self._transport.request(
            "PATCH",
            resource.path(namespace, name, subresource),
            resource=resource.plural,
            verb="patch",
            params={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
            body=patch,
            content_type=content_type,
            accept=_METADATA,
        )
        return dict(reply["metadata"])

    async def create(self, resource: Resource, namespace: str | None, manifest: dict[str, Any]) -> dict[str, Any]:
        """POST; ConflictError when the name is taken. The guard is not asked: leader election itself creates."""
        reply = await self._transport.request(
            "POST",
            resource.path(namespace),
            resource=resource.plural,
            verb="create",
            params={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
            body=manifest,
        )
        return dict(reply)

    async def replace(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        manifest: dict[str, Any],
        *,
        timeout_seconds: float | None = None,
    ) -> dict[str, Any]:
        """PUT; with a resourceVersion in the manifest it fails with ConflictError when somebody was faster."""
        reply = await self._transport.request(
            "PUT",
            resource.path(namespace, name),
            resource=resource.plural,
            verb="update",
            params={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
            body=manifest,
            timeout_seconds=timeout_seconds,
        )
        return dict(reply)

    async def delete(self, resource: Resource, namespace: str | None, name: str, *, uid: str) -> None:
        """Delete exactly the object with this UID; one that is gone already, or another one, is no error."""
        self._guard()
        try:
            await self._transport.request(
                "DELETE",
                resource.path(namespace, name),
                resource=resource.plural,
                verb="delete",
                body={
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "propagationPolicy": "Background",
                    "preconditions": {"uid": uid},
                },
                accept=JSON,
            )
        except NotFoundError:
            return


def _event_of(line: bytes, what: str) -> WatchEvent:
    raw = orjson.loads(line)
    if raw["type"] != "ERROR":
        return WatchEvent(type=raw["type"], object=raw["object"])
    code = int(raw["object"].get("code") or 0)
    if code == 410:
        raise GoneError(f"{what}: {raw['object'].get('message')}", status=410, reason="Expired")
    raise error_from_status(code or 500, raw["object"], what=what)
