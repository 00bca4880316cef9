"""Promises that hold for every scenario: no secret in a manifest, no pod beyond its means, no name that two would take."""

import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from botfleet.manifest import parse_bot
from botfleet_operator.names import LABEL_BOT
from botfleet_operator.settings import Settings

if TYPE_CHECKING:
    from tests.integration.chart.conftest import Chart

POD_KINDS = ("Deployment", "StatefulSet", "Job")
MADE_BY_BOOTSTRAP = {"botfleet-installation-key", "botfleet-postgres", "botfleet-redis"}
PEERS = [{"ipBlock": {"cidr": "203.0.113.7/32"}}]
NAMED_BY_VALUES = {"bots-database", "bots-database-ca", "bots-redis"}


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        document["metadata"]["labels"]["app.kubernetes.io/component"]: document["spec"]["template"]
        for document in documents
        if document["kind"] in POD_KINDS
    }


def job_names(documents: list[dict[str, Any]]) -> set[str]:
    return {document["metadata"]["name"] for document in documents if document["kind"] == "Job"}


def mounted_secrets(pod: dict[str, Any]) -> set[str]:
    return {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}


def test_no_manifest_is_or_holds_a_secret(chart: "Chart", scenario_values: dict[str, Any]) -> None:
    """Passwords are made in the cluster: nothing that Helm stores or Argo CD shows has one."""
    documents = chart.render(scenario_values)
    assert not [document for document in documents if document["kind"] == "Secret"]
    text = chart.text(scenario_values)
    assert not re.search(r"://[^/@\s\"]*:[^/@\s\"]*@", text), "a URL with a password"
    assert "lookup" not in "".join(path.read_text() for path in chart.path.glob("templates/**/*.*"))


def test_secrets_are_files_and_come_from_bootstrap_or_are_named_by_the_values(
    chart: "Chart", scenario_values: dict[str, Any]
) -> None:
    for component, pod in pods(chart.render(scenario_values)).items():
        for container in pod["spec"]["containers"]:
            assert "envFrom" not in container
            assert not [env for env in container.get("env", []) if "secretKeyRef" in env.get("valueFrom", {})], (
                component
            )
        assert mounted_secrets(pod) <= MADE_BY_BOOTSTRAP | NAMED_BY_VALUES


def test_each_pod_gets_only_the_secrets_and_the_token_that_it_needs(chart: "Chart") -> None:
    rendered = pods(chart.render())
    assert {name: mounted_secrets(pod) for name, pod in rendered.items()} == {
        "operator": MADE_BY_BOOTSTRAP,
        "postgres": {"botfleet-postgres"},
        "redis": {"botfleet-redis"},
        "migrations": {"botfleet-postgres"},
        "bootstrap": set(),
    }
    assert {name for name, pod in rendered.items() if pod["spec"]["automountServiceAccountToken"]} == {
        "operator",
        "bootstrap",
    }
    (volume,) = [volume for volume in rendered["operator"]["spec"]["volumes"] if volume["name"] == "postgres-passwords"]
    assert [item["key"] for item in volume["secret"]["items"]] == ["operator-password"], "never the superuser's"


def test_every_container_is_confined_and_bounded(chart: "Chart", scenario_values: dict[str, Any]) -> None:
    for pod in pods(chart.render(scenario_values)).values():
        assert pod["spec"]["enableServiceLinks"] is False
        assert "initContainers" not in pod["spec"]
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_bootstrap_makes_what_is_not_given_and_the_installation_key_always(chart: "Chart") -> None:
    def made(values: dict[str, Any]) -> dict[str, str]:
        env = pods(chart.render(values))["bootstrap"]["spec"]["containers"][0]["env"]
        return {item["name"]: item["value"] for item in env if item["name"].endswith("_SECRET")}

    external = {"bundled": {"enabled": False}, "external": {"host": "server", "secretName": "given", "peers": PEERS}}
    assert made({}) == {
        "BOTFLEET_BOOTSTRAP_INSTALLATION_KEY_SECRET": "botfleet-installation-key",
        "BOTFLEET_BOOTSTRAP_POSTGRES_SECRET": "botfleet-postgres",
        "BOTFLEET_BOOTSTRAP_REDIS_SECRET": "botfleet-redis",
    }
    assert made({"postgres": external, "redis": external}) == {
        "BOTFLEET_BOOTSTRAP_INSTALLATION_KEY_SECRET": "botfleet-installation-key",
        "BOTFLEET_BOOTSTRAP_POSTGRES_SECRET": "",
        "BOTFLEET_BOOTSTRAP_REDIS_SECRET": "",
    }


@pytest.mark.parametrize("component", ["operator", "bootstrap", "migrations"])
def test_a_setting_that_the_chart_gives_is_one_that_the_program_reads(chart: "Chart", component: str) -> None:
    given = {item["name"] for item in pods(chart.render())[component]["spec"]["containers"][0]["env"]}
    known = {f"BOTFLEET_{name.upper()}" for name in Settings.model_fields}
    if component == "operator":
        assert given <= known
        needed = {f"BOTFLEET_{name.upper()}" for name, field in Settings.model_fields.items() if field.is_required()}
        assert needed <= given
    assert all(name.startswith("BOTFLEET_") for name in given)


