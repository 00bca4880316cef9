"""Writes what a cluster reads: certificates, kubeconfigs, configuration files and the plan of its first process."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from botfleet_tools import pki
from botfleet_tools.binaries import Program
from botfleet_tools.cluster import configs, layout
from botfleet_tools.cluster.services import services
from botfleet_tools.cluster.state import State

FOLDERS = ("pki", "log", "etcd", "cni", "kubelet", "containerd", "volumes", "tmp", "bin")
# Who talks to the API server: file, user and group (Kubernetes' own names, bound by its default roles).
CLIENTS = (
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("coredns", "system:coredns", ""),
)


def kubeconfig(run_dir: Path) -> Path:
    """The administrator's kubeconfig."""
    return run_dir / "kubeconfig"


def plan_file(run_dir: Path) -> Path:
    """What the first process of the cluster does."""
    return run_dir / "plan.json"


def write(state: State, programs: Mapping[Program, Path]) -> None:
    """Write everything into the run directory."""
    for folder in FOLDERS:
        (state.run_dir / folder).mkdir(parents=True, exist_ok=True)
    _certificates(state)
    _configuration(state)
    environment = {
        "PATH": f"{layout.BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "TMPDIR": str(layout.TEMPORARY),
        "ETCD_UNSUPPORTED_ARCH": "arm64",
    }
    plan = {
        "hostname": state.names.node,
        "run_dir": str(state.run_dir),
        "programs": {program.value: str(path.resolve()) for program, path in programs.items()},
        "services": [_described(asdict(s)) for s in services(state.names, state.network, audit=state.audit)],
        "environment": environment,
    }
    plan_file(state.run_dir).write_text(json.dumps(plan, indent=2))


def _described(service: dict[str, object]) -> dict[str, object]:
    return {key: service[key] for key in ("name", "argv", "needs")}


def _certificates(state: State) -> None:
    folder, network, node = state.run_dir / "pki", state.network, state.names.node
    server = f"https://{network.node_ip}:{layout.API_PORT}"
    authority = pki.Authority(f"botfleet-{state.name}")
    authority.pair.write(folder, "ca")
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{layout.DOMAIN}"]
    addresses = ["127.0.0.1", network.api_ip, network.node_ip]
    authority.issue("kube-apiserver", dns=["localhost", *service], ips=addresses).write(folder, "apiserver")
    authority.issue("apiserver-kubelet", organization="system:masters").write(folder, "kubelet-client")
    authority.issue("front-proxy").write(folder, "front-proxy")
    kubelet = authority.issue(
        f"system:node:{node}", organization="system:nodes", dns=[node], ips=["127.0.0.1", network.node_ip]
    )
    kubelet.write(folder, "node")
    clients = {name: authority.issue(user, organization=group) for name, user, group in CLIENTS} | {"node": kubelet}
    for name, client in clients.items():
        config = pki.kubeconfig(server, authority.pair.certificate, client, name=f"botfleet-{state.name}").encode()
        pki.write_secret(folder / f"{name}.kubeconfig", config)
        if name == "admin":
            pki.write_secret(kubeconfig(state.run_dir), config)
    private, public = pki.signing_key()
    pki.write_secret(folder / "tokens.key", private)
    (folder / "tokens.pub").write_bytes(public)


def _configuration(state: State) -> None:
    network = state.network
    texts = {
        "kubelet.yaml": configs.kubelet(network, state.names.cgroup),
        "containerd.toml": configs.containerd(),
        "cni/10-pods.conflist": configs.cni(network),
        "Corefile": configs.corefile(network),
        "resolv.conf": configs.resolv_conf(network),
        "audit-policy.yaml": configs.audit_policy(),
        "base-objects.yaml": configs.base_objects(network),
    }
    for name, text in texts.items():
        (state.run_dir / name).write_text(text)
