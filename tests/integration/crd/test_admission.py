"""Promises of `kubectl apply`: what is wrong is refused by the API server itself, with the field and what to write instead."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet_tools.run import CommandFailedError
from botfleet_tools.servers import ApiServer
from tests.unit.core.test_defaults import document as defaults
from tests.unit.core.test_spec import MINIMAL, REFERENCE, bot

ROOT = Path(__file__).parents[3]


def apply(api: ApiServer, document: dict[str, Any]) -> str:
    return api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"spec__persona__promt": "x"}, 'unknown field "spec.persona.promt"'),
    ({"spec__persona__prompt": ""}, "write who the bot is"),
    ({"spec__persona__prompt": "  "}, "write who the bot is"),
    ({"spec__persona__prompt": 5}, "spec.persona.prompt"),
    ({"spec__persona__promptFrom": {"configMapKeyRef": REFERENCE}}, "the prompt is said twice"),
    ({"spec__persona": {"promptFrom": {}}}, "promptFrom has one source"),
    ({"spec__persona": {"promptFrom": {"configMapKeyRef": REFERENCE, "secretKeyRef": REFERENCE}}}, "has one source"),
    ({"spec__model__temperature": 9}, "temperature must lie between 0 and 2"),
    ({"spec__model__temperature": "warm"}, "spec.model.temperature"),
    ({"spec__model__baseUrl": "api.openai.com"}, "baseUrl must be a URL"),
    ({"spec__model__maxOutputTokens": 0}, "spec.model.maxOutputTokens"),
    ({"spec__model__fallbacks": [{"name": "f"}] * 4}, "spec.model.fallbacks"),
    ({"spec__model__fallbacks": [{"name": "f", "baseUrl": "http://b.invalid/v1"}]}, "has a key of its own"),
    ({"spec__model__fallbacks": [{"name": "f", "temperature": 3}]}, "temperature must lie between 0 and 2"),
    ({"spec__model__pricePerMillionTokens": {"input": -0.5, "output": 1}}, "spec.model.pricePerMillionTokens.input"),
    ({"spec__limits": {"budget": {"tokensPerDay": -1}}}, "spec.limits.budget.tokensPerDay"),
    ({"spec__account__sessionSecretRef": {"name": "s", "key": "k"}}, "give botTokenSecretRef"),
    ({"spec__account__botTokenSecretRef": None}, "give botTokenSecretRef"),
    ({"spec__account__type": "User"}, "give sessionSecretRef"),
    ({"spec__account__type": "Robot"}, "spec.account.type"),
    ({"spec__account__apiCredentialsSecretRef": None}, "spec.account.apiCredentialsSecretRef"),
    ({"spec__conversation": {"debounceSeconds": -1}}, "spec.conversation.debounceSeconds"),
    ({"spec__deletionPolicy": "Burn"}, "spec.deletionPolicy"),
    ({"spec__workload": {"resources": {"limits": {"memory": "lots"}}}}, "spec.workload.resources.limits"),
    ({"spec__workload": {"tolerations": [{"key": "k", "operator": "Exist"}]}}, "spec.workload.tolerations[0].operator"),
    ({"spec__network": {"egress": [{"ports": [{"port": 1}]}]}}, "spec.network.egress[0].to"),
    ({"spec__network": {"egress": [{"to": []}]}}, "spec.network.egress[0].to"),
    ({"spec__network": {"egress": [{"to": [{}]}]}}, "either an ipBlock or selectors"),
    (
        {"spec__network": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]}},
        "either an ipBlock or selectors",
    ),
    ({"spec__network": {"egress": [{"to": [{"ipBlock": {"cidr": "everything"}}]}]}}, "ipBlock.cidr"),
    (
        {"spec__network": {"egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 9, "endPort": 8}]}]}},
        "endPort must not be below port",
    ),
    ({"spec__network": {"egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 0}]}]}}, "ports[0].port"),
    ({"spec__network": {"egress": [{"to": [{"podSelector": {}}]}] * 17}}, "spec.network.egress"),
    (
        {
            "spec__network": {
                "egress": [{"to": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}]
            }
        },
        "In and NotIn need values",
    ),
    ({"metadata__name": "x" * 51}, "at most 50 characters"),
    ({"metadata__name": "a.b"}, "DNS label"),
    ({"spec": None}, "spec"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_a_mistake_is_refused_with_the_field_and_what_to_write(
    api: ApiServer, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(CommandFailedError) as refused:
        apply(api, bot(**changes))
    assert told in refused.value.output


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_the_examples_are_accepted(api: ApiServer, path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    document["metadata"]["namespace"] = "default"
    assert "created" in apply(api, document)
    api.kubectl("delete", "telegrambot", document["metadata"]["name"])


def test_the_example_with_defaults_is_accepted(api: ApiServer) -> None:
    api.kubectl("create", "namespace", "hotel")
    assert api.kubectl("apply", "-f", str(ROOT / "examples/defaults/hotel.yaml")).count("created") == 4
    assert "gpt-5-mini" in api.kubectl("-n", "hotel", "get", "tgbd")


def test_the_api_server_writes_no_default_into_an_object(api: ApiServer) -> None:
    apply(api, MINIMAL)
    stored = yaml.safe_load(api.kubectl("get", "telegrambot", "concierge", "-o", "yaml"))
    assert stored["spec"] == MINIMAL["spec"]


DEFAULTS_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"suspend": True}, 'unknown field "spec.suspend"'),
    ({"deletionPolicy": "Retain"}, 'unknown field "spec.deletionPolicy"'),
    ({"account": {"botTokenSecretRef": {"name": "b", "key": "t"}}}, 'unknown field "spec.account.botTokenSecretRef"'),
    ({"model": {"temperature": 9}}, "temperature must lie between 0 and 2"),
    ({"schedule": {"timeZone": "UTC"}}, "spec.schedule.workingHours"),
]


@pytest.mark.parametrize(("spec", "told"), DEFAULTS_REFUSED)
def test_what_no_default_can_say_is_refused(api: ApiServer, spec: dict[str, Any], told: str) -> None:
    with pytest.raises(CommandFailedError) as refused:
        apply(api, defaults(**spec))
    assert told in refused.value.output


def test_one_object_a_namespace_can_have_the_defaults(api: ApiServer) -> None:
    for name in ("other", "default.other"):
        with pytest.raises(CommandFailedError) as refused:
            apply(api, defaults(name=name))
        assert "write metadata.name: default" in refused.value.output
    assert "created" in apply(api, defaults(model={"name": "gpt-5-mini"}))
    shown = api.kubectl("get", "tgbd").split()
    assert shown[:2] == ["NAME", "MODEL"]
    assert "gpt-5-mini" in shown
    stored = yaml.safe_load(api.kubectl("get", "telegrambotdefaults", "default", "-o", "yaml"))
    assert stored["spec"] == {"model": {"name": "gpt-5-mini"}}
