"""Promises: a real API server takes what the chart renders, whole and without a warning; upgrades replace the Jobs; an
uninstall leaves the CRD and every bot."""

import json
import subprocess
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from botfleet_tools.binaries import Program, resolve
from tests.integration.operator.harness import eventually
from tests.support.accounts import kubeconfig_of

if TYPE_CHECKING:
    from botfleet_tools.servers import ApiServer
    from tests.integration.chart.conftest import Chart

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
POD_KINDS = ("Deployment", "StatefulSet", "Job")
SEEN_SECONDS = 120.0  # until what was applied has an effect; this runs aside
BOT = {
    "apiVersion": "botfleet.dev/v1alpha1",
    "kind": "TelegramBot",
    "metadata": {"name": "concierge", "namespace": "hotel"},
    "spec": {
        "account": {
            "type": "Bot",
            "apiCredentialsSecretRef": {"name": "telegram-app"},
            "botTokenSecretRef": {"name": "concierge", "key": "token"},
        },
        "persona": {"prompt": "You are the concierge."},
        "model": {"name": "gpt-5-mini", "apiKeySecretRef": {"name": "openai", "key": "api-key"}},
    },
}


def make_namespace(api: "ApiServer", name: str, labels: dict[str, str] | None = None) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}
    api.kubectl("apply", "--filename", "-", stdin=json.dumps(namespace))


def names(api: "ApiServer", kind: str, namespace: str) -> set[str]:
    return {
        name.split("/", 1)[1] for name in api.kubectl("get", kind, "--namespace", namespace, "--output", "name").split()
    }


