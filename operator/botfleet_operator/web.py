"""
Why: probes and metrics are answered from the first second, while the operator still waits for database, CRD or leadership
(kopf's own endpoint begins only after its start-up handlers).
Never: answer anything that changes something, or anything about a single bot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from botfleet_operator.metrics import Metrics


class ProbeServer:
    """/livez, /readyz and /metrics. `live` and `ready` return None, or a word on what is wrong."""

    def __init__(
        self, address: str, metrics: Metrics, *, live: Callable[[], str | None], ready: Callable[[], str | None]
    ) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host, int(port)
        self._metrics, self._live, self._ready = metrics, live, ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Begins to serve; returns the port (useful with port 0)."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/livez", self._answer(self._live)),
                web.get("/readyz", self._answer(self._ready)),
                web.get("/metrics", self._metrics_page),
            ]
        )
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @staticmethod
    def _answer(check: Callable[[], str | None]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(_: web.Request) -> web.Response:
            wrong = check()
            return web.Response(text=wrong or "ok", status=503 if wrong else 200)

        return handler

    async def _metrics_page(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})
