"""Every container's log from its first line to its last, also of those that are killed, replaced or deleted meanwhile.

A log goes with its pod, so it is followed while it is written: a watch of all pods, and one thread a container.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kubernetes


@dataclass
class Kept:
    """One container's log. A container that was started again in its pod is another one."""

    namespace: str
    pod: str
    pod_uid: str
    container: str
    path: Path
    ended: threading.Event = field(default_factory=threading.Event)
    problem: str = ""

    @property
    def text(self) -> str:
        return self.path.read_text(errors="replace") if self.path.exists() else ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod} {self.container}"


class LogKeeper:
    """Keeps the logs of a cluster's containers in a folder, from `start` to `stop`."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        configuration.connection_pool_maxsize = 200  # one connection for each log that is followed
        self._api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
        self._watch = kubernetes.watch.Watch()
        self._folder = folder
        self._kept: dict[str, Kept] = {}
        self._restarts: dict[tuple[str, str, str], int] = {}
        self._problems: list[str] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._follow_pods, name="pods", daemon=True)

    def start(self) -> None:
        self._watcher.start()

    def stop(self) -> None:
        """Follows no more; what was not read until now is not kept."""
        self._closing.set()
        self._watch.stop()

    def kept(self) -> list[Kept]:
        with self._lock:
            return list(self._kept.values())

    def removed(self) -> list[Kept]:
        """The logs of pods that are not there any more."""
        there = {pod.metadata.uid for pod in self._api.list_pod_for_all_namespaces().items if pod.metadata}
        return [log for log in self.kept() if log.pod_uid not in there]

    def problems(self) -> list[str]:
        """What could not be kept, and why: a search of what is left would show nothing."""
        with self._lock:
            lives = Counter((log.pod_uid, log.container) for log in self._kept.values())
            missed = [
                f"{pod} {container} was started {restarts + 1} times, and {lives[uid, container]} logs were kept"
                for (uid, pod, container), restarts in self._restarts.items()
                if lives[uid, container] != restarts + 1
            ]
            unread = [f"{log}: {log.problem}" for log in self._kept.values() if log.problem]
            return [*self._problems, *missed, *unread]

    def current(self, log: Kept) -> str:
        """The log as the API server gives it now."""
        return self._open(log, follow=False).data.decode(errors="replace")

    def _follow_pods(self) -> None:
        """A watch that ends is begun anew, and tells first all pods that there are."""
        while not self._closing.is_set():
            try:
                self._watch = kubernetes.watch.Watch()
                for event in self._watch.stream(self._api.list_pod_for_all_namespaces, resource_version="0"):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._take_in(event["raw_object"])
            except Exception as error:  # noqa: BLE001 -- told by `problems`
                if getattr(error, "status", None) == HTTPStatus.GONE:
                    self._closing.wait(1)
                    continue
                if not self._closing.is_set():
                    with self._lock:
                        self._problems.append(f"the watch of pods ended: {error!r}")
                    return

    def _take_in(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        with self._lock:
            if self._closing.is_set():
                return
            for container, restarts in lives_before(pod):
                key = (metadata["uid"], f"{metadata['namespace']}/{metadata['name']}", container)
                self._restarts[key] = max(restarts, self._restarts.get(key, 0))
            for container, identity, previous in containers(pod):
                if identity in self._kept:
                    continue
                name = f"{metadata['namespace']}-{metadata['name']}-{container}-{len(self._kept)}.log"
                log = Kept(metadata["namespace"], metadata["name"], metadata["uid"], container, self._folder / name)
                self._kept[identity] = log
                threading.Thread(target=self._copy, args=(log, previous), name=name, daemon=True).start()

    def _copy(self, log: Kept, previous: bool) -> None:
        try:
            response = self._open(log, follow=not previous, previous=previous)
            with log.path.open("wb", buffering=0) as out:
                for part in response.stream(65536):
                    out.write(part)
        except Exception as error:  # noqa: BLE001 -- told by `problems`
            if not self._closing.is_set():
                log.problem = repr(error)
        finally:
            log.ended.set()

    def _open(self, log: Kept, *, follow: bool, previous: bool = False) -> Any:
        return self._api.read_namespaced_pod_log(
            log.pod, log.namespace, container=log.container, follow=follow, previous=previous, _preload_content=False
        )


def lives_before(pod: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """How often each container that has started was started again."""
    for name, one in statuses(pod):
        if one.get("containerID"):
            yield name, one["restartCount"]


def statuses(pod: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in pod.get("status", {}).get(kind) or []:
            yield one["name"], one


def containers(pod: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """The containers of a pod that have a log: name, the container's id, and whether another one runs in its place by now."""
    for name, one in statuses(pod):
        now = one.get("containerID")
        if now:
            yield name, now, False
        before = one.get("lastState", {}).get("terminated", {}).get("containerID")
        if before and before != now:
            yield name, before, True
