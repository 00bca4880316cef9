"""
Why: one request or one stream at the API server: connections, credentials, deadlines, and typed errors for every outcome but success.
Never: know what is asked for, or ask again (but after a 401, which means that nothing was done).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson

from botfleet_operator.kubeapi.credentials import Credentials
from botfleet_operator.kubeapi.errors import UnauthorizedError, UnreachableError, error_from_status

FIELD_MANAGER = "botfleet-operator"
JSON = "application/json"

_CONNECTIONS = 32  # for requests; the workers are fewer
_MAXIMUM_LINE_BYTES = 16 * 1024 * 1024  # an object has at most 1.5 MiB in etcd; more is no watch event


class Transport:
    """Connections to one API server. `on_request(verb, resource, status)` sees every call that ended; 0: it was not answered."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout_seconds: float,
        on_request: Callable[[str, str, int], None] | None,
    ) -> None:
        self._credentials, self.timeout_seconds = credentials, timeout_seconds
        self._told = on_request or _to_nobody
        self._session: aiohttp.ClientSession | None = None
        self._streaming: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._credentials.info.server)

    async def close(self) -> None:
        """Ends every request and stream."""
        sessions, self._session, self._streaming = (self._session, self._streaming), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = self._new_session(_CONNECTIONS)
        return self._session

    def _open_streaming(self) -> aiohttp.ClientSession:
        # A stream keeps its connection: many namespaces' watches must not use up the requests' connections.
        if self._streaming is None or self._streaming.closed:
            self._streaming = self._new_session(0)
        return self._streaming

    def _new_session(self, connections: int) -> aiohttp.ClientSession:
        info = self._credentials.info
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=info.as_ssl_context()),
            headers={"User-Agent": FIELD_MANAGER},
            proxy=info.proxy_url,
            trust_env=info.trust_env,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        resource: str,
        verb: str,
        params: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
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
                    timeout_seconds=timeout_seconds or self.timeout_seconds,
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
            self._told(verb, resource, status)
        decoded = _decode(payload)
        if status >= 400:
            raise error_from_status(status, decoded, what=what, retry_after=_retry_after(response))
        return decoded

    async def stream(
        self,
        path: str,
        *,
        resource: str,
        verb: str,
        params: dict[str, str],
        accept: str,
        total_seconds: float,
        idle_seconds: float,
    ) -> AsyncGenerator[bytes]:
        """The lines of an answer that goes on. Ends when the server ends it; raises UnreachableError when nothing came for
        `idle_seconds`, another KubeError when it cannot be had."""
        what = f"{verb} {resource} ({path})"
        url = self._credentials.info.server.rstrip("/") + path
        headers = {"Accept": accept, **self._credentials.headers()}
        timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=self.timeout_seconds, sock_read=idle_seconds)
        answered = False
        try:
            async with self._open_streaming().get(url, params=params, headers=headers, timeout=timeout) as response:
                answered = True
                self._told(verb, resource, response.status)
                if response.status >= 400:
                    if response.status == 401:
                        self._credentials.refresh()
                    raise error_from_status(
                        response.status, _decode(await response.read()), what=what, retry_after=_retry_after(response)
                    )
                async for line in _lines(response.content):
                    yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not answered:
                self._told(verb, resource, 0)
            raise UnreachableError(f"{what}: {type(error).__name__} {error}".rstrip()) from error


def _to_nobody(_verb: str, _resource: str, _status: int) -> None:
    """Nobody counts."""


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
