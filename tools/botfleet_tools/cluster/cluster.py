"""A development cluster as tests and commands see it: the same, whichever provider makes it."""

import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from botfleet_tools import binaries
from botfleet_tools.binaries import Program
from botfleet_tools.cluster import cleanup, files, layout, process
from botfleet_tools.cluster.kind import Kind, docker_runs
from botfleet_tools.cluster.names import DEFAULT_NAME, ClusterError, Names
from botfleet_tools.cluster.state import load, run_dir
from botfleet_tools.progress import Progress
from botfleet_tools.run import Argv, capture

Provider = Literal["kind", "process"]
Choice = Literal["auto", "kind", "process"]
KUBECTL_SECONDS = 60.0
ON_EVERY_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs."""

    name: str
    provider: Provider
    node_ip: str
    audit_log: Path | None = None
    progress: Progress = field(default_factory=Progress, compare=False)

    @classmethod
    def ensure(
        cls,
        name: str = DEFAULT_NAME,
        provider: Choice = "auto",
        progress: Progress | None = None,
        *,
        audit: bool = False,
    ) -> "Cluster":
        """The running cluster of this name, started if it does not run; quick when it does.

        Raises ToolError saying which part failed, with the end of its log.
        """
        shown = progress or Progress()
        cleanup.sweep(shown)
        if choose(name, provider) == "kind":
            if audit:
                raise ClusterError("the audit log is offered by the provider process only")
            Kind(name).up(shown)
        else:
            process.up(name, shown, audit=audit)
        found = cls.find(name, shown)
        if found is None:
            raise ClusterError(f"cluster {name} ended while it was started")
        return found

    @classmethod
    def find(cls, name: str = DEFAULT_NAME, progress: Progress | None = None) -> "Cluster | None":
        """The running cluster of this name, None when there is none. Starts and installs nothing."""
        Names(name)
        shown = progress or Progress()
        state = load(name)
        if state is not None:
            if not state.alive():
                return None
            audit_log = state.run_dir / layout.AUDIT_LOG if state.audit else None
            return cls(name, "process", state.network.node_ip, audit_log, shown)
        if (run_dir(name) / "kubeconfig").exists() and docker_runs() and (kind := Kind(name)).exists():
            return cls(name, "kind", kind.node_ip(), progress=shown)
        return None

    @property
    def run_dir(self) -> Path:
        """The folder with everything of this cluster, logs among it."""
        return run_dir(self.name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return files.kubeconfig(self.run_dir)

    def exports(self) -> list[str]:
        """What a shell must be told so that `kubectl` is one that fits and asks this cluster."""
        folder = binaries.resolve(Program.KUBECTL, self.progress).parent
        lines = [f"export KUBECONFIG={shlex.quote(str(self.kubeconfig))}"]
        # Whether it is on the PATH of this process tells little of the user's: sudo has a PATH of its own.
        if str(folder) not in ON_EVERY_PATH:
            lines.append(f'export PATH={shlex.quote(str(folder))}:"$PATH"')
        return lines

    @property
    def enforces_network_policy(self) -> bool:
        """Whether NetworkPolicy objects have an effect: kind brings an agent that enforces them."""
        return self.provider == "kind"

    def kubectl(self, *argv: str, stdin: str | None = None, deadline_seconds: float = KUBECTL_SECONDS) -> str:
        """Run kubectl as administrator and return its output. Raises CommandFailedError with its error."""
        command: Argv = [binaries.resolve(Program.KUBECTL, self.progress), "--kubeconfig", self.kubeconfig, *argv]
        return capture(command, stdin=None if stdin is None else stdin.encode(), deadline_seconds=deadline_seconds)

    def load_image(self, *archives: Path) -> None:
        """Make the images of `docker save` or OCI archives usable by pods; what is loaded already is skipped."""
        self.load_images(archives)

    def load_images(self, archives: Iterable[Path]) -> None:
        """See load_image."""
        for archive in archives:
            if self.provider == "kind":
                Kind(self.name).load_image(archive, self.progress)
            else:
                process.load_image(self.name, archive, self.progress)

    def tag_image(self, reference: str, new: str) -> None:
        """Give a loaded image a further name; a name that tells its contents makes pods follow a change."""
        if self.provider == "kind":
            Kind(self.name).tag_image(reference, new)
        else:
            process.tag_image(self.name, reference, new)

    def down(self) -> None:
        """Remove the cluster with everything of it."""
        remove(self.name, self.progress)


def choose(name: str, provider: Choice) -> Provider:
    """Which provider a cluster gets: the one it has, else the one asked for, else kind where Docker runs."""
    if load(name) is not None:
        existing: Provider | None = "process"
    elif (run_dir(name) / "kubeconfig").exists():
        existing = "kind"
    else:
        existing = None
    if existing is not None:
        if provider not in ("auto", existing):
            raise ClusterError(
                f"cluster {name} is one of the provider {existing}: remove it first, or take another name"
            )
        return existing
    if provider != "auto":
        return provider
    return "kind" if docker_runs() else "process"


def remove(name: str, progress: Progress) -> bool:
    """Remove a cluster, and what crashed ones left; False when there was no such cluster."""
    Names(name)
    if load(name) is not None:
        with progress.step(f"Removing cluster {name}"):
            removed = process.down(name)
    elif (run_dir(name) / "kubeconfig").exists() and docker_runs():
        with progress.step(f"Removing kind cluster {name}"):
            removed = Kind(name).down()
    else:
        removed = run_dir(name).exists()
        shutil.rmtree(run_dir(name), ignore_errors=True)
    cleanup.sweep(progress)
    return removed
