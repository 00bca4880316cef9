"""
Why: plain requests at an API server as its administrator, many at once (kubectl takes a process each).
Never: anything of the operator's client, which is what is being tested.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator
from typing import Any, Self

import aiohttp

from botfleet_tools.servers import ApiServer

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
Where = tuple[str, str]  # the path of an API group, and a plural

BOTS: Where = ("apis/botfleet.dev/v1alpha1", "telegrambots")
PODS: Where = ("api/v1", "pods")
CHILDREN: dict[str, Where] = {
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Secret": ("api/v1", "secrets"),
    "Deployment": ("apis/apps/v1", "deployments"),
}


def path(where: Where, namespace: str, name: str = "") -> str:
    """Of a collection, or of one object."""
    group, plural = where
    return f"{group}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


class Cluster:
    """Requests as administrator."""

    def __init__(self, url: str, context: ssl.SSLContext, connections: int = 32) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=connections),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=60),
        )

    @classmethod
    def of(cls, api: ApiServer) -> Self:
        """With the administrator's certificate."""
        return cls(api.url, context_of(str(api.ca), str(api.client_cert), str(api.client_key)))

    async def close(self) -> None:
        await self._session.close()

    async def send(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", also: tuple[int, ...] = ()
    ) -> Any:
        """The answer's body; an AssertionError for a status that is neither good nor one of `also`."""
        async with self._session.request(
            method,
            f"{self._url}/{path}",
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": kind, "User-Agent": "by-hand"},
        ) as answer:
            found = await answer.json()
            assert answer.status < 300 or answer.status in also, f"{method} {path}: {answer.status} {found}"
            return found

    async def listed(self, where: Where, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a kind in a namespace. `selector` is quoted already."""
        query = f"?labelSelector={selector}" if selector else ""
        return list((await self.send("GET", path(where, namespace) + query))["items"])

    async def count(self, where: Where, namespace: str) -> int:
        """How many there are, without reading them."""
        found = await self.send("GET", f"{path(where, namespace)}?limit=1")
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount") or 0)

    async def watch(
        self, where: Where, namespace: str, since: str, query: str = ""
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Events after the resource version `since`, until the server ends the watch."""
        url = f"{self._url}/{path(where, namespace)}?watch=true&resourceVersion={since}{query}"
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=2**22) as answer:
            async for line in answer.content:
                yield json.loads(line)


def context_of(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """For a client certificate."""
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    return context
