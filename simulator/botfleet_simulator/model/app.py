"""The model simulator as a whole: answers, HTTP port, admin port.

Wiring and the few admin routes; it must never show requests on the port that clients use.
"""

import contextlib
import fnmatch
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import Field

from botfleet_simulator import __version__, log
from botfleet_simulator.model import answers as answering
from botfleet_simulator.model.server import EFFECTS, LASTING, ModelServer, Seen
from botfleet_simulator.serving import http_site
from botfleet_simulator.web import Body, FaultRoutes, ProblemError, error_middleware, number, patience, read

_log = log.get("model")


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen and what to answer."""

    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    answers: Path | None = None
    keys: Path | None = None


class NewAnswers(Body):
    """Answers to use from now on: YAML text or data."""

    answers: str | dict[str, Any]


class SettingsChange(Body):
    """What can be changed: seconds before each answer; keys that are accepted, models that take images (null: any)."""

    latency: float | None = Field(default=None, ge=0)
    keys: list[str] | None = None
    vision: list[str] | None = None


class AdminRoutes:
    """The admin port."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    def make_app(self) -> web.Application:
        """The admin application."""
        app = web.Application(middlewares=[error_middleware({answering.AnswersError: 422})])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/requests", self._requests)
        app.router.add_delete("/requests", self._forget)
        app.router.add_get("/requests/last", self._last)
        app.router.add_get("/wait/requests", self._wait)
        app.router.add_put("/answers", self._answers)
        app.router.add_get("/settings", self._settings)
        app.router.add_patch("/settings", self._change_settings)
        FaultRoutes(self._server.faults, lasting=LASTING, matchers=frozenset({"key", "model", "api"})).add_to(app)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": __version__, "effects": sorted(EFFECTS)})

    def _wanted(self, request: web.Request) -> Callable[[Seen], bool]:
        key, model = request.query.get("key", "*"), request.query.get("model", "*")
        contains, outcome = request.query.get("contains", ""), request.query.get("outcome", "*")

        def fits(seen: Seen) -> bool:
            if not fnmatch.fnmatchcase(seen.key, key) or not fnmatch.fnmatchcase(seen.model, model):
                return False
            if not fnmatch.fnmatchcase(seen.outcome, outcome):
                return False
            return not contains or any(contains in message["content"] for message in seen.messages)

        return fits

    async def _requests(self, request: web.Request) -> web.Response:
        wanted, after = self._wanted(request), number(request, "after", number(request, "since", 0))
        return web.json_response([asdict(seen) for seen in self._server.seen.after(after) if wanted(seen)])

    async def _last(self, _: web.Request) -> web.Response:
        return web.json_response({"seq": self._server.seen.last_seq})

    async def _forget(self, _: web.Request) -> web.Response:
        self._server.seen.clear()
        return web.json_response({})

    async def _wait(self, request: web.Request) -> web.Response:
        found = await self._server.seen.wait(
            self._wanted(request),
            count=number(request, "count", 1),
            after=number(request, "after", 0),
            timeout=patience(request),
        )
        if found is None:
            raise ProblemError(408, "not so many such requests came in time")
        return web.json_response([asdict(seen) for seen in found])

    async def _answers(self, request: web.Request) -> web.Response:
        self._server.answers = answering.load((await read(request, NewAnswers)).answers)
        return web.json_response({})

    async def _settings(self, _: web.Request) -> web.Response:
        server = self._server
        return web.json_response({"latency": server.latency, "keys": server.keys, "vision": server.vision})

    async def _change_settings(self, request: web.Request) -> web.Response:
        change = await read(request, SettingsChange)
        if change.latency is not None:
            self._server.latency = change.latency
        if "keys" in change.model_fields_set:
            self._server.keys = change.keys
        if "vision" in change.model_fields_set:
            self._server.vision = change.vision
        return await self._settings(request)


@contextlib.asynccontextmanager
async def serve(options: Options) -> AsyncIterator[dict[str, Any]]:
    """Serve until left. Yields the ports."""
    keys = None
    if options.keys is not None:
        lines = options.keys.read_text(encoding="utf-8").splitlines()
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    server = ModelServer(answering.load(options.answers), keys)
    async with (
        http_site(server.make_app(), options.host, options.port) as port,
        http_site(AdminRoutes(server).make_app(), options.admin_host, options.admin_port) as admin_port,
    ):
        _log.info("model.listening", host=options.host, port=port)
        yield {"port": port, "admin_port": admin_port}
