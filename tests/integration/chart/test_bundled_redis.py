"""Promises of the bundled Redis, kept by a real one with the chart's configuration: nobody without a user of the ACL file,
and a refusal rather than a loss when it is full."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from botfleet_operator.bootstrap import users_acl
from botfleet_operator.provision.bus import Users
from botfleet_tools.servers.base import READY_SECONDS, Daemon, free_port

if TYPE_CHECKING:
    from tests.integration.chart.conftest import Chart

PASSWORD = "operator-word-21"


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
    users = users_acl("botfleet-operator", PASSWORD) + f"user tester on #{digest} ~* &* +@all\n"
    (tmp_path / "users.acl").write_text(users)
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
    with redis.Redis(port=port, username="tester", password=PASSWORD) as tester:
        assert tester.acl_users() == ["botfleet-operator", "default", "tester"]


async def test_the_operator_makes_users_for_bots_and_sees_no_key(port: int) -> None:
    """With what bootstrap writes and the operator sends, on the oldest Redis that is supported."""
    users = Users(f"redis://botfleet-operator@127.0.0.1:{port}/0", PASSWORD, "0a1b2c3d")
    try:
        await users.ensure("bf_0a1b2c3d_0123456789abcdef", "0123456789abcdef" * 2, "bot-word-22")
        assert list(await users.present()) == ["bf_0a1b2c3d_0123456789abcdef"]
    finally:
        await users.close()
    with redis.Redis(port=port, username="botfleet-operator", password=PASSWORD) as operator:
        for refused in (operator.keys, operator.flushall, operator.config_get, operator.shutdown):
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()


async def test_the_operator_erases_a_bots_keys_and_no_others_without_a_right_of_its_own_to_any(port: int) -> None:
    """The prefix of one bot begins like that of another: a key is one bot's or it is not."""
    bot, user = "0123456789abcdef" * 2, "bf_0a1b2c3d_0123456789abcdef"
    users = Users(f"redis://botfleet-operator@127.0.0.1:{port}/0", PASSWORD, "0a1b2c3d")
    others = {b"bf:0a1b2c3d:other:events", b"bf:0a1b2c3d:" + bot.encode() + b"0:events", b"somebody's"}
    with redis.Redis(port=port, username="tester", password=PASSWORD) as tester:
        for key in (*others, f"bf:0a1b2c3d:{bot}:events", *(f"bf:0a1b2c3d:{bot}:{number}" for number in range(3000))):
            tester.set(key, "1")
        try:
            await users.ensure(user, bot, "bot-word-22")
            for _ in ("once", "and again: there is nothing left"):
                await users.erase_keys(user, bot)
                assert set(tester.keys()) == others
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=port, username=user, password="bot-word-22").ping()
            await users.remove(user)
            assert await users.present() == {}
        finally:
            await users.close()


def test_a_full_server_refuses_to_write_and_forgets_nothing(port: int) -> None:
    with redis.Redis(port=port, username="tester", password=PASSWORD) as tester:
        tester.set("first", "kept")
        with pytest.raises(redis.OutOfMemoryError):
            for number in range(100):
                tester.set(f"key-{number}", "x" * 100_000)
        assert tester.get("first") == b"kept"


def test_what_is_acknowledged_is_on_the_disk(port: int) -> None:
    with redis.Redis(port=port, username="tester", password=PASSWORD) as tester:
        assert tester.config_get("appendonly") == {"appendonly": "yes"}
        assert tester.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_without_persistence_nothing_is_written(chart: "Chart", tmp_path: Path) -> None:
    values: dict[str, object] = {"redis": {"bundled": {"persistence": {"enabled": False}}}}
    text = configuration(chart, values, tmp_path, 1).read_text()
    assert "appendonly no" in text
    assert 'save ""' in text
