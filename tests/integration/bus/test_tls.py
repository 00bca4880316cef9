"""A Redis that speaks TLS (`redis.external.tls`): for the bots' events, and for the operator that makes their users."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from botfleet.bus.port import BusUnavailable
from botfleet.bus.streams import StreamBus
from botfleet.store.events import Event
from botfleet_operator.provision.bus import BusUnavailableError, Users
from botfleet_tools.pki import Authority
from botfleet_tools.servers import Redis
from botfleet_tools.servers.base import free_port

INSTALLATION, BOT = "1nsta11d", "b0t"
USER, PASSWORD = f"bf_{INSTALLATION}_{BOT}", "a-password"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
async def admin(server: Redis) -> AsyncIterator[Any]:
    client = redis.asyncio.Redis.from_url(server.url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
def authority() -> Authority:
    return Authority("somebody's authority")


@pytest.fixture
async def encrypted(admin: Any, authority: Authority, tmp_path: Path) -> int:
    """The port on which the server speaks TLS only, with a certificate for `localhost`."""
    certificate, key = authority.issue("redis", dns=["localhost"]).write(tmp_path, "redis")
    while True:
        port = free_port()
        settings = ("tls-cert-file", certificate, "tls-key-file", key, "tls-auth-clients", "no", "tls-port", port)
        try:
            await admin.execute_command("CONFIG", "SET", *map(str, settings))
        except ResponseError as error:  # a server of another test was quicker
            assert "listen" in str(error)
        else:
            return port


@pytest.fixture
def known(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is one that the machine knows, as an image knows the public ones."""
    file = tmp_path / "authorities.pem"
    file.write_bytes(authority.pair.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


def event() -> Event:
    return Event("0" * 32, "reply.sent", datetime.now(UTC), {"chat_id": 1})


async def test_the_operator_makes_users_and_bots_tell_events_over_tls(
    server: Redis, admin: Any, encrypted: int, known: None
) -> None:
    users = Users(f"rediss://{server.user}@localhost:{encrypted}/0", server.password, INSTALLATION)
    await users.ensure(USER, BOT, PASSWORD)
    await users.close()
    bus = StreamBus(f"rediss://{USER}@localhost:{encrypted}/0", PASSWORD, f"bf:{INSTALLATION}:{BOT}:")
    await bus.publish([event()])
    await bus.close()
    assert await admin.xlen(f"bf:{INSTALLATION}:{BOT}:events") == 1


async def test_a_server_whose_authority_is_not_known_gets_no_password_and_no_event(
    server: Redis, encrypted: int
) -> None:
    users = Users(f"rediss://{server.user}@localhost:{encrypted}/0", server.password, INSTALLATION)
    with pytest.raises(BusUnavailableError):
        await users.run_id()
    await users.close()
    bus = StreamBus(f"rediss://{USER}@localhost:{encrypted}/0", PASSWORD, "bf:x:y:")
    with pytest.raises(BusUnavailable):
        await bus.publish([event()])
    await bus.close()


async def test_a_certificate_for_another_name_is_refused(server: Redis, encrypted: int, known: None) -> None:
    users = Users(f"rediss://{server.user}@127.0.0.1:{encrypted}/0", server.password, INSTALLATION)
    with pytest.raises(BusUnavailableError):
        await users.run_id()
    await users.close()
