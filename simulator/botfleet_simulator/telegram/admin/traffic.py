"""Admin routes of what goes on: calls seen, and the settings.

It must never show what a call carried, except for its random_id.
"""

import fnmatch
from collections.abc import Callable

from aiohttp import web
from pydantic import ValidationError

from botfleet_simulator.telegram.admin import views
from botfleet_simulator.telegram.refs import account_of
from botfleet_simulator.telegram.rpc import Call
from botfleet_simulator.telegram.server import Server
from botfleet_simulator.web import ProblemError, number, patience


class Routes:
    """Routes of calls and settings."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/calls", self._calls)
        app.router.add_delete("/calls", self._forget_calls)
        app.router.add_get("/calls/last", self._last)
        app.router.add_get("/calls/count", self._count)
        app.router.add_get("/wait/calls", self._wait_calls)
        app.router.add_get("/settings", self._settings)
        app.router.add_patch("/settings", self._change_settings)

    def _wanted(self, request: web.Request) -> Callable[[Call], bool]:
        pattern = request.query.get("method", "*").casefold()
        ref = request.query.get("account")
        account_id = None if ref is None else account_of(self._server.world, ref).id
        outcome = request.query.get("outcome", "*")

        def fits(call: Call) -> bool:
            if account_id is not None and call.account_id != account_id:
                return False
            return fnmatch.fnmatchcase(call.method.casefold(), pattern) and fnmatch.fnmatchcase(call.outcome, outcome)

        return fits

    async def _calls(self, request: web.Request) -> web.Response:
        wanted, after = self._wanted(request), number(request, "after", 0)
        return web.json_response([views.call(call) for call in self._server.calls.after(after) if wanted(call)])

    async def _count(self, request: web.Request) -> web.Response:
        wanted, after = self._wanted(request), number(request, "after", 0)
        return web.json_response({"count": sum(1 for call in self._server.calls.after(after) if wanted(call))})

    async def _last(self, _: web.Request) -> web.Response:
        return web.json_response({"seq": self._server.calls.last_seq})

    async def _wait_calls(self, request: web.Request) -> web.Response:
        found = await self._server.calls.wait(
            self._wanted(request),
            count=number(request, "count", 1),
            after=number(request, "after", 0),
            timeout=patience(request),
        )
        if found is None:
            raise ProblemError(408, "not so many such calls came in time")
        return web.json_response([views.call(call) for call in found])

    async def _forget_calls(self, _: web.Request) -> web.Response:
        self._server.calls.clear()
        return web.json_response({})

    async def _settings(self, _: web.Request) -> web.Response:
        return web.json_response(self._server.settings.model_dump())

    async def _change_settings(self, request: web.Request) -> web.Response:
        changes = await request.json()
        merged = {**self._server.settings.model_dump(), **changes}
        try:
            self._server.settings = type(self._server.settings).model_validate(merged)
        except ValidationError as error:
            first = error.errors()[0]
            raise ProblemError(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return web.json_response(self._server.settings.model_dump())
