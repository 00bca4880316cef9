"""Why: programs of this machine reach a pod's port, whatever the provider: `kubectl port-forward`, started and ended here."""

import contextlib
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator

from botfleet_tools.binaries import Program, resolve
from botfleet_tools.cluster import Cluster
from botfleet_tools.errors import ToolError
from botfleet_tools.progress import Progress

START_SECONDS = 60.0
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextlib.contextmanager
def forwarded(cluster: Cluster, namespace: str, target: str, *ports: int) -> Iterator[dict[int, int]]:
    """Ports of `target` (deployment/NAME, pod/NAME) on free ports of the loopback: {port there: port here}.

    Raises:
        ToolError: the forwarding did not come up within a minute.
    """
    kubectl = resolve(Program.KUBECTL, Progress())
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [
                kubectl, "--kubeconfig", cluster.kubeconfig, "-n", namespace, "port-forward", target,
                *(f":{port}" for port in ports),
            ],
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        drained: threading.Thread | None = None
        try:
            local = _local_ports(process, target, ports)
            # What it prints later (one line a connection) must not fill the pipe.
            drained = threading.Thread(target=_drain, args=(process,), daemon=True)
            drained.start()
            yield local
        finally:
            process.terminate()
            process.wait(timeout=10)
            if drained is not None:
                drained.join(timeout=10)
            if process.stdout is not None:
                process.stdout.close()


def _local_ports(process: "subprocess.Popen[str]", target: str, ports: tuple[int, ...]) -> dict[int, int]:
    assert process.stdout is not None  # noqa: S101 -- asked for above
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    found: list[int] = []
    try:
        for line in process.stdout:
            if match := _FORWARDING.search(line):
                found.append(int(match.group(1)))
            if len(found) == len(ports):
                break
    finally:
        watchdog.cancel()
    if len(found) < len(ports):
        raise ToolError(f"port-forward to {target} did not come up within {START_SECONDS:.0f} s")
    return dict(zip(ports, found, strict=True))


def _drain(process: "subprocess.Popen[str]") -> None:
    for _ in process.stdout or ():
        pass
