"""Promises of the probes: answered while the event loop is blocked, truthful about readiness, and no more than that."""

import http.client
from collections.abc import Iterator

import pytest

from botrunner.health import BLOCKED_AFTER_SECONDS, HealthServer, Vitals
from botrunner.metrics import Metrics


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vitals(clock: Clock) -> Vitals:
    return Vitals(clock)


@pytest.fixture
def server(vitals: Vitals) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1:0", vitals, Metrics())
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_blocked_event_loop_is_not_alive(server: HealthServer, vitals: Vitals, clock: Clock) -> None:
    assert get(server, "/livez") == (200, "ok\n")
    clock.now = BLOCKED_AFTER_SECONDS + 1
    assert get(server, "/livez")[0] == 503
    assert vitals.beat() == BLOCKED_AFTER_SECONDS + 1
    assert get(server, "/livez")[0] == 200


def test_readiness_tells_its_reason(server: HealthServer, vitals: Vitals) -> None:
    vitals.why_not_ready = "Disconnected"
    assert get(server, "/readyz") == (503, "Disconnected\n")
    vitals.ready = True
    assert get(server, "/readyz") == (200, "ok\n")


def test_metrics_have_the_products_names_and_anything_else_is_not_there(server: HealthServer) -> None:
    status, text = get(server, "/metrics")
    assert status == 200
    assert "botfleet_runner_messages_answered_total" in text
    assert get(server, "/")[0] == 404
