"""From `kubectl apply` to a bot that may answer, and back, against a real API server, PostgreSQL and Redis."""

from __future__ import annotations

from tests.integration.operator.harness import Installation, bot_of, credentials


async def test_a_bot_is_made_with_all_that_it_needs(installation: Installation) -> None:
    installation.operator().wait_leading()
    installation.apply(*credentials(), bot_of())
    installation.wait("concierge", "Provisioned", "True")
    for kind, name in (("serviceaccount", "concierge"), ("configmap", "concierge"), ("secret", "concierge-botfleet")):
        assert installation.exists(kind, name)
    runner = installation.runner("concierge")
    await runner.acquire()
    await runner.report()
    ready = installation.wait("concierge", "Ready", "True")
    assert ready["reason"] == "Ready"
    assert installation.bot("concierge")["status"]["phase"] == "Running"
    assert installation.bot("concierge")["status"]["account"] == {"id": 1, "username": "a_bot"}
    await runner.close()
