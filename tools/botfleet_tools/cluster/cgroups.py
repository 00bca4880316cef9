"""The control groups of one cluster, in every hierarchy that is mounted (cgroup v1, v2, or both).

Only groups below a cluster's own one are ever removed, and only once no process is in them.
"""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from botfleet_tools.cluster.names import ClusterError

MOUNTS = Path("/proc/self/mounts")
REMOVE_SECONDS = 20.0
POLL_SECONDS = 0.1
# What the kubelet needs to be handed down to it in cgroup v2.
V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


@dataclass(frozen=True)
class Hierarchy:
    """A mounted control group hierarchy."""

    path: Path
    version: int


def parse(mounts: str) -> list[Hierarchy]:
    """The hierarchies in the text of /proc/mounts."""
    kinds = {"cgroup": 1, "cgroup2": 2}
    fields = (line.split() for line in mounts.splitlines())
    return [Hierarchy(Path(field[1]), kinds[field[2]]) for field in fields if len(field) > 2 and field[2] in kinds]


def mounted() -> list[Hierarchy]:
    """The hierarchies of this machine."""
    return parse(MOUNTS.read_text())


def make(name: str) -> None:
    """Make the group ``name`` in every hierarchy."""
    hierarchies = mounted()
    for hierarchy in hierarchies:
        if hierarchy.version == 2 and len(hierarchies) == 1:
            _delegate(hierarchy.path)
        group = hierarchy.path / name
        group.mkdir(exist_ok=True)
        if hierarchy.version == 2 and len(hierarchies) == 1:
            _delegate(group)


def left(name: str) -> list[Path]:
    """The groups of this name that exist."""
    return [group for hierarchy in mounted() if (group := hierarchy.path / name).exists()]


def remove(name: str) -> None:
    """Remove the groups of this name with all below them.

    Raises ClusterError when processes stay in them for longer than the deadline.
    """
    end = time.monotonic() + REMOVE_SECONDS
    while groups := left(name):
        for group in groups:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # busy until its last process is gone; tried again
                    Path(folder).rmdir()
        if not left(name):
            return
        if time.monotonic() > end:
            raise ClusterError(f"control groups are still in use: {', '.join(map(str, groups))}")
        time.sleep(POLL_SECONDS)


def _delegate(group: Path) -> None:
    available = (group / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{controller}" for controller in V2_CONTROLLERS if controller in available)
    (group / "cgroup.subtree_control").write_text(wanted)
