"""The one table of the programs that the tools run, with the exact version of each and where it comes from.

A version is changed here and, by ``python -m botfleet_tools.binaries.pin``, in the Go module files beside it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from botfleet_tools.prerequisites import Version

KUBERNETES = "1.34.2"
# CRD, CEL and admission tests run against this one too: 1.34 is near the end of its life.
KUBERNETES_NEXT = "1.36.3"
# The newest helm and CoreDNS that the Go of 1.24 builds, which is what Kubernetes 1.34 asks for.
HELM = "4.0.4"
COREDNS = "1.13.1"
KIND = "0.33.0"

_VERSION = re.compile(r"\bv?(\d+)\.(\d+)\.(\d+)\b")


class Program(StrEnum):
    """A program that can be resolved; the value is its name in the cache."""

    KUBE_APISERVER = "kube-apiserver"
    KUBE_CONTROLLER_MANAGER = "kube-controller-manager"
    KUBE_SCHEDULER = "kube-scheduler"
    KUBELET = "kubelet"
    KUBE_PROXY = "kube-proxy"
    KUBECTL = "kubectl"
    KUBE_APISERVER_NEXT = "kube-apiserver-next"
    HELM = "helm"
    COREDNS = "coredns"
    KIND = "kind"


@dataclass(frozen=True)
class GoModule:
    """A folder with go.mod and go.sum that pins what a program is built from, by version and by hash."""

    folder: str
    require: str
    go: Version
    ldflags: tuple[str, ...] = ()
    # Kubernetes replaces its staged modules by folders of its own tree; as a dependency they are named at this version.
    staging: str | None = None


@dataclass(frozen=True)
class Pin:
    """Where one program comes from. ``url`` knows {version} and {arch}; ``member`` is its path in a .tar.gz."""

    executable: str
    version: str
    module: GoModule
    package: str
    url: str
    checksum_suffix: str
    version_argv: tuple[str, ...]
    # How many leading numbers of a version found on PATH must be the pinned ones.
    same_parts: int = 2
    member: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)


def environment_variable(program: Program) -> str:
    """The variable that names a program to use instead: kube-apiserver is BOTFLEET_KUBE_APISERVER."""
    return "BOTFLEET_" + program.value.upper().replace("-", "_")


def parse_version(text: str) -> Version | None:
    """The first ``1.2.3`` or ``v1.2.3`` in what a program says of itself, None without one."""
    match = _VERSION.search(text)
    return tuple(int(part) for part in match.groups()) if match else None


def fits(pin: Pin, found: Version | None) -> bool:
    """Whether a program of version ``found`` may stand in for the pinned one."""
    wanted = parse_version(pin.version)
    return found is not None and wanted is not None and found[: pin.same_parts] == wanted[: pin.same_parts]


def _kubernetes_module(version: str, go: Version) -> GoModule:
    _, minor, patch = version.split(".")
    return GoModule(
        folder=f"kubernetes-{version}",
        require=f"k8s.io/kubernetes@v{version}",
        go=go,
        staging=f"v0.{minor}.{patch}",
        ldflags=(
            f"-X k8s.io/component-base/version.gitVersion=v{version}",
            "-X k8s.io/component-base/version.gitMajor=1",
            f"-X k8s.io/component-base/version.gitMinor={minor}",
            f"-X k8s.io/client-go/pkg/version.gitVersion=v{version}",
        ),
    )


def _kubernetes(program: str, module: GoModule, version: str, *version_argv: str) -> Pin:
    return Pin(
        executable=program,
        version=version,
        module=module,
        package=f"k8s.io/kubernetes/cmd/{program}",
        url=f"https://dl.k8s.io/release/v{{version}}/bin/linux/{{arch}}/{program}",
        checksum_suffix=".sha256",
        version_argv=version_argv or ("--version",),
    )


def _helm_kubernetes(minor: str) -> tuple[str, ...]:
    """What `helm template` and `helm lint` take for the cluster's version: that of the client library helm is built with."""
    variables = (
        "pkg/chart/common.k8sVersion",
        "pkg/chart/v2/lint/rules.k8sVersion",
        "internal/version.kubeClientVersion",
    )
    parts = (("Major", "1"), ("Minor", minor))
    return tuple(f"-X helm.sh/helm/v4/{name}{part}={value}" for name in variables for part, value in parts)


_MODULE = _kubernetes_module(KUBERNETES, (1, 24))
_MODULE_NEXT = _kubernetes_module(KUBERNETES_NEXT, (1, 26))

PINS: Mapping[Program, Pin] = {
    Program.KUBE_APISERVER: _kubernetes("kube-apiserver", _MODULE, KUBERNETES),
    Program.KUBE_CONTROLLER_MANAGER: _kubernetes("kube-controller-manager", _MODULE, KUBERNETES),
    Program.KUBE_SCHEDULER: _kubernetes("kube-scheduler", _MODULE, KUBERNETES),
    Program.KUBELET: _kubernetes("kubelet", _MODULE, KUBERNETES),
    Program.KUBE_PROXY: _kubernetes("kube-proxy", _MODULE, KUBERNETES),
    Program.KUBECTL: _kubernetes("kubectl", _MODULE, KUBERNETES, "version", "--client"),
    Program.KUBE_APISERVER_NEXT: _kubernetes("kube-apiserver", _MODULE_NEXT, KUBERNETES_NEXT),
    Program.HELM: Pin(
        executable="helm",
        version=HELM,
        module=GoModule(
            folder=f"helm-{HELM}",
            require=f"helm.sh/helm/v4@v{HELM}",
            go=(1, 24),
            ldflags=(f"-X helm.sh/helm/v4/internal/version.version=v{HELM}", *_helm_kubernetes(minor="34")),
        ),
        package="helm.sh/helm/v4/cmd/helm",
        url="https://get.helm.sh/helm-v{version}-linux-{arch}.tar.gz",
        checksum_suffix=".sha256sum",
        version_argv=("version", "--short"),
        same_parts=1,
        member="linux-{arch}/helm",
    ),
    Program.COREDNS: Pin(
        executable="coredns",
        version=COREDNS,
        module=GoModule(folder=f"coredns-{COREDNS}", require=f"github.com/coredns/coredns@v{COREDNS}", go=(1, 24)),
        package="github.com/coredns/coredns",
        url="https://github.com/coredns/coredns/releases/download/v{version}/coredns_{version}_linux_{arch}.tgz",
        checksum_suffix=".sha256",
        version_argv=("-version",),
        same_parts=1,
        member="coredns",
    ),
    Program.KIND: Pin(
        executable="kind",
        version=KIND,
        module=GoModule(folder=f"kind-{KIND}", require=f"sigs.k8s.io/kind@v{KIND}", go=(1, 17)),
        package="sigs.k8s.io/kind",
        url="https://github.com/kubernetes-sigs/kind/releases/download/v{version}/kind-linux-{arch}",
        checksum_suffix=".sha256sum",
        version_argv=("version",),
        same_parts=1,
    ),
}

# What a node made of plain processes runs.
NODE_PROGRAMS = (
    Program.KUBE_APISERVER,
    Program.KUBE_CONTROLLER_MANAGER,
    Program.KUBE_SCHEDULER,
    Program.KUBELET,
    Program.KUBE_PROXY,
    Program.KUBECTL,
    Program.COREDNS,
)