def warnings_of(api: "ApiServer", documents: list[dict[str, Any]], *flags: str) -> str:
    """Apply; what the API server had to say beside yes."""
    command = [str(resolve(Program.KUBECTL)), "--kubeconfig", str(api.kubeconfig), "apply", "--filename", "-", *flags]
    done = subprocess.run(
        command, input=yaml.safe_dump_all(documents), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_each_scenario_is_taken_strictly_and_without_warning(
    chart: "Chart", any_api: "ApiServer", scenario_name: str, scenario_values: dict[str, Any]
) -> None:
    namespace = f"strict-{scenario_name}"
    for name in (namespace, "hotel", "shop"):
        make_namespace(any_api, name, RESTRICTED)
    documents = [doc for doc in chart.render(scenario_values, namespace=namespace) if doc["kind"] != "ServiceMonitor"]
    assert warnings_of(any_api, documents, "--server-side", "--dry-run=server", "--validate=strict") == ""


def test_every_pod_is_admitted_where_only_restricted_pods_are(
    chart: "Chart", any_api: "ApiServer", scenario_name: str, scenario_values: dict[str, Any]
) -> None:
    namespace = f"pods-{scenario_name}"
    make_namespace(any_api, namespace, RESTRICTED)
    workloads = [doc for doc in chart.render(scenario_values, namespace=namespace) if doc["kind"] in POD_KINDS]
    assert workloads
    for workload in workloads:
        template = workload["spec"]["template"]
        spec = dict(template["spec"])
        if any(mount["name"] == "data" for mount in spec["containers"][0]["volumeMounts"]):
            claimed = {volume["name"] for volume in spec["volumes"]}
            if "data" not in claimed:
                spec["volumes"] = [*spec["volumes"], {"name": "data", "emptyDir": {}}]
        metadata = {**template["metadata"], "name": workload["metadata"]["name"], "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        assert warnings_of(any_api, [pod], "--server-side", "--dry-run=server", "--validate=strict") == ""


@pytest.fixture
def installed(chart: "Chart", api: "ApiServer") -> str:
    """A release, installed by Helm; the API server has no controllers, so nothing of it runs."""
    namespace = "release"
    for name in (namespace, "hotel"):
        make_namespace(api, name)
    install(chart, api, "install", {})
    return namespace


def install(chart: "Chart", api: "ApiServer", verb: str, values: dict[str, Any]) -> str:
    flags = ["--namespace", "release", "--kubeconfig", str(api.kubeconfig)]
    return chart.helm(verb, "botfleet", str(chart.path), *flags, values=values)


def uninstall(chart: "Chart", api: "ApiServer") -> str:
    return chart.helm("uninstall", "botfleet", "--namespace", "release", "--kubeconfig", str(api.kubeconfig))


def test_a_release_lives_through_upgrade_uninstall_and_reinstall(
    chart: "Chart", api: "ApiServer", installed: str
) -> None:
    first = names(api, "jobs", installed)
    assert len(first) == 2
    eventually(lambda: api.kubectl("apply", "--filename", "-", stdin=json.dumps(BOT)), deadline=SEEN_SECONDS)

    install(chart, api, "upgrade", {"bots": {"maximum": 7}})
    assert names(api, "jobs", installed) == first, "what does not concern a Job runs none"

    install(chart, api, "upgrade", {"operator": {"image": {"tag": "9.9.9"}}})
    second = names(api, "jobs", installed)
    assert len(second) == 2
    assert not first & second, "a new version bootstraps and migrates"

    said = uninstall(chart, api)
    assert "telegrambots.botfleet.dev" in said, "Helm names what it keeps"
    for kind in ("deployments", "statefulsets", "jobs", "services", "roles", "networkpolicies"):
        assert names(api, kind, installed) == set()
    assert names(api, "telegrambots", "hotel") == {"concierge"}

    install(chart, api, "install", {})
    assert names(api, "telegrambots", "hotel") == {"concierge"}
    uninstall(chart, api)


Right = tuple[str, str, str, bool]

MAY: list[Right] = [
    ("list", "telegrambots.botfleet.dev", "hotel", True),
    ("patch", "telegrambots.botfleet.dev/status", "hotel", True),
    ("list", "telegrambotdefaults.botfleet.dev", "hotel", True),
    ("patch", "telegrambotdefaults.botfleet.dev", "hotel", False),
    ("update", "telegrambots.botfleet.dev", "hotel", False),
    ("patch", "telegrambots.botfleet.dev", "hotel", True),
    ("delete", "telegrambots.botfleet.dev", "hotel", False),
    ("patch", "deployments.apps", "hotel", True),
    ("patch", "networkpolicies.networking.k8s.io", "hotel", True),
    ("get", "endpointslices.discovery.k8s.io/kubernetes", "default", True),
    ("get", "endpointslices.discovery.k8s.io/another", "default", False),
    ("list", "endpointslices.discovery.k8s.io", "default", False),
    ("get", "endpointslices.discovery.k8s.io/kubernetes", "hotel", False),
    ("create", "events.events.k8s.io", "hotel", True),
    ("list", "events.events.k8s.io", "hotel", False),
    ("create", "events", "hotel", False),
    ("create", "pods/exec", "hotel", False),
    ("create", "pods", "hotel", False),
    ("create", "roles.rbac.authorization.k8s.io", "hotel", False),
    ("create", "serviceaccounts/token", "hotel", False),
    ("patch", "statefulsets.apps", "release", False),
    ("deletecollection", "secrets", "hotel", False),
]
BOOTSTRAP_MAY: list[Right] = [
    ("create", "secrets", "release", True),
    ("list", "secrets", "release", False),
    ("update", "secrets", "release", False),
    ("get", "secrets/botfleet-postgres", "release", True),
    ("get", "secrets/another", "release", False),
    ("create", "secrets", "hotel", False),
]


@pytest.mark.parametrize("mode", ["cluster", "namespaced"])
def test_the_operator_may_do_its_work_and_no_more(chart: "Chart", api: "ApiServer", mode: str) -> None:
    """As the API server's own authorizer sees it."""
    for name in ("release", "hotel", "elsewhere"):
        make_namespace(api, name)
    values = {"operator": {"watchNamespaces": ["hotel"] if mode == "namespaced" else []}}
    documents = [doc for doc in chart.render(values, namespace="release") if "rbac" in doc["apiVersion"]]
    rendered = yaml.safe_dump_all(documents)
    api.kubectl("apply", "--filename", "-", stdin=rendered)
    try:
        asked = [*MAY, ("list", "secrets", "elsewhere", mode == "cluster")]
        asked += [("list", "telegrambots.botfleet.dev", "elsewhere", mode == "cluster")]

        def as_asked() -> bool:
            """The authorizer sees the roles a moment later, and a moment longer those of the test before."""
            assert answers(api, "botfleet-operator", asked) == asked
            assert answers(api, "botfleet-bootstrap", BOOTSTRAP_MAY) == BOOTSTRAP_MAY
            return True

        eventually(as_asked, deadline=SEEN_SECONDS)
    finally:
        api.kubectl("delete", "--filename", "-", stdin=rendered)


NEEDED = {
    "telegrambots.botfleet.dev": "get list patch watch",
    "telegrambotdefaults.botfleet.dev": "get list watch",
    "telegrambots.botfleet.dev/status": "patch",
    "serviceaccounts": "create delete get list patch watch",
    "configmaps": "create delete get list patch watch",
    "secrets": "create delete get list patch watch",
    "deployments.apps": "create delete get list patch watch",
    "networkpolicies.networking.k8s.io": "create delete get list patch watch",
    "pods": "list watch",
    "events.events.k8s.io": "create patch",
}
LEASE = {"leases.coordination.k8s.io": "create", "leases.coordination.k8s.io named botfleet-operator": "get update"}
ADDRESSES = {"endpointslices.discovery.k8s.io named kubernetes": "get"}  # the API server's, for the bots' policies
CLUSTER = {"namespaces named kube-system": "get"}
# What Kubernetes gives to everybody who has logged in: to ask about oneself.
EVERYBODY = {
    "selfsubjectreviews.authentication.k8s.io",
    "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
}
REFUSED = [
    ("run", "thief", "--image=thief", "--namespace", "hotel"),
    ("create", "serviceaccount", "thief", "--namespace", "kube-system"),
    ("create", "token", "botfleet-operator", "--namespace", "release"),
    (
        "create",
        "clusterrolebinding",
        "thief",
        "--clusterrole=cluster-admin",
        "--serviceaccount=release:botfleet-operator",
    ),
    ("create", "rolebinding", "thief", "--clusterrole=admin", "--serviceaccount=release:x", "--namespace", "hotel"),
    ("get", "secrets", "--namespace", "elsewhere"),
    ("get", "secrets", "--all-namespaces"),
    ("get", "nodes"),
    ("get", "crds"),
    ("delete", "namespace", "elsewhere"),
    ("get", "secrets", "--namespace", "hotel", "--as=system:admin"),
    ("delete", "validatingadmissionpolicies", "--all"),
]


def rules_of(token: Path, namespace: str) -> dict[str, str]:
    """Everything that the holder of this token may do in a namespace, as the API server lists it."""
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    done = kubectl(token, "create", "--validate=false", "--output", "yaml", "--filename", "-", stdin=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {}
    for rule in yaml.safe_load(done.stdout)["status"]["resourceRules"]:
        for group, resource in product(rule.get("apiGroups", [""]), rule["resources"]):
            kind, _, part = resource.partition("/")
            named = f" named {', '.join(rule['resourceNames'])}" if rule.get("resourceNames") else ""
            name = f"{kind}.{group}" if group else kind
            found.setdefault(f"{name}/{part}{named}" if part else f"{name}{named}", set()).update(rule["verbs"])
    return {what: " ".join(sorted(verbs)) for what, verbs in found.items() if what not in EVERYBODY}


def kubectl(kubeconfig: Path, *words: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [str(resolve(Program.KUBECTL)), "--kubeconfig", str(kubeconfig), *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=150, check=False)


@pytest.mark.parametrize("watched", [["hotel"], []], ids=["named namespaces", "cluster"])
def test_with_the_operators_own_token_everything_that_it_does_not_need_is_refused(
    chart: "Chart", api: "ApiServer", tmp_path: Path, watched: list[str]
) -> None:
    """The whole list, and what a thief of the token would try."""
    for name in ("release", "hotel", "elsewhere"):
        make_namespace(api, name)
    documents = chart.render({"operator": {"watchNamespaces": watched}}, namespace="release")
    rendered = yaml.safe_dump_all([d for d in documents if "rbac" in d["apiVersion"] or d["kind"] == "ServiceAccount"])
    everywhere = CLUSTER if watched else {**CLUSTER, **NEEDED}
    api.kubectl("apply", "--filename", "-", stdin=rendered)
    try:
        token = kubeconfig_of(api, "release", "botfleet-operator", tmp_path / "kubeconfig")
        expected = [{**NEEDED, **CLUSTER}, {**LEASE, **everywhere}, {**ADDRESSES, **everywhere}, everywhere]

        def as_expected() -> bool:
            """The authorizer sees the roles a moment later."""
            assert [rules_of(token, name) for name in ("hotel", "release", "default", "elsewhere")] == expected
            return True

        eventually(as_expected, deadline=SEEN_SECONDS)
        for words in REFUSED:
            if not watched and words[1] in ("secrets", "serviceaccount") and "--as=system:admin" not in words:
                continue  # its work, in all namespaces
            done = kubectl(token, *words)
            assert done.returncode != 0, words
            assert "orbidden" in done.stderr, (words, done.stderr)
    finally:
        api.kubectl("delete", "--filename", "-", stdin=rendered)


def answers(api: "ApiServer", account: str, asked: list[Right]) -> list[Right]:
    """The same list with the API server's answers, all asked at once. `secrets/NAME` with get asks for one object."""
    reviews = [yaml.safe_dump(review(account, *right)) for right in asked]
    replies = yaml.safe_load_all(
        api.kubectl("create", "--output", "yaml", "--filename", "-", stdin="---\n".join(reviews))
    )
    allowed = [bool(reply["status"]["allowed"]) for reply in replies]
    return [(*right[:3], answer) for right, answer in zip(asked, allowed, strict=True)]


def review(account: str, verb: str, what: str, namespace: str, _expected: bool) -> dict[str, Any]:
    kind, _, rest = what.partition("/")
    resource, _, group = kind.partition(".")
    named = rest if verb == "get" else ""
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "resource": resource,
        "group": group,
        "name": named,
        "subresource": "" if named else rest,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:release:{account}", "resourceAttributes": attributes},
    }
