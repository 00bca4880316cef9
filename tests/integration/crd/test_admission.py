"""Promises of `kubectl apply`: what is wrong is refused by the API server itself, with the field and what to write instead."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet_tools.run import CommandFailedError
from botfleet_tools.servers import ApiServer
from tests.unit.core.test_defaults import document as defaults
from tests.unit.core.test_spec import HOURS, MINIMAL, REFERENCE, bot

ROOT = Path(__file__).parents[3]


def apply(api: ApiServer, document: dict[str, Any]) -> str:
    return api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))


def create(api: ApiServer, document: dict[str, Any]) -> tuple[int, str]:
    """The request of `kubectl create --dry-run=server`: status and message. A kubectl each would take ten times as long."""
    path = "/apis/botfleet.dev/v1alpha1/namespaces/default/telegrambots?fieldValidation=Strict&dryRun=All"
    context = ssl.create_default_context(cafile=str(api.ca))
    context.load_cert_chain(api.client_cert, api.client_key)
    body, head = json.dumps(document).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(api.url + path, data=body, headers=head)  # noqa: S310 -- https, ours
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as response:  # noqa: S310
            return response.status, ""
    except urllib.error.HTTPError as error:
        return error.code, str(json.load(error)["message"])


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
    # What operator-measurements.md tells of the strongest peer: each kind of nonsense that it accepted.
    # Users and volumes that would be root's or the node's: there is no field for them.
    ({"spec__workload": {"securityContext": {"runAsUser": 0}}}, 'unknown field "spec.workload.securityContext"'),
    ({"spec__workload": {"runAsUser": 0}}, 'unknown field "spec.workload.runAsUser"'),
    ({"spec__workload": {"hostNetwork": True}}, 'unknown field "spec.workload.hostNetwork"'),
    ({"spec__workload": {"volumes": [{"hostPath": {"path": "/"}}]}}, 'unknown field "spec.workload.volumes"'),
    ({"spec__workload": {"env": [{"name": "A", "value": "b"}]}}, 'unknown field "spec.workload.env"'),
    ({"spec__workload": {"serviceAccountName": "admin"}}, 'unknown field "spec.workload.serviceAccountName"'),
    ({"spec__workload": {"initContainers": []}}, 'unknown field "spec.workload.initContainers"'),
    # Shell text where a name belongs.
    ({"spec__workload": {"image": "runner; rm -rf /"}}, "spec.workload.image"),
    ({"spec__workload": {"image": "$(id)"}}, "spec.workload.image"),
    ({"spec__workload": {"image": "../../etc/passwd"}}, "spec.workload.image"),
    ({"spec__workload": {"priorityClassName": "$(id)"}}, "spec.workload.priorityClassName"),
    ({"spec__workload": {"runtimeClassName": "a b"}}, "spec.workload.runtimeClassName"),
    ({"spec__workload": {"nodeSelector": {"disk; id": "ssd"}}}, "a key of nodeSelector is a label's name"),
    ({"spec__workload": {"nodeSelector": {"disk": "`id`"}}}, "spec.workload.nodeSelector"),
    ({"spec__workload": {"nodeSelector": {"disk": True}}}, "spec.workload.nodeSelector"),
    ({"spec__account__botTokenSecretRef": {"name": "a; id", "key": "token"}}, "spec.account.botTokenSecretRef.name"),
    ({"spec__account__botTokenSecretRef": {"name": "a", "key": "../token"}}, "spec.account.botTokenSecretRef.key"),
    ({"spec__account__dataCenter": {"id": 2, "address": "$(id)"}}, "spec.account.dataCenter.address"),
    (
        {"spec__account__botTokenSecretRef": {"name": "a", "key": "token", "namespace": "botfleet"}},
        'unknown field "spec.account.botTokenSecretRef.namespace"',
    ),
    # Nonsense times and counts.
    ({"spec__conversation": {"debounceSeconds": "soon"}}, "spec.conversation.debounceSeconds"),
    ({"spec__conversation": {"debounceSeconds": 1e9}}, "spec.conversation.debounceSeconds"),
    ({"spec__conversation": {"takeoverMinutes": -5}}, "spec.conversation.takeoverMinutes"),
    ({"spec__model__timeoutSeconds": 0}, "spec.model.timeoutSeconds"),
    ({"spec__model__timeoutSeconds": "30s"}, "spec.model.timeoutSeconds"),
    ({"spec__model__requestsPerMinute": -1}, "spec.model.requestsPerMinute"),
    ({"spec__proactive": {"afterSilenceHours": 0}}, "spec.proactive.afterSilenceHours"),
    ({"spec__limits": {"concurrentReplies": 0}}, "spec.limits.concurrentReplies"),
    ({"spec__schedule": {"timeZone": "../etc/passwd", "workingHours": HOURS}}, "spec.schedule.timeZone"),
    (
        {"spec__schedule": {"timeZone": "UTC", "workingHours": [{**HOURS[0], "from": "25:00"}]}},
        "spec.schedule.workingHours[0].from",
    ),
    # Sizes that are none, or that the pod could not have: half of a bot would be made, and tried again for ever.
    ({"spec__workload": {"resources": {"limits": {"memory": "-1Gi"}}}}, "spec.workload.resources.limits"),
    ({"spec__workload": {"resources": {"limits": {"memory": -1}}}}, "spec.workload.resources.limits"),
    ({"spec__workload": {"resources": {"limits": {"memory": ""}}}}, "spec.workload.resources.limits"),
    (
        {"spec__workload": {"resources": {"limits": {"memroy": "1Gi"}}}},
        "resources are cpu, memory and ephemeral-storage",
    ),
    (
        {"spec__workload": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}},
        "a request is larger than its limit",
    ),
    ({"spec__workload": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}}}, "larger than its limit"),
    ({"spec__workload": {"tolerations": [{"operator": "Equal"}]}}, "operator must be Exists"),
    ({"spec__workload": {"tolerations": [{"key": "k", "operator": "Exists", "value": "v"}]}}, "Exists has no value"),
    ({"spec__workload": {"tolerations": [{"key": "k", "tolerationSeconds": 5}]}}, "the effect NoExecute only"),
    # What is empty or of another type is refused, and never replaced by a default without a word.
    ({"spec__model__name": ""}, "spec.model.name"),
    ({"spec__workload": {"image": ""}}, "spec.workload.image"),
    ({"spec__suspend": "yes"}, "spec.suspend"),
    ({"spec__access": {"groups": "Everyone"}}, "spec.access.groups"),
    ({"spec__admins": ["@me"]}, "spec.admins"),
    ({"spec__model": "gpt-5-mini"}, "spec.model"),
    # A URL that is none, and one with a password that everybody could read who may see the bot.
    ({"spec__model__baseUrl": "https://"}, "baseUrl must be a URL"),
    ({"spec__model__baseUrl": "https:///v1"}, "baseUrl must be a URL"),
    ({"spec__model__baseUrl": "file:///etc/passwd"}, "baseUrl must be a URL"),
    ({"spec__model__baseUrl": "https://user:word@models.example/v1"}, "without user and password"),
    ({"spec__model__baseUrl": "https://models.example/v1 --upload"}, "baseUrl must be a URL"),
    ({"metadata__name": "x" * 51}, "at most 50 characters"),
    ({"metadata__name": "a.b"}, "DNS label"),
    ({"spec": None}, "spec"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_a_mistake_is_refused_with_the_field_and_what_to_write(
    api: ApiServer, changes: dict[str, Any], told: str
) -> None:
    status, said = create(api, bot(**changes))
    assert status in (400, 422), said
    assert told in said


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_the_examples_are_accepted(api: ApiServer, path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    document["metadata"]["namespace"] = "default"
    status, said = create(api, document)
    assert status == 201, said


def test_the_example_with_defaults_is_accepted(api: ApiServer) -> None:
    api.kubectl("create", "namespace", "hotel")
    assert api.kubectl("apply", "-f", str(ROOT / "examples/defaults/hotel.yaml")).count("created") == 4
    assert "gpt-5-mini" in api.kubectl("-n", "hotel", "get", "tgbd")


def test_the_api_server_writes_no_default_into_an_object(api: ApiServer) -> None:
    api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(MINIMAL))
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


WORKLOAD = {
    "image": "registry.example:5000/team/runner:1.2@sha256:" + "a" * 64,
    "resources": {
        "requests": {"cpu": "20m", "memory": 1000, "example.com/gpu": 1},
        "limits": {"memory": "0.5Gi", "cpu": 1, "ephemeral-storage": "1e3", "example.com/gpu": "1"},
    },
    "nodeSelector": {"kubernetes.io/arch": "amd64", "disk": ""},
    "tolerations": [
        {"operator": "Exists"},
        {"key": "dedicated", "value": "bots", "effect": "NoExecute", "tolerationSeconds": -1},
        {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    ],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "bots",
    "runtimeClassName": "g.visor",
}


def test_a_workload_that_is_accepted_is_one_that_a_deployment_takes(api: ApiServer) -> None:
    """Both by the API server: what the CRD lets through is not refused later, when half of the bot is made."""
    status, said = create(api, bot(metadata__name="workload", spec__workload=WORKLOAD))
    assert status == 201, said
    pod = {key: value for key, value in WORKLOAD.items() if key not in ("image", "resources")}
    container = {"name": "runner", "image": WORKLOAD["image"], "resources": WORKLOAD["resources"]}
    labels = {"matchLabels": {"app": "x"}}
    template = {"metadata": {"labels": labels["matchLabels"]}, "spec": {**pod, "containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "workload", "namespace": "default"},
        "spec": {"selector": labels, "template": template},
    }
    api.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(deployment))
