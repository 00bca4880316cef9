"""The installation's PostgreSQL and Redis as their administrator sees them."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import redis
from psycopg import sql

from botfleet_tools.platform.forward import forwarded
from tests.e2e.conftest import Fleet


def platform_secret(fleet: Fleet, name: str, key: str) -> str:
    found = fleet.get(fleet.release.namespace, "secret", f"{fleet.release.name}-{name}")
    return base64.b64decode(found["data"][key]).decode()


def query(fleet: Fleet, statement: str | sql.Composed, *values: object) -> list[tuple[Any, ...]]:
    """As the database's superuser, whom row-level security does not concern."""
    with (
        forwarded(fleet.cluster, fleet.release.namespace, f"statefulset/{fleet.release.name}-postgres", 5432) as ports,
        psycopg.connect(
            host="127.0.0.1",
            port=ports[5432],
            dbname="botfleet",
            user="postgres",
            password=platform_secret(fleet, "postgres", "superuser-password"),
        ) as connection,
    ):
        return connection.execute(statement, values).fetchall()


@contextmanager
def redis_as(fleet: Fleet, user: str, password: str) -> Iterator["redis.Redis"]:
    with (
        forwarded(fleet.cluster, fleet.release.namespace, f"statefulset/{fleet.release.name}-redis", 6379) as ports,
        redis.Redis(host="127.0.0.1", port=ports[6379], username=user, password=password, protocol=2) as client,
    ):
        yield client


@contextmanager
def redis_operator(fleet: Fleet) -> Iterator["redis.Redis"]:
    with redis_as(fleet, "botfleet-operator", platform_secret(fleet, "redis", "operator-password")) as client:
        yield client


def redis_users(fleet: Fleet) -> list[str]:
    with redis_operator(fleet) as client:
        return [str(line).split()[1] for line in client.acl_list()]


def stream(fleet: Fleet, key: str) -> list[dict[str, str]]:
    """All that is in a stream, oldest first: read by a user of its own, made for that, since no user of the product may."""
    password = secrets.token_hex(16)
    with redis_operator(fleet) as operator:
        operator.execute_command("ACL", "SETUSER", "reader", "reset", "on", f">{password}", f"~{key}", "+xrange")
        try:
            with redis_as(fleet, "reader", password) as client:
                entries = client.execute_command("XRANGE", key, "-", "+")
        finally:
            operator.execute_command("ACL", "DELUSER", "reader")
    return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in entries]
