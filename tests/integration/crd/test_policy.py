"""Promises of the chart's admission policy: images, endpoints and places beyond the installation's lists are refused by the API
server, with the field, the value and what is allowed, and by no trick let in."""

import re
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from botfleet_operator.placement import CHART_VALUES
from botfleet_tools.binaries import Program, resolve
from botfleet_tools.servers import ApiServer
from tests.integration.crd.conftest import SEEN_SECONDS, wait_served
from tests.integration.operator.harness import eventually
from tests.support.allowlist_cases import ENDPOINTS, IMAGES, RUNNER
from tests.support.placement_cases import INSTALLATIONS, PLACEMENTS, near
from tests.unit.core.test_defaults import document as defaults
from tests.unit.core.test_spec import bot

if TYPE_CHECKING:
    from tests.integration.chart.conftest import Chart

# Without a schema, so that nothing but the policy refuses.
LOOSE = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "telegrambots.loose.botfleet.dev"},
    "spec": {
        "group": "loose.botfleet.dev",
        "scope": "Namespaced",
        "names": {"plural": "telegrambots", "kind": "LooseBot"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def index(kind: str, entry: str) -> int:
    """The number of the installation that lists this."""
    return next(n for n, lists in enumerate(LISTS) if lists[kind == "endpoint"] == entry)


# Each list of images and one of endpoints, in a namespace of its own, as of so many installations.
LISTS = list(zip_longest(dict.fromkeys(c[0] for c in IMAGES), dict.fromkeys(c[0] for c in ENDPOINTS), fillvalue=""))
VALUES: list[dict[str, Any]] = [
    *(
        {"allowedImages": [image] if image else [], "allowedModelEndpoints": [endpoint] if endpoint else []}
        for image, endpoint in LISTS
    ),
    *(
        {
            **{CHART_VALUES[name].removeprefix("bots."): entries for name, entries in of.lists.items()},
            "defaults": {"workload": of.defaults},
        }
        for of in INSTALLATIONS
    ),
]
CASES: list[tuple[int, dict[str, Any], bool]] = [
    *((index("image", entry), {"workload": {"image": image}}, allowed) for entry, image, allowed in IMAGES),
    *((index("endpoint", entry), {"model": {"baseUrl": url}}, allowed) for entry, url, allowed in ENDPOINTS),
    *(
        (index("endpoint", entry), {"model": {place: value}}, allowed)
        for entry, url, allowed in ENDPOINTS[2:9]
        for place, value in {
            "fallbacks": [{"name": "a"}, {"name": "b", "baseUrl": url}],
            "transcription": {"name": "t", "baseUrl": url},
        }.items()
    ),
    *(
        (len(LISTS) + INSTALLATIONS.index(of), {"workload": workload}, not values)
        for of, workload, values in PLACEMENTS
    ),
]


def policy(chart: "Chart", release: str, namespace: str, **bots: Any) -> list[dict[str, Any]]:
    """The policy of an installation that watches one namespace."""
    values = {"bots": {"image": {"repository": RUNNER}, **bots}, "operator": {"watchNamespaces": [namespace]}}
    return [doc for doc in chart.render(values, release=release) if "admissionregistration" in doc["apiVersion"]]


def refused(api: ApiServer, documents: list[dict[str, Any]], *flags: str) -> dict[str, str]:
    """What of these is not taken, by name, and what was said about it."""
    command = [str(resolve(Program.KUBECTL)), "--kubeconfig", str(api.kubeconfig), "apply", *flags, "--filename", "-"]
    text = yaml.safe_dump_all(documents)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=150, check=False)
    errors = re.split(r"^(?=Error from server|The |Warning)", done.stderr, flags=re.MULTILINE)
    names = [document["metadata"]["name"] for document in documents]
    return {name: text for text in errors for name in names if re.search(rf'[" ]{name}"', text)}


@pytest.fixture(scope="module")
def places(api: ApiServer, chart: "Chart") -> Iterator[None]:
    documents: list[dict[str, Any]] = [LOOSE]
    for number, values in enumerate(VALUES):
        place = f"place-{number}"
        (rules, binding) = policy(chart, place, place, **values)
        rules["spec"]["matchConstraints"]["resourceRules"][0]["apiGroups"] = ["loose.botfleet.dev"]
        documents += [rules, binding, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}]
    manifests = yaml.safe_dump_all(documents)
    api.kubectl("apply", "--filename", "-", stdin=manifests)
    wait_served(api, "loose.botfleet.dev", "telegrambots")
    eventually(lambda: all_act(api), deadline=SEEN_SECONDS, what="the policies act")
    yield
    api.kubectl("delete", "--filename", "-", "--wait=false", stdin=manifests)


