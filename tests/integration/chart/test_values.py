"""Promises: every value of values.yaml does something; a value that makes no sense is refused by name."""

import re
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration.chart.conftest import CHART, ROOT, HelmError

if TYPE_CHECKING:
    from tests.integration.chart.conftest import Chart

# Another value for every leaf, by the longest end of its path that is here.
OTHERWISE: dict[str, Any] = {
    "commonLabels": {"team": "platform"},
    "imagePullSecrets": [{"name": "registry"}],
    "bots.imagePullSecrets": ["registry"],
    "crd.install": False,
    "rbac.clusterScoped": False,
    "rbac.aggregateToUserRoles": False,
    "networkPolicies.enabled": False,
    "networkPolicies.additionalClients": [{"podSelector": {"matchLabels": {"app": "backup"}}}],
    "bots.enabled": False,
    "bots.allowedEgress": [{"to": [{"ipBlock": {"cidr": "10.7.0.0/16"}}], "ports": [{"port": 8000}]}],
    "bots.deniedAddresses": ["10.8.0.0/16"],
    "bots.metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
    "bots.maximum": 7,
    "bots.defaults": {"model": {"name": "gpt-5-mini"}},
    "bots.allowedImages": ["registry.example.org/bots/"],
    "bots.allowedModelEndpoints": ["models.example.org"],
    "bots.allowedNodeSelectors": ["pool=bots"],
    "bots.allowedTolerations": ["dedicated=bots"],
    "bots.allowedAffinities": ["podAntiAffinity"],
    "bots.allowedPriorityClasses": ["bots"],
    "bots.allowedRuntimeClasses": ["gvisor"],
    "admissionPolicy.enabled": False,
    "bots.leaseTermSeconds": 9,
    "bots.rollout.waveSize": 7,
    "bots.rollout.pauseSeconds": 7,
    "bots.rollout.timeoutSeconds": 7,
    "operator.replicas": 2,
    "operator.watchNamespaces": ["hotel"],
    "operator.workers": 3,
    "operator.leaderLeaseSeconds": 9,
    "serviceMonitor.enabled": True,
    "serviceMonitor.interval": "7s",
    "serviceMonitor.labels": {"release": "prometheus"},
    "image.repository": "registry.example.org/other",
    "image.tag": "other",
    "image.digest": "sha256:" + "a" * 64,
    "image.pullPolicy": "Always",
    "logLevel": "debug",
    "resources": {"requests": {"cpu": "77m"}},
    "podLabels": {"color": "blue"},
    "podAnnotations": {"example.org/note": "text"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
    "priorityClassName": "high",
    "bundled.userId": 70,
    "bundled.settings": {"shared_buffers": "512MB"},
    "bundled.maximumMemory": "77mb",
    "persistence.enabled": False,
    "persistence.size": "77Gi",
    "persistence.storageClassName": "fast",
    "external.host": "server.example.org",
    "external.port": 7777,
    "external.peers": [{"ipBlock": {"cidr": "10.9.0.0/16"}}],
    "postgres.external.database": "other",
    "external.ownerRole": "another_owner",
    "external.operatorRole": "another_operator",
    "external.secretName": "another",
    "external.ownerPasswordKey": "another",
    "external.operatorPasswordKey": "another",
    "external.passwordKey": "another",
    "external.sslMode": "require",
    "external.caSecretName": "authority",
    "external.caKey": "other.pem",
    "external.user": "another",
    "external.tls": True,
}
# What must be said first, so that a value has a meaning at all.
PEERS = [{"ipBlock": {"cidr": "203.0.113.7/32"}}]
EXTERNAL_POSTGRES = {
    "postgres": {"bundled": {"enabled": False}, "external": {"host": "pg", "secretName": "pg", "peers": PEERS}}
}
EXTERNAL_REDIS = {
    "redis": {"bundled": {"enabled": False}, "external": {"host": "redis", "secretName": "redis", "peers": PEERS}}
}
MONITORED = {"operator": {"serviceMonitor": {"enabled": True}}}
BEFORE: dict[str, dict[str, Any]] = {
    "rbac.clusterScoped": {"operator": {"watchNamespaces": ["hotel"]}},
    "operator.serviceMonitor.interval": MONITORED,
    "operator.serviceMonitor.labels": MONITORED,
    "postgres.external": EXTERNAL_POSTGRES,
    "postgres.external.caKey": {
        "postgres": {
            **EXTERNAL_POSTGRES["postgres"],
            "external": {"host": "pg", "secretName": "pg", "peers": PEERS, "caSecretName": "authority"},
        }
    },
    "redis.external": EXTERNAL_REDIS,
}
# Other servers are what the value chooses between: it is compared with those named.
SWITCHES = {"postgres.bundled.enabled": EXTERNAL_POSTGRES, "redis.bundled.enabled": EXTERNAL_REDIS}


def leaves(values: dict[str, Any], before: str = "") -> list[str]:
    paths: list[str] = []
    for key, value in values.items():
        path = f"{before}{key}"
        whole = not isinstance(value, dict) or not value or path.endswith("resources")
        paths += [path] if whole else leaves(value, f"{path}.")
    return paths


LEAVES = leaves(yaml.safe_load((CHART / "values.yaml").read_text()))


def longest_end(path: str, among: dict[str, Any]) -> Any:
    ends = [end for end in among if path == end or path.endswith(f".{end}")]
    assert ends, f"no other value is known for {path}: add it, so that it is shown to do something"
    return among[max(ends, key=len)]


def prerequisite(path: str) -> dict[str, Any]:
    starts = [start for start in BEFORE if path == start or path.startswith(f"{start}.")]
    return BEFORE[max(starts, key=len)] if starts else {}


def nested(path: str, value: Any) -> dict[str, Any]:
    result: dict[str, Any] = reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), value)
    return result


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = {**first, **second}
    for key in first.keys() & second.keys():
        if isinstance(first[key], dict) and isinstance(second[key], dict):
            both[key] = merged(first[key], second[key])
    return both


