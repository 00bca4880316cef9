"""What exists of a cluster, written down before it is made, so that whoever comes after a crash can remove it.

The state is the only source for clean-up: nothing is ever removed because its name looks like ours.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from botfleet_tools.cache import cache_dir
from botfleet_tools.cluster.names import Names
from botfleet_tools.cluster.network import Network
from botfleet_tools.pids import Process

STATE_FILE = "state.json"


@dataclass(frozen=True)
class State:
    """One cluster of plain processes: its resources, and which of its processes to end."""

    name: str
    network: Network
    audit: bool = False
    launcher: Process | None = None
    init: Process | None = None
    # Set once the cluster was ready for the first time.
    complete: bool = False
    # Set when `up` said that a part failed: what there is of it is kept for a look.
    failed: bool = False
    images: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        """The names derived from the cluster's."""
        return Names(self.name)

    @property
    def run_dir(self) -> Path:
        """Everything of this cluster that is on disk."""
        return run_dir(self.name)

    def alive(self) -> bool:
        """Whether its first process runs; all others end with it."""
        return self.init is not None and self.init.alive()

    def abandoned(self) -> bool:
        """Whether it crashed, or whoever made it did: true also while it is made, by somebody who then holds its lock."""
        return not self.alive() or not (self.complete or self.failed)

    def save(self) -> None:
        """Write it down, all or nothing."""
        folder = self.run_dir
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        partial = folder / f".{STATE_FILE}.{os.getpid()}"
        with partial.open("w") as file:
            json.dump(asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / STATE_FILE)

    def with_changes(self, **changes: Any) -> "State":
        """The changed state, saved."""
        changed = replace(self, **changes)
        changed.save()
        return changed


def run_dir(name: str) -> Path:
    """Where a cluster's files are."""
    return clusters_dir() / name


def clusters_dir() -> Path:
    """Where all clusters' files are."""
    path = cache_dir() / "clusters"
    path.mkdir(exist_ok=True)
    return path


def load(name: str) -> State | None:
    """The state of a cluster, None when there is nothing of it."""
    try:
        data = json.loads((run_dir(name) / STATE_FILE).read_text())
    except FileNotFoundError:
        return None
    return _parse(data)


def every() -> Iterator[State]:
    """The states of all clusters of plain processes."""
    for path in sorted(clusters_dir().glob(f"*/{STATE_FILE}")):
        if (state := load(path.parent.name)) is not None:
            yield state


def _parse(data: dict[str, Any]) -> State:
    processes = {key: None if data[key] is None else Process(**data[key]) for key in ("launcher", "init")}
    return State(**(data | processes | {"network": Network(**data["network"])}))
