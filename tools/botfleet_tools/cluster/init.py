"""The first process of a cluster (PID 1 of its namespace): hides the host's folders, starts the services, collects the dead.

Run by its path, with the standard library only, so that it stays small. When it ends, the kernel ends everything in the
cluster; it must therefore never end by itself once it was told to go.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

INSIDE = Path("/run/botfleet")
HIDDEN = ("/run", "/tmp", "/var/lib/cni", "/var/lib/containerd")  # noqa: S108 - covered, not used
VOLUMES = INSIDE / "volumes"
# The kubelet sets these for the whole machine unless it finds them set; it is shown files that say so instead.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
POLL_SECONDS = 0.05
RESTART_SECONDS = (0.5, 1, 2, 5, 10)
STEADY_SECONDS = 30.0
IN_CREATE = 0x100
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Service:
    """A program to keep running, started once every address in ``needs`` accepts connections."""

    name: str
    argv: list[str]
    needs: list[str] = field(default_factory=list)
    pid: int | None = None
    starts: int = 0
    failures: int = 0
    started: float = 0.0
    not_before: float = 0.0
    exit: int | None = None


def mount(source: str, target: str, kind: str | None = None, flags: int = 0) -> None:
    """mount(2); raises OSError."""
    encoded_kind = None if kind is None else kind.encode()
    if _libc.mount(source.encode(), target.encode(), encoded_kind, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def hide_host(run_dir: Path, programs: dict[str, str]) -> None:
    """Cover the host's folders that the services write to, and show the cluster's own ones in their place."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    (run_dir / "bin").mkdir(exist_ok=True)
    # Kept open: their paths may lie below a folder that is covered next.
    held = {name: os.open(path, os.O_PATH) for name, path in programs.items()}
    run = os.open(run_dir, os.O_PATH)
    for folder in HIDDEN:
        if Path(folder).is_dir():
            mount("tmpfs", folder, "tmpfs")
    INSIDE.mkdir(parents=True)
    mount(f"/proc/self/fd/{run}", str(INSIDE), flags=MS_BIND)
    for name, descriptor in held.items():
        (INSIDE / "bin" / name).touch()
        mount(f"/proc/self/fd/{descriptor}", str(INSIDE / "bin" / name), flags=MS_BIND)
    for own, target in (("log", "/var/log"), ("kubelet", "/var/lib/kubelet"), ("volumes", "/tmp/hostpath_pv")):  # noqa: S108
        (INSIDE / own).mkdir(exist_ok=True)
        Path(target).mkdir(parents=True, exist_ok=True)
        mount(str(INSIDE / own), target, flags=MS_BIND)
    for number in (*held.values(), run):
        os.close(number)


def freeze_sysctls() -> None:
    """Show the kubelet the machine-wide settings that it wants, without changing the machine's."""
    for name, value in SYSCTLS.items():
        target = Path("/proc/sys") / name
        if target.exists():
            shown = INSIDE / "sysctl" / name.replace("/", ".")
            shown.parent.mkdir(exist_ok=True)
            shown.write_text(f"{value}\n")
            mount(str(shown), str(target), flags=MS_BIND)


def watch_volumes() -> int:
    """A descriptor that becomes readable when a volume is made."""
    descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0 or _libc.inotify_add_watch(descriptor, bytes(VOLUMES), IN_CREATE) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(VOLUMES))
    return descriptor


def open_volumes() -> None:
    """Let pods that are not root write to their volumes: the provisioner makes folders for root only."""
    for volume in VOLUMES.iterdir():
        volume.chmod(0o777)


def accepts(address: str) -> bool:
    """Whether ``unix:/path`` or ``tcp:host:port`` accepts connections."""
    kind, _, rest = address.partition(":")
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    host, _, port = rest.rpartition(":")
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        with contextlib.suppress(OSError):
            probe.connect(rest if kind == "unix" else (host, int(port)))
            return True
    return False


def spawn(service: Service, environment: dict[str, str]) -> None:
    """Start a service with its output appended to its log."""
    log = str(INSIDE / "log" / f"{service.name}.log")
    service.pid = os.posix_spawnp(
        service.argv[0],
        service.argv,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGCHLD, signal.SIGPIPE],
    )
    service.started = time.monotonic()
    service.starts += 1


def collect(services: list[Service]) -> bool:
    """Collect every process that ended, and plan when a service starts again. True when a service was among them."""
    changed = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return changed
        if pid == 0:
            return changed
        for service in services:
            if service.pid == pid:
                steady = time.monotonic() - service.started > STEADY_SECONDS
                service.failures = 0 if steady else service.failures + 1
                delay = RESTART_SECONDS[min(service.failures, len(RESTART_SECONDS)) - 1] if service.failures else 0
                service.pid, service.exit = None, os.waitstatus_to_exitcode(status)
                service.not_before = time.monotonic() + delay
                changed = True


def report(services: list[Service]) -> None:
    """Write down how each service does, for `status` and for whoever waits outside."""
    facts = {s.name: {"pid": s.pid, "starts": s.starts, "failures": s.failures, "exit": s.exit} for s in services}
    partial = INSIDE / ".services.json"
    partial.write_text(json.dumps(facts, indent=2))
    partial.replace(INSIDE / "services.json")


def supervise(services: list[Service], environment: dict[str, str]) -> None:
    """Start what may start, for ever."""
    volumes = watch_volumes()
    awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        changed = collect(services)
        for service in services:
            due = service.pid is None and time.monotonic() >= service.not_before
            if due and all(accepts(address) for address in service.needs):
                spawn(service, environment)
                changed = True
        if changed:
            report(services)
        waiting = any(service.pid is None for service in services)
        readable, _, _ = select.select([awake, volumes], [], [], POLL_SECONDS if waiting else None)
        for descriptor in readable:
            os.read(descriptor, 4096)
        if volumes in readable:
            open_volumes()


def main(plan_file: str) -> None:
    """Wait to be told to go (whoever started this linked the network by then), then run the plan."""
    plan = json.loads(Path(plan_file).read_text())
    if sys.stdin.readline().strip() != "go":
        sys.exit("the command that started this cluster ended before the network was linked")
    socket.sethostname(plan["hostname"])
    hide_host(Path(plan["run_dir"]), plan["programs"])
    freeze_sysctls()
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    services = [Service(**service) for service in plan["services"]]
    os.chdir(INSIDE)
    supervise(services, plan["environment"])


if __name__ == "__main__":
    main(sys.argv[1])
