"""
Why: an API server that does wrong on demand: a reverse proxy between the operator and a real one.
Never: change what passes it, or do wrong once it is told to be calm.
"""

from __future__ import annotations

import asyncio
import enum
import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from botfleet_tools.servers import ApiServer
from botfleet_tools.servers.base import LOOPBACK, free_port

HELD_SECONDS = 3.0  # longer than the operator's deadline of a call in a storm
WATCH_SECONDS = 6.0  # a watch lives so long in a storm, on average
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"})


class Fault(enum.StrEnum):
    """What one request meets. The last three leave it open whether it was done; in two of them it was."""

    CONFLICT = "409"
    OVERLOADED = "429"
    FAILED = "500"
    REFUSED = "connection cut before it was done"
    HELD = "held until the client gives up, not done"
    UNHEARD = "done, the connection cut before the answer"
    HELD_DONE = "done, the answer held until the client gives up"


_STATUS = {
    Fault.CONFLICT: (409, "Conflict"),
    Fault.OVERLOADED: (429, "TooManyRequests"),
    Fault.FAILED: (500, "InternalError"),
}
_WRITES_ONLY = {Fault.CONFLICT, Fault.UNHEARD, Fault.HELD_DONE}


class FaultProxy:
    """Passes everything on; while `storming` a share of the requests and every watch meets a fault, by `chance`."""

    def __init__(self, api: ApiServer, chance: random.Random, share: float) -> None:
        self._api, self._chance, self._share = api, chance, share
        self.storming = True
        self.met: Counter[str] = Counter()
        self.writes = 0  # all that arrived, but for Leases
        self.written: list[str] = []  # what they were, for a failure's message
        self.watched = asyncio.Event()  # somebody watches the bots; who waits for that clears it first
        self.port = free_port()
        self.muted: Counter[str] = Counter()  # what a muted watch would have said, by resource
        self._deaf_before = 0  # watches that were opened earlier
        self._watches = 0
        self._kill: tuple[int, bool, Callable[[], None]] | None = None
        self._upstream: aiohttp.ClientSession | None = None

    def kill_at(self, write: int, *, done: bool, kill: Callable[[], None]) -> None:
        """Calls `kill` at the so-many-th write from now: after it was `done` and before it is answered, or before."""
        self._kill = (self.writes + write, done, kill)

    def mute(self) -> None:
        """The watches that are open stay so and bring nothing any more, as over a connection that died unseen; new ones do."""
        self._deaf_before = self._watches

    def kubeconfig(self, folder: Path) -> Path:
        """One that leads here; the proxy itself logs in as the administrator."""
        name = "storm"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": f"http://{LOOPBACK}:{self.port}"}}],
            "users": [{"name": name, "user": {"token": "the-proxy-logs-in"}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }  # fmt: skip
        file = folder / "proxy.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FaultProxy]:
        """Listens until the end of the block."""
        context = ssl.create_default_context(cafile=str(self._api.ca))
        context.load_cert_chain(self._api.client_cert, self._api.client_key)
        application = web.Application(client_max_size=8 * 2**20)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:
            self._upstream = session
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, self.port).start()
            try:
                yield self
            finally:
                await runner.cleanup()

    # One request

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") in ("true", "1"):
            return await self._watched(request)
        write = request.method != "GET"
        if write and "/leases" not in request.path:
            self.writes += 1
            self.written.append(f"{request.method} {request.path}")
            if self._kill is not None and self.writes >= self._kill[0]:
                return await self._killed(request)
        fault = self._draw(write=write)
        if fault in _STATUS:
            return _status(*_STATUS[fault])
        if fault in (Fault.HELD, Fault.REFUSED):
            if fault is Fault.HELD:
                await asyncio.sleep(HELD_SECONDS)
            return _cut(request)
        answer = await self._passed(request)
        if fault in (Fault.UNHEARD, Fault.HELD_DONE):
            if fault is Fault.HELD_DONE:
                await asyncio.sleep(HELD_SECONDS)
            return _cut(request)
        return answer

    def _draw(self, *, write: bool) -> Fault | None:
        if not self.storming or self._chance.random() >= self._share:
            return None
        fault = self._chance.choice([f for f in Fault if write or f not in _WRITES_ONLY])
        self.met[fault] += 1
        return fault

    async def _killed(self, request: web.Request) -> web.StreamResponse:
        assert self._kill is not None
        (_, done, kill), self._kill = self._kill, None
        if done:
            await self._passed(request)
        self.met["kill after a write was done" if done else "kill before a write"] += 1
        kill()
        return _cut(request)

    async def _passed(self, request: web.Request) -> web.Response:
        assert self._upstream is not None
        body = await request.read()
        async with self._upstream.request(
            request.method, self._api.url + request.raw_path, data=body or None, headers=_headers(request)
        ) as answer:
            payload = await answer.read()
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP | {"content-length"}}
            return web.Response(status=answer.status, body=payload, headers=kept)

    # One watch

    async def _watched(self, request: web.Request) -> web.StreamResponse:
        assert self._upstream is not None
        if self.storming and self._chance.random() < self._share:
            self.met["watch too old (410)"] += 1
            return _too_old()
        if request.path.endswith("/telegrambots"):
            self.watched.set()
        number, self._watches = self._watches, self._watches + 1
        lives = self._chance.expovariate(1 / WATCH_SECONDS)
        async with self._upstream.get(self._api.url + request.raw_path, headers=_headers(request)) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP | {"content-length"}}
            response = web.StreamResponse(status=answer.status, headers=kept)
            loop = asyncio.get_running_loop()
            reset = loop.call_later(lives, self._reset, request)
            try:
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    if number < self._deaf_before:
                        self.muted[request.path.rpartition("/")[2]] += 1
                        continue
                    await response.write(chunk)
            except (ConnectionError, aiohttp.ClientError):
                return response  # the client has gone, or the reset was ours
            finally:
                reset.cancel()
        return response

    def _reset(self, request: web.Request) -> None:
        if self.storming:
            self.met["watch reset"] += 1
            _cut(request)


def _headers(request: web.Request) -> dict[str, str]:
    dropped = _HOP_BY_HOP | {"authorization", "content-length"}
    return {name: value for name, value in request.headers.items() if name.lower() not in dropped}


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # nobody gets it


def _too_old() -> web.Response:
    """As the API server says it of a watch: in the stream. (As an HTTP status it would end kopf, and the operator with it.)"""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
    line = json.dumps({"type": "ERROR", "object": status}) + "\n"
    return web.Response(body=line, content_type="application/json")


def _status(code: int, reason: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
            "message": f"storm: {reason}"}  # fmt: skip
    headers = {"Retry-After": "1"} if code == 429 else {}
    return web.Response(status=code, body=json.dumps(body), content_type="application/json", headers=headers)
