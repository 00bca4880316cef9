"""The mode of production: an operator with the chart's Roles in named namespaces, its own token, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from botfleet_tools.binaries import Program, resolve
from tests.integration.operator.harness import ROOT, Installation, Place, bot_of, credentials, eventually
from tests.support.accounts import kubeconfig_of

ACCOUNT = "botfleet-operator"
RBAC = "templates/operator/rbac.yaml"


def rights(namespaces: tuple[str, ...], own: str) -> str:
    """What the chart gives an operator that watches these namespaces, without anything of the cluster."""
    values = {"rbac": {"clusterScoped": False}, "operator": {"watchNamespaces": list(namespaces)}}
    command = [str(resolve(Program.HELM)), "template", "botfleet", str(ROOT / "charts/botfleet"), "--namespace", own]
    command += ["--show-only", RBAC, "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, timeout=60, check=True)
    assert "ClusterRole" not in done.stdout
    return done.stdout


def test_an_operator_with_roles_in_named_namespaces_serves_these_and_touches_nothing_else(
    installation: Installation, tmp_path: Path
) -> None:
    installation.prepare(3)
    own, served, other = installation.namespaces
    installation.api.kubectl("apply", "-f", "-", stdin=rights((served,), own))
    operator = installation.operator(
        KUBECONFIG=str(kubeconfig_of(installation.api, own, ACCOUNT, tmp_path / "kubeconfig")),
        BOTFLEET_OWN_NAMESPACE=own,
        BOTFLEET_NAMESPACES=served,
    ).wait_leading()
    Place(installation, other).apply(*credentials(account=77), bot_of())
    there = Place(installation, served)
    there.make(suspend=True)
    eventually(lambda: "Suspended" in there.kubectl("get", "events.events.k8s.io"), what="its Events")
    there.kubectl("delete", "serviceaccount", "concierge")
    eventually(lambda: there.exists("serviceaccount", "concierge"), what="its repair")
    elsewhere = Place(installation, other)
    assert "status" not in elsewhere.bot()
    for kind in ("deployment", "configmap", "serviceaccount"):
        assert not elsewhere.exists(kind, "concierge")
    refused = {
        name: count
        for name, count in operator.metrics().items()
        if name.startswith("botfleet_operator_api_requests_total") and 'status="403"' in name and count
    }
    # It asks for these two of the cluster, and does without.
    known = ('resource="namespaces"', 'resource="endpointslices"')
    assert not [name for name in refused if not any(word in name for word in known)], refused
    there.kubectl("delete", "telegrambot", "concierge")
    eventually(lambda: installation.database.roles() == set(), what="its removal")
