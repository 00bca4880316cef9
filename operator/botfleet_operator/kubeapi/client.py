"""
Why: a thin client on aiohttp: typed errors, a deadline on every call, server-side apply with metadata-only replies
(docs/design/operator.md has the measurements that made it so).
Never: retry a write by itself, or send one while `guard` says that this replica is not the leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from botfleet_operator.kubeapi.credentials import Credentials
from botfleet_operator.kubeapi.errors import (
    GoneError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
    error_from_status,
)
from botfleet_operator.kubeapi.resources import Resource

FIELD_MANAGER = "botfleet-operator"

APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# The store's first revision is spent before there is an object. An apply that names it conflicts with anything that exists, and is
# no hindrance where nothing does.
_OF_NO_OBJECT = "1"

_CONNECTIONS = 32  # for requests; the workers are fewer
_MAXIMUM_LINE_BYTES = 16 * 1024 * 1024  # an object has at most 1.5 MiB in etcd; more is no watch event


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


def _decode(payload: bytes) -> Any:
    try:
        return orjson.loads(payload) if payload else {}
    except orjson.JSONDecodeError:
        return {"message": payload[:200].decode("utf-8", "replace")}


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        return float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None


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
        self._credentials = credentials
        self._timeout = timeout_seconds
        self._watch_idle = watch_idle_seconds
        self._guard = guard
        self._on_request = on_request
        self._session: aiohttp.ClientSession | None = None
        self._watching: aiohttp.ClientSession | None = None

    def with_guard(self, guard: Callable[[], None]) -> None:
        """From now on every write asks `guard` first; it raises NotLeadingError to refuse."""
        self._guard = guard

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._credentials.info.server)

    async def close(self) -> None:
        """Ends every request and watch."""
        sessions, self._session, self._watching = (self._session, self._watching), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = self._new_session(_CONNECTIONS)
        return self._session

    def _open_watching(self) -> aiohttp.ClientSession:
        # A watch keeps its connection: many namespaces' watches must not use up the requests' connections.
        if self._watching is None or self._watching.closed:
            self._watching = self._new_session(0)
        return self._watching

    def _new_session(self, connections: int) -> aiohttp.ClientSession:
        info = self._credentials.info
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=info.as_ssl_context()),
            headers={"User-Agent": FIELD_MANAGER},
            proxy=info.proxy_url,
            trust_env=info.trust_env,
        )

    # Requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        resource: str,
        verb: str,
        params: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = _JSON,
        accept: str = _JSON,
        timeout_seconds: float | None = None,
    ) -> Any:
        """One request, answered within its deadline. Raises a KubeError for every other outcome."""
        for attempt in (1, 2):
            try:
                return await self._once(
                    method,
                    path,
                    resource=resource,
                    verb=verb,
                    params=params,
                    body=body,
                    content_type=content_type,
                    accept=accept,
                    timeout_seconds=timeout_seconds or self._timeout,
                )
            except UnauthorizedError:
                if attempt == 2:
                    raise
                self._credentials.refresh()  # a rotated token: nothing was done, so asking again is safe
        raise AssertionError("unreachable")

    async def _once(
        self,
        method: str,
        path: str,
        *,
        resource: str,
        verb: str,
        params: dict[str, str] | None,
        body: Any,
        content_type: str,
        accept: str,
        timeout_seconds: float,
    ) -> Any:
        what = f"{verb} {resource} ({path})"
        headers = {"Accept": accept, **self._credentials.headers()}
        data = None
        if body is not None:
            data = orjson.dumps(body)
            headers["Content-Type"] = content_type
        status = 0
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                self._open().request(
                    method,
                    self._credentials.info.server.rstrip("/") + path,
                    params=params,
                    data=data,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response,
            ):
                status = response.status
                payload = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{what}: {type(error).__name__} {error}".rstrip()) from error
        finally:
            if self._on_request is not None:
                self._on_request(verb, resource, status)
        decoded = _decode(payload)
        if status >= 400:
            raise error_from_status(status, decoded, what=what, retry_after=_retry_after(response))
        return decoded

    # Reading

    async def get(self, resource: Resource, namespace: str | None, name: str, *, metadata_only: bool = False) -> Any:
        """The object, or None when it is not there."""
        try:
            return await self.request(
                "GET",
                resource.path(namespace, name),
                resource=resource.plural,
                verb="get",
                accept=_METADATA if metadata_only else _JSON,
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
            reply = await self.request(
                "GET",
                resource.path(namespace),
                resource=resource.plural,
                verb="list",
                params=params,
                accept=_METADATA_LIST if metadata_only else _JSON,
                timeout_seconds=max(self._timeout, 60.0),
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
        url = self._credentials.info.server.rstrip("/") + resource.path(namespace)
        headers = {"Accept": _METADATA if metadata_only else _JSON, **self._credentials.headers()}
        timeout = aiohttp.ClientTimeout(
            total=server_seconds + 30, sock_connect=self._timeout, sock_read=self._watch_idle
        )
        what = f"watch {resource.plural} ({resource.path(namespace)})"
        answered = False
        try:
            async with self._open_watching().get(url, params=params, headers=headers, timeout=timeout) as response:
                answered = True
                if self._on_request is not None:
                    self._on_request("watch", resource.plural, response.status)
                if response.status >= 400:
                    if response.status == 401:
                        self._credentials.refresh()
                    raise error_from_status(
                        response.status, _decode(await response.read()), what=what, retry_after=_retry_after(response)
                    )
                async for line in _lines(response.content):
                    yield _event_of(line, what)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not answered and self._on_request is not None:
                self._on_request("watch", resource.plural, 0)
            raise UnreachableError(f"{what}: {type(error).__name__} {error}".rstrip()) from error

    # Writing

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        manifest: dict[str, Any],
        *,
        force: bool = True,
        creates: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply; returns the metadata that the object has now.

        Args:
            creates: whatever has this name already stays as it is, and is a ConflictError.
        """
        self._guard()
        if creates:
            manifest = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": _OF_NO_OBJECT}}
        reply = await self.request(
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
        """A JSON patch or merge patch; returns the metadata that the object has now."""
        self._guard()
        reply = await self.request(
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
        reply = await self.request(
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
        reply = await self.request(
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
            await self.request(
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
                accept=_JSON,
            )
        except NotFoundError:
            return


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream. (StreamReader.readline has a limit that one large Secret exceeds.)"""
    buffer = bytearray()
    async for chunk in stream.iter_any():
        buffer += chunk
        if b"\n" in chunk:
            *complete, rest = bytes(buffer).split(b"\n")
            buffer = bytearray(rest)
            for line in complete:
                if line:
                    yield line
        elif len(buffer) > _MAXIMUM_LINE_BYTES:
            raise UnreachableError("watch: a line longer than any object can be")


def _event_of(line: bytes, what: str) -> WatchEvent:
    raw = orjson.loads(line)
    if raw["type"] != "ERROR":
        return WatchEvent(type=raw["type"], object=raw["object"])
    code = int(raw["object"].get("code") or 0)
    if code == 410:
        raise GoneError(f"{what}: {raw['object'].get('message')}", status=410, reason="Expired")
    raise error_from_status(code or 500, raw["object"], what=what)
