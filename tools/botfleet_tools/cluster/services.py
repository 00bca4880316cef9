"""The services of a cluster: their command lines, and what each waits for. Pure.

No secret is on a command line: keys are files that only root reads.
"""

from botfleet_tools.binaries import Program
from botfleet_tools.cluster import layout
from botfleet_tools.cluster.init import Service
from botfleet_tools.cluster.names import Names
from botfleet_tools.cluster.network import Network

ETCD = "http://127.0.0.1:2379"
ETCD_PEER = "http://127.0.0.1:2380"
_CONTAINERD = f"unix:{layout.CONTAINERD_SOCKET}"


def services(names: Names, network: Network, *, audit: bool) -> list[Service]:
    """Every service, in the order in which they are looked after."""
    api = [f"tcp:{network.node_ip}:{layout.API_PORT}"]
    return [
        Service("etcd", ["etcd", *_etcd()]),
        Service("containerd", ["containerd", "--config", str(layout.ROOT / "containerd.toml")]),
        _service(Program.KUBE_APISERVER, _apiserver(network, audit=audit), ["tcp:127.0.0.1:2379"]),
        _service(Program.KUBE_CONTROLLER_MANAGER, _controller_manager(), api),
        _service(Program.KUBE_SCHEDULER, _scheduler(), api),
        _service(Program.KUBELET, _kubelet(names, network), [_CONTAINERD, *api]),
        _service(Program.KUBE_PROXY, _proxy(names, network), api),
        Service("coredns", [str(layout.BIN / "coredns"), "-conf", str(layout.ROOT / "Corefile")], api),
    ]


def _service(program: Program, flags: dict[str, str], needs: list[str]) -> Service:
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    return Service(program.value, [str(layout.BIN / program.value), *arguments], needs)


def _etcd() -> list[str]:
    # Without fsync: the cluster's data are worth nothing after a crash of the machine.
    flags = {
        "data-dir": f"{layout.ROOT}/etcd",
        "listen-client-urls": ETCD,
        "advertise-client-urls": ETCD,
        "listen-peer-urls": ETCD_PEER,
        "initial-advertise-peer-urls": ETCD_PEER,
        "initial-cluster": f"default={ETCD_PEER}",
    }
    return [*(f"--{name}={value}" for name, value in flags.items()), "--unsafe-no-fsync"]


def _pki(name: str) -> str:
    return str(layout.PKI / name)


def _apiserver(network: Network, *, audit: bool) -> dict[str, str]:
    flags = {
        "etcd-servers": ETCD,
        "secure-port": str(layout.API_PORT),
        "advertise-address": network.node_ip,
        "service-cluster-ip-range": network.services,
        "cert-dir": str(layout.PKI),
        "tls-cert-file": _pki("apiserver.crt"),
        "tls-private-key-file": _pki("apiserver.key"),
        "client-ca-file": _pki("ca.crt"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": _pki("tokens.pub"),
        "service-account-signing-key-file": _pki("tokens.key"),
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "kubelet-client-certificate": _pki("kubelet-client.crt"),
        "kubelet-client-key": _pki("kubelet-client.key"),
        "kubelet-certificate-authority": _pki("ca.crt"),
        "kubelet-preferred-address-types": "InternalIP",
        "allow-privileged": "true",
        "requestheader-client-ca-file": _pki("ca.crt"),
        "requestheader-allowed-names": "front-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": _pki("front-proxy.crt"),
        "proxy-client-key-file": _pki("front-proxy.key"),
    }
    if audit:
        flags |= {
            "audit-log-path": str(layout.ROOT / layout.AUDIT_LOG),
            "audit-policy-file": str(layout.ROOT / "audit-policy.yaml"),
        }
    return flags


def _controller_manager() -> dict[str, str]:
    return {
        "kubeconfig": _pki("controller-manager.kubeconfig"),
        "service-account-private-key-file": _pki("tokens.key"),
        "root-ca-file": _pki("ca.crt"),
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": _pki("ca.crt"),
        "cluster-signing-key-file": _pki("ca.key"),
        "enable-hostpath-provisioner": "true",
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "kube-api-qps": "200",
        "kube-api-burst": "400",
    }


def _scheduler() -> dict[str, str]:
    return {
        "kubeconfig": _pki("scheduler.kubeconfig"),
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "kube-api-qps": "200",
        "kube-api-burst": "400",
    }


def _kubelet(names: Names, network: Network) -> dict[str, str]:
    return {
        "config": str(layout.ROOT / "kubelet.yaml"),
        "kubeconfig": _pki("node.kubeconfig"),
        "hostname-override": names.node,
        "node-ip": network.node_ip,
        "cert-dir": str(layout.PKI),
    }


def _proxy(names: Names, network: Network) -> dict[str, str]:
    return {
        "kubeconfig": _pki("proxy.kubeconfig"),
        "hostname-override": names.node,
        "proxy-mode": "iptables",
        "cluster-cidr": network.pods,
        "metrics-bind-address": "127.0.0.1:10249",
        # 0: the machine's connection tracking is not touched.
        "conntrack-max-per-core": "0",
        "conntrack-min": "0",
        "conntrack-tcp-timeout-established": "0",
        "conntrack-tcp-timeout-close-wait": "0",
    }
