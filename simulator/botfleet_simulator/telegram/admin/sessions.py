"""Admin routes of sessions and connections: list, revoke, cut.

It must never show a key.
"""

from aiohttp import web

from botfleet_simulator.telegram.admin import views
from botfleet_simulator.telegram.connection import Connection
from botfleet_simulator.telegram.refs import account_of
from botfleet_simulator.telegram.server import Server
from botfleet_simulator.telegram.session import KeyRecord
from botfleet_simulator.web import Body, ProblemError, flag, number, patience, poll, read


class Cut(Body):
    """Whose connections to cut; nothing given: everybody's."""

    account: int | str | None = None
    key_id: str | None = None


class Routes:
    """Routes of sessions and connections."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/sessions", self._sessions)
        app.router.add_delete("/sessions", self._revoke_all)
        app.router.add_delete("/sessions/{key_id}", self._revoke)
        app.router.add_get("/connections", self._connections)
        app.router.add_get("/wait/connections", self._wait_connections)
        app.router.add_post("/cut", self._cut)

    def _account_id(self, request: web.Request) -> int | None:
        ref = request.query.get("account")
        return None if ref is None else account_of(self._server.world, ref).id

    def _records(self, account_id: int | None) -> list[KeyRecord]:
        return list(self._server.keys.values()) if account_id is None else self._server.keys_of(account_id)

    def _live(
        self, account_id: int | None, key_id: str | None = None, *, receiving: bool | None = None
    ) -> list[Connection]:
        found = []
        for connection in self._server.connections:
            key = connection.key
            if account_id is not None and (key is None or key.account_id != account_id):
                continue
            if key_id is not None and (key is None or key.name != key_id):
                continue
            if receiving is not None and connection.receiving != receiving:
                continue
            found.append(connection)
        return sorted(found, key=lambda connection: connection.number)

    async def _sessions(self, request: web.Request) -> web.Response:
        records = self._records(self._account_id(request))
        return web.json_response([views.session(record, len(self._server.of_key(record))) for record in records])

    async def _revoke(self, request: web.Request) -> web.Response:
        wanted = request.match_info["key_id"]
        for record in self._server.keys.values():
            if record.name == wanted:
                self._server.kill_key(record, request.query.get("error", "AUTH_KEY_UNREGISTERED"))
                return web.json_response({"revoked": 1})
        raise ProblemError(404, f"no session {wanted}")

    async def _revoke_all(self, request: web.Request) -> web.Response:
        account_id = self._account_id(request)
        if account_id is None:
            raise ProblemError(422, "account is missing: whose sessions?")
        records = [record for record in self._records(account_id) if record.error is None]
        for record in records:
            self._server.kill_key(record, request.query.get("error", "AUTH_KEY_UNREGISTERED"))
        return web.json_response({"revoked": len(records)})

    async def _connections(self, request: web.Request) -> web.Response:
        found = self._live(self._account_id(request), receiving=flag(request, "receiving"))
        return web.json_response([views.connection(connection) for connection in found])

    async def _wait_connections(self, request: web.Request) -> web.Response:
        account_id, count = self._account_id(request), number(request, "count", 1)
        receiving = flag(request, "receiving")
        exactly = flag(request, "exactly")

        def enough(found: list[object]) -> bool:
            return len(found) == count if exactly else len(found) >= count

        return await poll(
            self._server.changes,
            lambda: [views.connection(connection) for connection in self._live(account_id, receiving=receiving)],
            enough,
            patience(request),
        )

    async def _cut(self, request: web.Request) -> web.Response:
        cut = await read(request, Cut)
        account_id = None if cut.account is None else account_of(self._server.world, cut.account).id
        connections = self._live(account_id, cut.key_id)
        for connection in connections:
            connection.cut()
        return web.json_response({"cut": len(connections)})
