"""The servers for tests: they start, keep or lose their data as they say, and none outlives its owner for long."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psycopg
import pytest
import redis

from botfleet_tools.cache import cache_dir
from botfleet_tools.pids import Process
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError
from botfleet_tools.servers import ApiServer, Postgres, Redis
from botfleet_tools.servers import postgres as postgres_server
from botfleet_tools.servers.apiserver import ApiVersion
from botfleet_tools.servers.base import ServerError, free_port

CONNECT_SECONDS = 5
OWNER = """
from botfleet_tools.servers import Redis
server = Redis()
server.start()
print(server._daemons[0].pid, server.folder, flush=True)
input()
"""


def query(dsn: str, text: str) -> object:
    with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
        row = connection.execute(text.encode()).fetchone()
        return None if row is None else row[0]


def execute(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
        connection.execute(text.encode())


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["15", "18"])
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    version: Literal["15", "18"] = request.param
    with Postgres(version, settings={"max_connections": "37"}) as server:
        yield server


def test_postgres_is_of_the_version_asked_for_and_takes_settings(postgres: Postgres) -> None:
    assert str(query(postgres.dsn, "SHOW server_version")).startswith(postgres.version)
    assert query(postgres.dsn, "SHOW max_connections") == "37"
    assert query(postgres.dsn, "SHOW fsync") == "off"


def test_postgres_asks_for_passwords_on_both_ways_in(postgres: Postgres) -> None:
    wrong = postgres.dsn_for("postgres", "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(wrong, "SELECT 1")
    by_socket = {"host": str(postgres.socket_dir), "port": postgres.port, "user": "postgres", "dbname": "postgres"}
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**by_socket, connect_timeout=CONNECT_SECONDS)  # type: ignore[arg-type]
    with psycopg.connect(**by_socket, password=postgres.password, connect_timeout=CONNECT_SECONDS):  # type: ignore[arg-type]
        pass


def test_postgres_keeps_its_data_over_restart_and_crash(postgres: Postgres) -> None:
    execute(postgres.dsn, "CREATE TABLE kept AS SELECT 1 AS x")
    port = postgres.port
    postgres.restart()
    assert query(postgres.dsn, "SELECT x FROM kept") == 1
    postgres.kill()
    assert not listens(port)
    postgres.start()
    assert postgres.port == port
    assert query(postgres.dsn, "SELECT x FROM kept") == 1
    execute(postgres.dsn, "DROP TABLE kept")


def test_the_password_of_postgres_is_in_no_file_and_on_no_command_line(postgres: Postgres) -> None:
    texts = [path.read_bytes() for path in postgres.folder.glob("*") if path.is_file()]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            texts.append(path.read_bytes())
    assert not any(postgres.password.encode() in text for text in texts)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")
def test_postgres_runs_from_a_folder_that_its_user_may_not_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "hidden"
    programs = postgres_server._copy(postgres_server._programs("18", Progress()), hidden)
    hidden.chmod(0o700)
    monkeypatch.setattr(postgres_server, "_programs", lambda *_: programs)
    with Postgres("18") as server:
        assert query(server.dsn, "SELECT 1") == 1


def test_redis_lets_nobody_in_without_a_password_and_forgets_over_a_restart() -> None:
    with Redis() as server:
        with redis.Redis(host="127.0.0.1", port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with redis.Redis.from_url(server.url) as admin:
            admin.set("x", "1")
            admin.acl_setuser("bot", enabled=True, passwords=["+secret"], keys=["bot:*"], commands=["+get", "+set"])
        with redis.Redis.from_url(server.url_for("bot", "secret")) as bot:
            bot.set("bot:1", "1")
            with pytest.raises(redis.exceptions.NoPermissionError):
                bot.get("x")
        server.restart()
        with redis.Redis.from_url(server.url) as admin:
            assert admin.get("x") is None
        assert not any(server.password in path.read_text() for path in server.folder.glob("*") if path.is_file())


def test_redis_keeps_its_data_when_asked_to() -> None:
    with Redis(append_only=True) as server:
        with redis.Redis.from_url(server.url) as admin:
            admin.set("x", "1")
        server.restart()
        with redis.Redis.from_url(server.url) as admin:
            assert admin.get("x") == b"1"


@pytest.mark.slow_start
@pytest.mark.timeout(900)  # the first use of a version builds it
@pytest.mark.parametrize("version", ["1.34", "1.36"])
def test_the_api_server_serves_stores_and_refuses(version: ApiVersion) -> None:
    if (reason := ApiServer.unavailable(version)) is not None:
        pytest.skip(reason)
    with ApiServer(version, audit=True) as server:
        assert f'"v{version}.' in server.kubectl("version", "--output=json").partition("serverVersion")[2]
        server.kubectl("create", "configmap", "kept", "--from-literal=a=b")
        assert server.kubectl("auth", "can-i", "--as=somebody", "--list", "--namespace=default")
        with pytest.raises(CommandFailedError, match="forbidden"):
            server.kubectl("get", "configmap", "kept", "--as=somebody")
        server.kill()
        assert not listens(server.port)
        server.start()
        assert "b" in server.kubectl("get", "configmap", "kept", "--output=jsonpath={.data.a}")
        assert server.audit_log is not None
        assert '"name":"kept"' in server.audit_log.read_text()
        assert server.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_a_server_that_does_not_start_shows_the_end_of_its_log_and_leaves_nothing() -> None:
    server = Postgres(settings={"no_such_setting": "1"})
    with pytest.raises(Exception, match="no_such_setting"), server:
        pytest.fail("it started")
    assert not listens(server.port)
    assert server._folder is None


def test_a_server_whose_owner_was_killed_is_ended_when_the_next_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # else the next one may be that of a test beside this one
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        process = Process.of(int(pid))
        assert process is not None
        owner.kill()
    assert process.alive()
    assert Path(folder).exists()

    with Redis():
        assert not process.alive()
        assert not Path(folder).exists()
        records = [path.read_text() for path in (cache_dir() / "servers").glob("*.json")]
        assert not any(folder in record for record in records)


def test_data_and_processes_are_gone_after_the_block() -> None:
    with Redis() as server:
        folder, pid = server.folder, server._daemons[0].pid
        assert pid is not None
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_ports_are_free_and_not_the_ones_given_to_connections() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = {free_port() for _ in range(20)}
    assert len(ports) > 15
    assert all(port < low for port in ports)


def test_a_port_that_was_found_is_found_by_nobody_else_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    find_again = f"""
from botfleet_tools.servers import base
base.random.randint = lambda *_: {port}
print(base.free_port())
"""
    other = subprocess.run([sys.executable, "-c", find_again], capture_output=True, text=True, timeout=60, check=False)
    assert (other.stdout, other.returncode) == ("", 1)
    assert "no free port" in other.stderr
    monkeypatch.setattr("botfleet_tools.servers.base.random.randint", lambda *_: port)
    with pytest.raises(ServerError, match="no free port"):
        free_port()
