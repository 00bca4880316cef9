"""Removes what a cluster of plain processes left: its processes, its link, its control groups, its files.

It works from the state that was written before each thing was made, and may be repeated at any time.
"""

import contextlib
import os
import shutil
import signal

from botfleet_tools.cache import LockTimeoutError, exclusive
from botfleet_tools.cluster import cgroups, network
from botfleet_tools.cluster.names import ClusterError
from botfleet_tools.cluster.state import State, every, load
from botfleet_tools.progress import Progress

END_SECONDS = 60.0


def remove(state: State) -> None:
    """Remove everything of a cluster; its files, the state among them, go last. The caller holds the cluster's lock.

    Raises ClusterError when something cannot be removed: the state is kept then, and the next try goes on.
    """
    for process in (state.init, state.launcher):
        # The kernel ends all processes of the cluster with its first one, and waits for them.
        if process is not None and process.send(signal.SIGKILL) and not process.wait(END_SECONDS):
            raise ClusterError(f"process {process.pid} of cluster {state.name} does not end")
        if process is not None:
            _collect(process.pid)
    network.disconnect(state.names.interface)
    cgroups.remove(state.names.cgroup)
    shutil.rmtree(state.run_dir)


def _collect(pid: int) -> None:
    """Collect a process that this very one started."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def sweep(progress: Progress) -> None:
    """Remove what clusters, or commands that made one, left when they crashed. One that a command works on is left to it."""
    for state in every():
        if not state.abandoned():
            continue
        try:
            with exclusive(state.names.lock, deadline_seconds=0):
                current = load(state.name)
                if current is not None and current.abandoned():
                    progress.say(f"Cluster {state.name} has crashed: removing what it left")
                    remove(current)
        except LockTimeoutError:
            continue
