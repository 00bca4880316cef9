"""The configuration files of a cluster's programs. Pure: text out of names and addresses, nothing is read or written."""

import json
from typing import Any

import yaml

from botfleet_tools.cluster import layout
from botfleet_tools.cluster.network import Network

MAXIMUM_PODS = 250


def kubelet(network: Network, cgroup: str) -> str:
    """The kubelet: pods start and Secrets are refreshed quickly, images are never removed."""
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failSwapOn": False,
        "failCgroupV1": False,
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "tlsCertFile": str(layout.PKI / "node.crt"),
        "tlsPrivateKeyFile": str(layout.PKI / "node.key"),
        "readOnlyPort": 0,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "maxPods": MAXIMUM_PODS,
        "clusterDomain": layout.DOMAIN,
        "clusterDNS": [network.dns_ip],
        "resolvConf": str(layout.ROOT / "resolv.conf"),
        # How soon a mounted Secret or ConfigMap shows its new content; the default is a minute.
        "syncFrequency": "5s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "eventRecordQPS": 0,
    }
    return yaml.safe_dump(config, sort_keys=False)


def resolv_conf(network: Network) -> str:
    """Name resolution for pods that use the node's: the cluster's DNS, there is nothing beyond it."""
    return f"nameserver {network.dns_ip}\n"


def containerd() -> str:
    """containerd 1.6; a score below the parent's cannot be set without CAP_SYS_RESOURCE, and no sandbox would start."""
    return f"""\
version = 2
root = "{layout.ROOT}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{layout.CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{layout.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{layout.CNI_PLUGINS}"
    conf_dir = "{layout.ROOT}/cni"
"""


def cni(network: Network) -> str:
    """Pod networking: a routed link for each pod, which needs no bridge module of the kernel."""
    ranges = [[{"subnet": network.pods}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {"type": "ptp", "ipMasq": True, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}, indent=2)


def corefile(network: Network) -> str:
    """CoreDNS: the cluster's names; every other name does not exist, said at once."""
    return f"""\
{layout.DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
  bind {network.node_ip}
  errors
  kubernetes {{
    kubeconfig {layout.PKI}/coredns.kubeconfig
    pods insecure
    ttl 2
  }}
}}
.:53 {{
  bind {network.node_ip}
  errors
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""


def audit_policy() -> str:
    """One line a finished request, without bodies (they may hold secrets)."""
    rules = [{"level": "Metadata"}]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    return yaml.safe_dump(policy, sort_keys=False)


def base_objects(network: Network) -> str:
    """What a cluster has from its first second on: DNS, its right to read, and a default StorageClass."""
    return yaml.safe_dump_all([*_dns(network), _dns_role(), _dns_binding(), _storage_class()], sort_keys=False)


def _dns(network: Network) -> list[dict[str, Any]]:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": network.dns_ip, "ports": ports},
    }
    # CoreDNS is a process of the node, not a pod: no selector finds it.
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [network.node_ip], "conditions": {"ready": True}}],
        "ports": ports,
    }
    return [service, endpoints]


def _dns_role() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    }


def _dns_binding() -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:coredns"}],
    }


def _storage_class() -> dict[str, Any]:
    # The controller manager's own provisioner for one node (--enable-hostpath-provisioner): folders of the run directory.
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": layout.STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/host-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
