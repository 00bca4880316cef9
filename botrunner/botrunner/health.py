"""Why: probes and metrics are answered by a thread, so that a blocked event loop is seen instead of being asked.

It answers GET only, tells no more than "ok" or a reason's name, and needs no web framework.
"""

import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from botrunner.metrics import Metrics

BLOCKED_AFTER_SECONDS = 10.0

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Vitals:
    """What the probes read: written by the event loop, read by the server's threads (single words: no lock is needed)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat = clock()
        self.ready = False
        self.why_not_ready = "Starting"

    def beat(self) -> float:
        """The event loop is alive; returns the seconds since the last beat."""
        now = self._clock()
        since, self._beat = now - self._beat, now
        return since

    def alive(self) -> bool:
        """Whether the loop has run within the last ten seconds."""
        return self._clock() - self._beat < BLOCKED_AFTER_SECONDS


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; the base class prints a traceback."""


class _Quiet(WSGIRequestHandler):
    timeout = 5  # seconds for one request: a client that says nothing keeps no thread

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        pass


class HealthServer:
    """Serves /livez, /readyz and /metrics on `host:port` until `close`."""

    def __init__(self, address: str, vitals: Vitals, metrics: Metrics) -> None:
        host, _, port = address.rpartition(":")
        self._metrics_app = make_wsgi_app(metrics.registry)
        self._vitals = vitals
        self._server = make_server(host, int(port), self._app, _Server, _Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops serving; returns when the thread has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def _app(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return self._metrics_app(environ, start_response)  # type: ignore[no-any-return]
        if path == "/livez":
            good, text = self._vitals.alive(), "event loop blocked"
        elif path == "/readyz":
            good, text = self._vitals.ready and self._vitals.alive(), self._vitals.why_not_ready
        else:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"try /livez, /readyz or /metrics\n"]
        start_response("200 OK" if good else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"ok\n" if good else f"{text}\n".encode()]