@pytest.mark.parametrize("path", LEAVES)
def test_every_value_does_something(chart: "Chart", path: str) -> None:
    before = prerequisite(path)
    after = SWITCHES[path] if path in SWITCHES else merged(before, nested(path, longest_end(path, OTHERWISE)))
    assert chart.text(before) != chart.text(after)


REFUSED = [
    ({"operator": {"replica": 2}}, "replica"),
    ({"postgres": {"bundled": {"persistance": {"enabled": False}}}}, "persistance"),
    ({"operator": {"image": {"pullPolicy": "Sometimes"}}}, "pullPolicy"),
    ({"operator": {"resources": {"limits": {"memory": "lots"}}}}, "memory"),
    ({"operator": {"image": {"digest": "sha256:12"}}}, "digest"),
    ({"bots": {"maximum": 0}}, "maximum"),
    ({"bots": {"allowedImages": ["a,b"]}}, "allowedImages"),
    ({"bots": {"allowedModelEndpoints": ["https://user@models.example"]}}, "allowedModelEndpoints"),
    ({"bots": {"allowedModelEndpoints": ["*.example.org"]}}, "allowedModelEndpoints"),
    ({"bots": {"allowedNodeSelectors": ["pool in (a)"]}}, "allowedNodeSelectors"),
    ({"bots": {"allowedTolerations": ["dedicated=bots:NoSchedule"]}}, "allowedTolerations"),
    ({"bots": {"allowedAffinities": ["affinity"]}}, "allowedAffinities"),
    ({"bots": {"allowedPriorityClasses": ["a,b"]}}, "allowedPriorityClasses"),
    ({"bots": {"allowedRuntimeClasses": [""]}}, "allowedRuntimeClasses"),
    ({"bots": {"logLevel": "verbose"}}, "logLevel"),
    ({"postgres": {"external": {"sslMode": "yes"}}}, "sslMode"),
    ({"postgres": {"bundled": {"enabled": False}}}, "postgres.external.host"),
    (
        {"postgres": {"bundled": {"enabled": False}, "external": {"host": "pg", "peers": PEERS}}},
        "postgres.external.secretName",
    ),
    (
        {
            "postgres": {
                **EXTERNAL_POSTGRES["postgres"],
                "external": {"host": "pg", "secretName": "pg", "peers": PEERS, "sslMode": "verify-full"},
            }
        },
        "postgres.external.caSecretName",
    ),
    ({"redis": {"bundled": {"enabled": False}}}, "redis.external.host"),
    (
        {"postgres": {"bundled": {"enabled": False}, "external": {"host": "pg", "secretName": "pg"}}},
        "postgres.external.peers",
    ),
    (
        {"redis": {"bundled": {"enabled": False}, "external": {"host": "redis", "secretName": "redis"}}},
        "redis.external.peers",
    ),
    ({"redis": {"external": {"peers": [{}]}}}, "peers"),
    ({"redis": {"external": {"database": 7}}}, "database"),
    ({"networkPolicies": {"bots": {"allowedEgress": [{"ports": [{"port": 1}]}]}}}, "allowedEgress"),
    ({"networkPolicies": {"bots": {"allowedEgress": [{"to": []}]}}}, "allowedEgress"),
    ({"networkPolicies": {"bots": {"deniedAddresses": ["10.0.0.1"]}}}, "deniedAddresses"),
    ({"postgres": {"bundled": {"settings": {"log_statement": "all"}}}}, "postgres.bundled.settings.log_statement"),
    ({"rbac": {"clusterScoped": False}}, "operator.watchNamespaces"),
]


@pytest.mark.parametrize(("values", "named"), REFUSED)
def test_a_value_that_makes_no_sense_is_refused_by_name(chart: "Chart", values: dict[str, Any], named: str) -> None:
    with pytest.raises(HelmError, match=named):
        chart.render(values)


@pytest.mark.parametrize("release", ["a" * 41, "with.dot", "1st"])
def test_a_release_name_that_makes_invalid_names_is_refused(chart: "Chart", release: str) -> None:
    with pytest.raises(HelmError, match="release name"):
        chart.render(release=release)


def test_the_longest_release_name_makes_names_of_at_most_63_characters(chart: "Chart") -> None:
    release = "a" * 40
    for document in chart.render(release=release):
        # These may be longer: they name no Service, no pod and no label.
        cluster = ("rbac", "admissionregistration", "apiextensions")
        if not document["apiVersion"].startswith(cluster):
            # A StatefulSet's pods carry a label with its name and a hash of 10 more.
            extra = 11 if document["kind"] == "StatefulSet" else 0
            assert len(document["metadata"]["name"]) + extra <= 63


SHOWN = re.findall(r"```yaml values\n(.*?)```", (ROOT / "docs" / "install.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("block", SHOWN)
def test_the_values_that_the_installation_page_shows_render(chart: "Chart", block: str) -> None:
    assert chart.text(yaml.safe_load(block)) != chart.text()