def loose(name: str, number: int, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": f"place-{number}"}
    return {"apiVersion": "loose.botfleet.dev/v1alpha1", "kind": "LooseBot", "metadata": metadata, "spec": spec}


def all_act(api: ApiServer) -> bool:
    """A policy acts, and then wholly, once the API server has seen it: one case that it has to refuse tells of each."""
    probes = {f"probe-{place}": (place, spec) for place, spec, allowed in CASES if not allowed}
    said = refused(api, [loose(name, *case) for name, case in probes.items()], "--dry-run=server")
    return all(does_not_allow(said.get(name, "")) for name in probes)


def does_not_allow(answer: str) -> bool:
    """With a line break in it a message is not shown, but the one without the value. An expression that fails refuses too."""
    return re.search("does not allow|is not among", answer) is not None


@pytest.mark.usefixtures("places")
def test_the_policy_and_the_operator_allow_and_refuse_the_same(api: ApiServer) -> None:
    documents = [loose(f"case-{number}", place, spec) for number, (place, spec, _) in enumerate(CASES)]
    said = refused(api, documents, "--dry-run=server")
    answers = [said.get(f"case-{number}", "") for number in range(len(CASES))]
    wrong = [
        (case, answer)
        for case, answer in zip(CASES, answers, strict=True)
        if (answer != "" if case[2] else not does_not_allow(answer))
    ]
    assert wrong == []


OLD_WORKLOAD = {
    "image": "old.example/runner:1",
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": near("zone")},
    "priorityClassName": "high",
    "runtimeClassName": "runc",
}


@pytest.fixture(scope="module")
def limited(api: ApiServer, chart: "Chart") -> Iterator[None]:
    """The real CRD, with a bot that was there before the policy and is beyond it."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "limited"}}
    api.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all([namespace, old()]))
    values = {"allowedImages": ["registry.example/bots/"], "allowedNodeSelectors": ["kubernetes.io/arch"]}
    rules = yaml.safe_dump_all(policy(chart, "botfleet", "limited", **values))
    api.kubectl("apply", "--filename", "-", stdin=rules)
    evil = in_limited(spec__workload__image="evil.example/x")
    eventually(lambda: refused(api, [evil], "--dry-run=server"), deadline=SEEN_SECONDS, what="the policy acts")
    yield
    api.kubectl("delete", "--filename", "-", stdin=rules)


def in_limited(**changes: Any) -> dict[str, Any]:
    return bot(metadata__namespace="limited", **changes)


def old(**changes: Any) -> dict[str, Any]:
    elsewhere = {"name": "m", "baseUrl": "https://old.example/v1", "apiKeySecretRef": {"name": "s", "key": "k"}}
    before = {"metadata__name": "old", "spec__workload": deepcopy(OLD_WORKLOAD), "spec__model": elsewhere}
    return in_limited(**{**before, **changes})


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"spec__workload__image": "evil.example/x:1"},
            f"spec.workload.image is evil.example/x:1, which this installation does not allow; allowed: {RUNNER},"
            " registry.example/bots/. Take one of these or leave it out, or have the value bots.allowedImages of the chart",
        ),
        (
            {"spec__model__baseUrl": "https://api.openai.com.evil.example/v1"},
            "spec.model.baseUrl is https://api.openai.com.evil.example/v1, which this installation does not allow; allowed:"
            " https://api.openai.com/v1. Take one of these or leave it out, or have the value bots.allowedModelEndpoints",
        ),
        (
            {"spec__workload__nodeSelector": {"pool": "gpu"}},
            "spec.workload.nodeSelector is pool=gpu, which this installation does not allow; allowed: kubernetes.io/arch. Take"
            " one of these or leave it out, or have the value bots.allowedNodeSelectors of the chart extended.",
        ),
        (
            {"spec__workload__priorityClassName": "system-cluster-critical"},
            "spec.workload.priorityClassName is system-cluster-critical, which this installation does not allow; allowed: none.",
        ),
    ],
)
def test_a_bot_beyond_the_lists_is_refused_with_field_value_and_what_is_allowed(
    api: ApiServer, changes: dict[str, Any], told: str
) -> None:
    assert told in " ".join(refused(api, [in_limited(**changes)])["concierge"].split())
    assert api.kubectl("get", "telegrambots", "--namespace", "limited", "--output", "name").split() == [
        "telegrambot.botfleet.dev/old"
    ]


@pytest.mark.usefixtures("limited")
def test_a_bot_that_was_there_before_the_limits_can_still_be_suspended_but_not_moved_elsewhere(api: ApiServer) -> None:
    assert refused(api, [old(spec__suspend=True)]) == {}
    assert "old" in refused(api, [old(spec__model__baseUrl="https://other.example/v1")])
    for elsewhere in (
        {"image": "old.example/runner:2"},
        {"nodeSelector": {"disk": "nvme"}},
        {"tolerations": [{"operator": "Exists"}]},
        {"affinity": {"podAntiAffinity": near("host")}},
        {"priorityClassName": "higher"},
        {"runtimeClassName": "high"},
    ):
        assert "old" in refused(api, [old(spec__workload={**OLD_WORKLOAD, **elsewhere})], "--dry-run=server"), elsewhere


@pytest.mark.usefixtures("limited")
def test_the_defaults_of_a_namespace_are_held_to_the_same_lists(api: ApiServer) -> None:
    specs: list[dict[str, Any]] = [
        {"workload": {"image": "evil.example/x:1"}},
        {"workload": {"nodeSelector": {"pool": "gpu"}}},
        {"workload": {"priorityClassName": "high"}},
        {"workload": {"runtimeClassName": "runc"}},
        {"model": {"baseUrl": "https://evil.example/v1"}},
    ]
    for spec in specs:
        assert "does not allow" in refused(api, [defaults("limited", **spec)])["default"]


@pytest.mark.usefixtures("limited")
def test_another_installations_namespaces_are_left_alone(api: ApiServer) -> None:
    assert refused(api, [bot(spec__workload__image="evil.example/x:1")], "--dry-run=server") == {}
