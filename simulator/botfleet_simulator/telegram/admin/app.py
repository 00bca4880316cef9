"""The routes of the admin port put together.

It must never let a change leave unsaved: each answer goes out after the state was committed.
"""

from aiohttp import web
from aiohttp.typedefs import Handler
from telethon.tl.alltlobjects import LAYER

from botfleet_simulator import __version__
from botfleet_simulator.telegram.admin import accounts, chats, sessions, topics, traffic
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.refs import peer_of
from botfleet_simulator.telegram.server import DC_ID, Server
from botfleet_simulator.telegram.settings import LASTING
from botfleet_simulator.telegram.world import AbsentError, TakenError
from botfleet_simulator.web import FaultRoutes, error_middleware

LARGEST_BODY = 64 * 2**20


def make_app(server: Server) -> web.Application:
    """The admin application of a server."""

    @web.middleware
    async def commit(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        server.storage.commit()
        return response

    errors = error_middleware({AbsentError: 404, TakenError: 409, RpcError: 400})
    app = web.Application(middlewares=[errors, commit], client_max_size=LARGEST_BODY)

    def resolve(name: str, value: str) -> str:
        return str(peer_of(server.world, value)) if name == "account" and value != "*" else value

    FaultRoutes(server.faults, lasting=LASTING, matchers=frozenset({"method", "account"}), resolve=resolve).add_to(app)
    accounts.Routes(server).add_to(app)
    chats.Routes(server).add_to(app)
    topics.Routes(server).add_to(app)
    sessions.Routes(server).add_to(app)
    traffic.Routes(server).add_to(app)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def public_key(_: web.Request) -> web.Response:
        return web.Response(text=server.server_key.public_pem)

    async def info(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "version": __version__,
                "layer": LAYER,
                "dc_id": DC_ID,
                "port": server.port,
                "public_host": server.public_host,
                "fingerprint": server.server_key.fingerprint,
                "accounts": len(server.world.accounts),
                "connections": len(server.connections),
            }
        )

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/public-key", public_key)
    app.router.add_get("/info", info)
    return app
