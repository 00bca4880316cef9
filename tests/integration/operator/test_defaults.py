"""Defaults of a namespace, from `kubectl apply` to the bots that they concern, against a real API server."""

from __future__ import annotations

from typing import Any

import yaml

from tests.integration.operator.harness import Place, bot_of, credentials, eventually


def defaults_of(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "botfleet.dev/v1alpha1",
        "kind": "TelegramBotDefaults",
        "metadata": {"name": "default"},
        "spec": spec,
    }


def spec_of(place: Place, name: str) -> dict[str, Any]:
    """What the runner gets."""
    return dict(yaml.safe_load(place.get("configmap", name)["data"]["bot.yaml"])["spec"])


def template_of(place: Place, name: str) -> dict[str, Any]:
    return dict(place.get("deployment", name)["spec"]["template"])


def test_what_a_namespace_says_reaches_its_bots_and_a_change_restarts_only_those_that_it_concerns(place: Place) -> None:
    key = {"name": "openai", "key": "api-key"}
    place.apply(defaults_of(model={"name": "gpt-5-mini", "apiKeySecretRef": key}))
    place.apply(*credentials("first", 910_001), *credentials("second", 910_002))
    place.apply(bot_of("first", model={"timeoutSeconds": 9}), bot_of("second", model={}))
    for name in ("first", "second"):
        place.wait("Provisioned", "True", name=name)
        assert spec_of(place, name)["model"]["name"] == "gpt-5-mini"
        assert place.bot(name)["status"]["defaults"] == {"name": "default", "generation": 1}
    assert "gpt-5-mini" in place.kubectl("get", "tgbd", "--no-headers")
    before = {name: template_of(place, name) for name in ("first", "second")}

    place.apply(defaults_of(model={"name": "gpt-5-mini", "apiKeySecretRef": key, "timeoutSeconds": 8}))
    eventually(lambda: spec_of(place, "second")["model"]["timeoutSeconds"] == 8)
    eventually(lambda: all(place.bot(n)["status"]["defaults"]["generation"] == 2 for n in before))
    assert template_of(place, "first") == before["first"], "it says its own"
    assert template_of(place, "second") != before["second"]

    place.kubectl("delete", "telegrambotdefaults", "default")
    said = place.wait("Accepted", "False", "Incomplete", name="second")
    assert "spec.model.name" in said["message"]
    eventually(lambda: "defaults" not in place.bot("second")["status"])


def test_defaults_that_only_the_operator_can_judge_are_refused_on_the_bots(place: Place) -> None:
    hours = [{"days": ["Mon"], "from": "09:00", "to": "18:00"}]
    place.apply(defaults_of(schedule={"timeZone": "Europe/Atlantis", "workingHours": hours}))
    place.apply(*credentials("concierge", 910_003), bot_of())
    said = place.wait("Accepted", "False", "DefaultsInvalid")["message"]
    assert "TelegramBotDefaults default" in said
    assert "spec.schedule.timeZone" in said
    place.apply(defaults_of(schedule={"timeZone": "Europe/Athens", "workingHours": hours}))
    place.wait("Provisioned", "True")


def config_map(text: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": "house", "labels": {f"botfleet.dev/{name}": value for name, value in labels.items()}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"concierge": text}}


def test_a_prompt_in_a_configmap_is_followed_once_it_is_labelled_and_kept_when_it_goes(place: Place) -> None:
    source = {"configMapKeyRef": {"name": "house", "key": "concierge"}}
    place.apply(*credentials("concierge", 910_004), config_map("You are Ada."), bot_of(persona={"promptFrom": source}))
    said = place.wait("Accepted", "False", "ConfigMapNotLabelled")["message"]
    assert not place.exists("deployment", "concierge")
    command = said.rpartition("kubectl ")[2].split()
    place.kubectl(*command[2:])  # without -n NAMESPACE, which is in every call here
    place.wait("Provisioned", "True")
    assert spec_of(place, "concierge")["persona"]["prompt"] == "You are Ada."
    before = template_of(place, "concierge")
    place.apply(config_map("You are Bo.", prompt="true"))
    eventually(lambda: spec_of(place, "concierge")["persona"]["prompt"] == "You are Bo.")
    eventually(lambda: template_of(place, "concierge") != before)
    after = template_of(place, "concierge")
    place.kubectl("delete", "configmap", "house")
    place.wait("Accepted", "False", "ConfigMapMissing")
    assert template_of(place, "concierge") == after
