"""Kubernetes Events as a real API server takes them."""

from __future__ import annotations

import json

from tests.integration.operator.harness import Place, bot_of, credentials, eventually


def events(place: Place, name: str) -> dict[str, tuple[str, str, int]]:
    """Of one bot, by reason: type, note, how often."""
    found = json.loads(place.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return {
        e["reason"]: (e["type"], e["note"], e.get("series", {}).get("count", 1))
        for e in found
        if e["regarding"]["kind"] == "TelegramBot" and e["regarding"]["name"] == name
    }


def test_a_bots_transitions_are_kubernetes_events_whose_series_can_be_counted_on(place: Place) -> None:
    app, model, token = credentials(account=20254)
    place.apply(app, model, bot_of())
    place.wait("Accepted", "False", "SecretMissing")
    kind, note, count = eventually(lambda: events(place, "concierge")["SecretMissing"])
    assert (kind, count) == ("Warning", 1)
    assert note == place.condition("Accepted")["message"]
    name = place.kubectl("get", "events.events.k8s.io", "-o", "name").split()[0]
    again = {"series": {"count": 2, "lastObservedTime": "2026-01-02T03:04:05.000006Z"}}  # as the recorder patches it
    place.kubectl("patch", name, "--type=merge", "-p", json.dumps(again))
    assert events(place, "concierge")["SecretMissing"][2] == 2
    place.apply(token)
    place.wait("Provisioned", "True")
    eventually(lambda: events(place, "concierge")["Accepted"][0] == "Normal")
    place.kubectl("patch", "telegrambot", "concierge", "--type=merge", '-p={"spec":{"suspend":true}}')
    eventually(lambda: "Suspended" in events(place, "concierge"))
    place.kubectl("delete", "telegrambot", "concierge")
    eventually(lambda: "Deleted" in events(place, "concierge"))
    assert set(events(place, "concierge")) == {"SecretMissing", "Accepted", "Suspended", "Deleted"}
