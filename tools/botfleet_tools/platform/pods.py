"""Why: tests kill what runs in a pod as a machine would: with SIGKILL, from outside. Only processes of a pod of ours are touched."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from botfleet_tools.cluster import Cluster
from botfleet_tools.errors import ToolError


def pod_of(cluster: Cluster, namespace: str, bot: str) -> dict[str, Any]:
    """The one pod of a bot that is not being deleted.

    Raises:
        ToolError: there is none, or more than one.
    """
    text = cluster.kubectl("-n", namespace, "get", "pods", "-l", f"botfleet.dev/bot={bot}", "-o", "json")
    pods = [pod for pod in json.loads(text)["items"] if "deletionTimestamp" not in pod["metadata"]]
    if len(pods) != 1:
        raise ToolError(f"{namespace}/{bot} has {len(pods)} pods; one was expected")
    pod: dict[str, Any] = pods[0]
    return pod


def restarts(cluster: Cluster, namespace: str, bot: str) -> int:
    """How often the container of a bot's pod was started again."""
    statuses = pod_of(cluster, namespace, bot)["status"].get("containerStatuses", [])
    return sum(int(status["restartCount"]) for status in statuses)


def processes(cluster: Cluster, namespace: str, bot: str) -> list[int]:
    """The processes of a bot's container, as this machine numbers them.

    The node's processes are visible from this machine with either provider, and are known by their container's id in
    /proc/PID/cgroup.
    """
    return _processes(pod_of(cluster, namespace, bot))


def kill9(cluster: Cluster, namespace: str, bot: str) -> int:
    """SIGKILL to every process of the bot's container; how many there were."""
    return kill9_pod(pod_of(cluster, namespace, bot))


def kill9_pod(pod: dict[str, Any]) -> int:
    """SIGKILL to every process of the pod's first container; how many there were."""
    return _send(pod, signal.SIGKILL)


def freeze_pod(pod: dict[str, Any]) -> int:
    """SIGSTOP to the same: they do no more than dead ones, and kubelet starts none in their place."""
    return _send(pod, signal.SIGSTOP)


def _send(pod: dict[str, Any], number: signal.Signals) -> int:
    reached = 0
    for process in _processes(pod):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
            reached += 1
    return reached


def _processes(pod: dict[str, Any]) -> list[int]:
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("//")[2]
    if len(container) < 32:
        raise ToolError(f"{pod['metadata']['name']}: the container has no usable id yet")
    folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [int(folder.name) for folder in folders if _belongs(folder, container)]


def _belongs(process: Path, container: str) -> bool:
    try:
        return container in (process / "cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
