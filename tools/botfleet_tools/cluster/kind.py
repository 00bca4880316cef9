"""The provider `kind`: a cluster in Docker containers, where Docker runs.

Not verified: no machine with Docker has run it yet. Its calls are tested as data, against kind's documented command line.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from botfleet_tools import binaries
from botfleet_tools.binaries import Program
from botfleet_tools.cache import exclusive
from botfleet_tools.cluster.names import ClusterError, Names
from botfleet_tools.cluster.state import run_dir
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError, capture

Run = Callable[[list[str], float], str]

DOCKER_SECONDS = 10.0
LIST_SECONDS = 30.0
CREATE_SECONDS = 600.0
DELETE_SECONDS = 120.0
LOAD_SECONDS = 300.0
LOCK_SECONDS = 900.0
NODE_WAIT = "180s"


def docker_runs() -> bool:
    """Whether a Docker engine answers here."""
    if shutil.which("docker") is None:
        return False
    try:
        capture(["docker", "info", "--format", "{{.ServerVersion}}"], deadline_seconds=DOCKER_SECONDS)
    except CommandFailedError:
        return False
    return True


class Kind:
    """One kind cluster. ``run`` runs a command within so many seconds and returns its output."""

    def __init__(self, name: str, run: Run | None = None, *, program: Path | None = None) -> None:
        self._names = Names(name)
        self._run = run or _run
        self._program = program

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, in the same place as with the other provider."""
        return run_dir(self._names.cluster) / "kubeconfig"

    def exists(self) -> bool:
        """Whether there is such a cluster."""
        return self._names.cluster in self._kind(LIST_SECONDS, "get", "clusters").split()

    def up(self, progress: Progress) -> None:
        """Make the cluster unless there is one."""
        with exclusive(self._names.lock, deadline_seconds=LOCK_SECONDS):
            self._resolve(progress)
            self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
            if self.exists():
                self._kind(LIST_SECONDS, "export", "kubeconfig", *self._named(), "--kubeconfig", str(self.kubeconfig))
                return
            with progress.step(f"Creating kind cluster {self._names.cluster}"):
                options = ["--kubeconfig", str(self.kubeconfig), "--wait", NODE_WAIT]
                self._kind(CREATE_SECONDS, "create", "cluster", *self._named(), *options)

    def down(self) -> bool:
        """Remove the cluster; False when there is none."""
        with exclusive(self._names.lock, deadline_seconds=LOCK_SECONDS):
            there = self.exists()
            if there:
                self._kind(DELETE_SECONDS, "delete", "cluster", *self._named(), "--kubeconfig", str(self.kubeconfig))
            shutil.rmtree(self.kubeconfig.parent, ignore_errors=True)
            return there

    def load_image(self, archive: Path, progress: Progress) -> None:
        """Make an image archive's images usable by pods; kind itself skips what a node has already."""
        with progress.step(f"Loading {archive.name}"):
            self._kind(LOAD_SECONDS, "load", "image-archive", str(archive), *self._named())

    def tag_image(self, reference: str, new: str) -> None:
        """Give a loaded image a further name on the node."""
        node = f"{self._names.cluster}-control-plane"
        ctr = ["docker", "exec", node, "ctr", "--namespace", "k8s.io", "images", "tag", "--force", reference, new]
        self._run(ctr, LIST_SECONDS)

    def node_ip(self) -> str:
        """The node's address, which the host reaches over Docker's network (on Linux)."""
        node = f"{self._names.cluster}-control-plane"
        found = json.loads(self._run(["docker", "inspect", node], LIST_SECONDS))
        address = found[0]["NetworkSettings"]["Networks"]["kind"]["IPAddress"]
        if not address:
            raise ClusterError(f"the container {node} has no address in the network kind")
        return str(address)

    def _named(self) -> list[str]:
        return ["--name", self._names.cluster]

    def _resolve(self, progress: Progress | None = None) -> Path:
        if self._program is None:
            self._program = binaries.resolve(Program.KIND, progress)
        return self._program

    def _kind(self, deadline_seconds: float, *argv: str) -> str:
        return self._run([str(self._resolve()), *argv], deadline_seconds)


def _run(argv: list[str], deadline_seconds: float) -> str:
    return capture(argv, deadline_seconds=deadline_seconds)
