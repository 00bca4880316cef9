"""The Telegram simulator as a whole: state folder, key, accounts file, MTProto port, admin port.

Wiring only.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botfleet_simulator.telegram.methods  # noqa: F401 - registers the methods
from botfleet_simulator.serving import http_site
from botfleet_simulator.telegram import keyfile, seed
from botfleet_simulator.telegram.admin import make_app
from botfleet_simulator.telegram.server import Server


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen and where to keep what."""

    state: Path
    host: str = "127.0.0.1"
    port: int = 8443
    admin_host: str = "127.0.0.1"
    admin_port: int = 8444
    public_host: str | None = None
    private_key: Path | None = None
    accounts: Path | None = None


@contextlib.asynccontextmanager
async def serve(options: Options) -> AsyncIterator[dict[str, Any]]:
    """Serve until left. Yields what a caller needs to know to connect."""
    options.state.mkdir(parents=True, exist_ok=True)
    wanted = seed.read(options.accounts) if options.accounts is not None else None
    private = options.private_key or options.state / "private_key.pem"
    if options.private_key is None and not private.exists():
        keyfile.generate(private)
    key = keyfile.load(private)
    public = options.state / "public_key.pem"
    public.write_text(key.public_pem, encoding="ascii")
    server = Server(options.state, key, options.public_host or options.host)
    try:
        if wanted is not None:
            seed.apply(server, wanted)
        await server.listen(options.host, options.port)
        async with http_site(make_app(server), options.admin_host, options.admin_port) as admin_port:
            yield {"port": server.port, "admin_port": admin_port, "public_key": str(public)}
    finally:
        await server.close()
