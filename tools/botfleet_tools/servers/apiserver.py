"""etcd and kube-apiserver alone, on loopback: the real API with no nodes and no controllers, ready in about three seconds.

For tests of schemas, CEL rules, server-side apply, watches and rights. Nothing in it ever runs a pod.
"""

import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

from botfleet_tools import debian, pki
from botfleet_tools.binaries import Program, resolve
from botfleet_tools.binaries.resolve import obstacle
from botfleet_tools.progress import Progress
from botfleet_tools.run import Argv, capture
from botfleet_tools.servers.base import LOOPBACK, Server, ServerError, free_port

ApiVersion = Literal["1.34", "1.36"]

PROGRAMS: dict[ApiVersion, Program] = {"1.34": Program.KUBE_APISERVER, "1.36": Program.KUBE_APISERVER_NEXT}
ANSWER_SECONDS = 2.0
KUBECTL_SECONDS = 60.0
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


class ApiServer(Server):
    """An API server of its own, with RBAC on. ``audit`` logs every request's metadata to ``audit_log``."""

    name = "apiserver"

    def __init__(self, version: ApiVersion = "1.34", *, audit: bool = False, progress: Progress | None = None) -> None:
        super().__init__(progress)
        self.version = version
        self.port = 0
        self._etcd_port = 0
        self._audit = audit
        self._program: Path | None = None

    @staticmethod
    def unavailable(version: ApiVersion) -> str | None:
        """Why this version cannot be had here, None when it can. To build API server 1.36 takes a newer Go than to build 1.34."""
        return obstacle(PROGRAMS[version])

    @staticmethod
    def obtain(progress: Progress) -> None:
        """Install the etcd that every version starts with. The API server itself is built or downloaded on first use."""
        debian.ensure(["etcd-server"], progress)

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{LOOPBACK}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the group system:masters."""
        return self.folder / "admin.kubeconfig"

    @property
    def ca(self) -> Path:
        """The certificate that its own is signed with."""
        return self.folder / "ca.crt"

    @property
    def client_cert(self) -> Path:
        """The administrator's certificate."""
        return self.folder / "admin.crt"

    @property
    def client_key(self) -> Path:
        """The administrator's key."""
        return self.folder / "admin.key"

    @property
    def audit_log(self) -> Path | None:
        """One JSON line a request, when audit is on."""
        return self.folder / "audit.log" if self._audit else None

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator and return its output. Raises CommandFailedError with its error."""
        command: Argv = [resolve(Program.KUBECTL, self._progress), "--kubeconfig", self.kubeconfig, *argv]
        return capture(command, stdin=None if stdin is None else stdin.encode(), deadline_seconds=KUBECTL_SECONDS)

    def _prepare(self) -> None:
        self.obtain(self._progress)
        self._program = resolve(PROGRAMS[self.version], self._progress)
        self.port, self._etcd_port = free_port(), free_port()
        authority = pki.Authority("botfleet-test")
        self.ca.write_bytes(authority.pair.certificate)
        names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        authority.issue("kube-apiserver", dns=names, ips=(LOOPBACK, "10.0.0.1")).write(self.folder, "apiserver")
        admin = authority.issue("admin", organization="system:masters")
        admin.write(self.folder, "admin")
        config = pki.kubeconfig(self.url, authority.pair.certificate, admin, name="botfleet-test")
        pki.write_secret(self.kubeconfig, config.encode())
        private, public = pki.signing_key()
        pki.write_secret(self.folder / "tokens.key", private)
        (self.folder / "tokens.pub").write_bytes(public)
        (self.folder / "audit-policy.yaml").write_text(AUDIT_POLICY)

    def _launch(self) -> None:
        if self._program is None:
            raise ServerError("the API server was not prepared")
        client, peer = f"http://{LOOPBACK}:{self._etcd_port}", f"http://{LOOPBACK}:0"
        etcd = self._daemon("etcd")
        etcd.start(
            [
                "etcd",
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                "--unsafe-no-fsync",
            ],
            cwd=self.folder,
            env={"ETCD_UNSUPPORTED_ARCH": "arm64"} if os.uname().machine == "aarch64" else None,
        )
        etcd.wait_ready(lambda: _ok(f"{client}/health", None))
        apiserver = self._daemon("apiserver")
        apiserver.start([self._program, *self._flags(client)], cwd=self.folder)
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.client_cert, self.client_key)
        apiserver.wait_ready(lambda: _ok(f"{self.url}/readyz", context))

    def _flags(self, etcd: str) -> list[str]:
        folder = self.folder
        flags = {
            "etcd-servers": etcd,
            "bind-address": LOOPBACK,
            "advertise-address": LOOPBACK,
            "secure-port": str(self.port),
            "cert-dir": str(folder),
            "tls-cert-file": str(folder / "apiserver.crt"),
            "tls-private-key-file": str(folder / "apiserver.key"),
            "client-ca-file": str(self.ca),
            "service-cluster-ip-range": "10.0.0.0/24",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(folder / "tokens.pub"),
            "service-account-signing-key-file": str(folder / "tokens.key"),
            "authorization-mode": "RBAC",
            "allow-privileged": "true",
            # No controller makes service accounts here: with this on, no pod could be stored.
            "disable-admission-plugins": "ServiceAccount",
            "endpoint-reconciler-type": "none",
        }
        if self._audit:
            flags |= {"audit-log-path": str(self.audit_log), "audit-policy-file": str(folder / "audit-policy.yaml")}
        return [f"--{name}={value}" for name, value in flags.items()]


def _ok(url: str, context: ssl.SSLContext | None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS, context=context) as response:  # noqa: S310 - loopback
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