def test_jobs_are_ordinary_and_named_by_what_they_run(chart: "Chart") -> None:
    documents = chart.render()
    assert "helm.sh/hook" not in chart.text()
    assert job_names(documents) == job_names(chart.render({"bots": {"maximum": 5}}))
    for other in ({"operator": {"image": {"tag": "2"}}}, {"jobs": {"podAnnotations": {"again": "1"}}}):
        assert not job_names(documents) & job_names(chart.render(other))


def test_an_upgrade_of_the_product_restarts_no_server(chart: "Chart") -> None:
    """Labels with versions are on objects, never in the pods of PostgreSQL and Redis."""
    upgrade = {
        "operator": {"replicas": 3, "image": {"tag": "2"}, "watchNamespaces": ["hotel"]},
        "bots": {"image": {"tag": "2"}},
    }
    before, after = pods(chart.render()), pods(chart.render(upgrade))
    assert before["operator"] != after["operator"]
    for component in ("postgres", "redis"):
        assert before[component] == after[component]
        labels = before[component]["metadata"]["labels"]
        assert not {"helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"} & labels.keys()


def test_the_crds_outlive_the_release_under_helm_and_argo_cd(chart: "Chart") -> None:
    crds = [document for document in chart.render() if document["kind"] == "CustomResourceDefinition"]
    for crd in crds:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert "Prune=false" in crd["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].split(",")
    names = {crd["metadata"]["name"] for crd in crds}
    assert names == {"telegrambots.botfleet.dev", "telegrambotdefaults.botfleet.dev"}


def test_the_data_outlives_the_release(chart: "Chart") -> None:
    for document in chart.render():
        if document["kind"] == "StatefulSet":
            retention = document["spec"]["persistentVolumeClaimRetentionPolicy"]
            assert retention == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_two_releases_share_no_name(chart: "Chart") -> None:
    def identities(release: str, namespace: str) -> Counter[tuple[str, Any, str]]:
        return Counter(
            (document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
            for document in chart.render({"crd": {"install": False}}, release=release, namespace=namespace)
        )

    first = identities("one", "a")
    assert max(first.values()) == 1
    assert not first.keys() & identities("two", "a").keys()
    assert not first.keys() & identities("one", "b").keys()


def test_only_people_with_rights_on_the_namespace_touch_bots(chart: "Chart") -> None:
    roles = {
        document["metadata"]["name"]: document
        for document in chart.render()
        if document["kind"] == "ClusterRole" and not document["metadata"]["name"].endswith("operator")
    }
    assert len(roles) == 2
    for role in roles.values():
        for rule in role["rules"]:
            writes = set(rule["verbs"]) - {"get", "list", "watch"}
            assert not (writes and "telegrambots/status" in rule["resources"])
            assert not (writes and "rbac.authorization.k8s.io/aggregate-to-view" in role["metadata"]["labels"])


def test_the_servers_let_in_the_product_and_call_nobody(chart: "Chart") -> None:
    policies = {doc["metadata"]["name"]: doc["spec"] for doc in chart.render() if doc["kind"] == "NetworkPolicy"}
    for name, port in (("botfleet-postgres", 5432), ("botfleet-redis", 6379)):
        policy = policies[name]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert policy["egress"] == []
        (rule,) = policy["ingress"]
        assert [entry["port"] for entry in rule["ports"]] == [port]
        assert all(peer.get("podSelector") for peer in rule["from"]), "no peer is everybody"


def test_the_way_from_a_bot_to_a_server_is_open_at_both_ends(chart: "Chart") -> None:
    """The bots' policies are made of the operator's settings; those of the servers are the chart's."""
    documents = chart.render(namespace="platform")
    (operator,) = [d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"] == "botfleet-operator"]
    environment = {e["name"]: e.get("value") for e in operator["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert environment["BOTFLEET_NETWORK_POLICIES"] == "true"
    pods = {
        d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"]
        for d in documents
        if d["kind"] == "StatefulSet"
    }
    policies = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "NetworkPolicy"}
    rules = yaml.safe_load(environment["BOTFLEET_NETWORK_SERVERS"])
    for name, rule in zip(("botfleet-postgres", "botfleet-redis"), rules, strict=True):
        (peer,) = rule["to"]
        assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "platform"}}
        assert peer["podSelector"]["matchLabels"].items() <= pods[name].items()
        (let_in,) = policies[name]["ingress"]
        assert [port["port"] for port in rule["ports"]] == [port["port"] for port in let_in["ports"]]
        bots = [p for p in let_in["from"] if p["podSelector"].get("matchExpressions")]
        assert bots == [
            {"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": LABEL_BOT, "operator": "Exists"}]}}
        ]


def test_the_bot_of_the_first_steps_is_a_valid_one_and_its_secrets_are_made_and_labelled(chart: "Chart") -> None:
    said = chart.helm("install", "botfleet", str(chart.path), "--dry-run=client", "--namespace", "botfleet")
    (manifest,) = re.findall(r"<<'BOT'\n(.*?)\n +BOT\n", said, re.DOTALL)
    bot = parse_bot(yaml.safe_load(textwrap.dedent(manifest)), "NOTES.txt")
    assert bot.spec.account.type == "Bot"
    named = set(re.findall(r"SecretRef: \{name: ([a-z-]+)", manifest))
    assert named == set(re.findall(r"create secret generic ([a-z-]+)", said))
    (labelled,) = re.findall(r"label secret (.*) botfleet.dev/credentials=true", said)
    assert named == set(labelled.split())
