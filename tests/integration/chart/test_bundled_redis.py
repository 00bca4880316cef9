"""Promises of the bundled Redis, kept by a real one with the chart's configuration: nobody without a user of the ACL file,
and a refusal rather than a loss when it is full."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from botfleet_tools.servers.base import Daemon, free_port

if TYPE_CHECKING:
    from tests.integration.chart.conftest import Chart

PASSWORD = "operator-word-21"
READY_SECONDS = 20.0


def configuration(chart: "Chart", values: dict[str, object], folder: Path, port: int) -> Path:
    (config,) = [doc for doc in chart.render(values) if doc["kind"] == "ConfigMap" and "redis.conf" in doc["data"]]
    text = (
        config["data"]["redis.conf"].replace("dir /data", f"dir {folder}").replace("/run/botfleet/redis", str(folder))
    )
    path = folder / "redis.conf"
    path.write_text(text.replace("port 6379", f"port {port}\nbind 127.0.0.1"))
    return path


@pytest.fixture
def port(chart: "Chart", tmp_path: Path) -> Iterator[int]:
    """A Redis with the chart's configuration and 2 MB, on this port."""
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    (tmp_path / "users.acl").write_text(f"user default off\nuser botfleet-operator on #{digest} ~* &* +@all\n")
    number = free_port()
    config = configuration(chart, {"redis": {"bundled": {"maximumMemory": "2mb"}}}, tmp_path, number)
    daemon = Daemon("redis", tmp_path / "redis.log")
    daemon.start(["redis-server", config], cwd=tmp_path)
    try:
        daemon.wait_ready(lambda: answers(number), READY_SECONDS)
        yield number
    finally:
        daemon.end()


def answers(number: int) -> bool:
    try:
        with redis.Redis(port=number, socket_timeout=1) as client:
            client.ping()
    except redis.AuthenticationError:
        return True
    except redis.RedisError:
        return False
    return False


def test_nobody_gets_in_without_a_user_of_the_file(port: int) -> None:
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.get("key")
    with redis.Redis(port=port, username="botfleet-operator", password=PASSWORD) as operator:
        assert operator.ping()
        assert operator.acl_users() == ["botfleet-operator", "default"]


def test_a_full_server_refuses_to_write_and_forgets_nothing(port: int) -> None:
    with redis.Redis(port=port, username="botfleet-operator", password=PASSWORD) as operator:
        operator.set("first", "kept")
        with pytest.raises(redis.OutOfMemoryError):
            for number in range(100):
                operator.set(f"key-{number}", "x" * 100_000)
        assert operator.get("first") == b"kept"


def test_what_is_acknowledged_is_on_the_disk(port: int) -> None:
    with redis.Redis(port=port, username="botfleet-operator", password=PASSWORD) as operator:
        assert operator.config_get("appendonly") == {"appendonly": "yes"}
        assert operator.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_without_persistence_nothing_is_written(chart: "Chart", tmp_path: Path) -> None:
    values: dict[str, object] = {"redis": {"bundled": {"persistence": {"enabled": False}}}}
    text = configuration(chart, values, tmp_path, 1).read_text()
    assert "appendonly no" in text
    assert 'save ""' in text
