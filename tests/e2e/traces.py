"""What of clusters can be seen on the host: that it is the same before and after is what "nothing is left behind" means."""

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from botfleet_tools.cluster.names import Names
from botfleet_tools.cluster.state import load
from botfleet_tools.pids import Process

SYSCTLS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
LINKS = re.compile(r"\bbf-[0-9a-f]{10}\b")
# What counts packets or seconds differs from one look to the next.
COUNTERS = re.compile(r" \[\d+:\d+\]| counter packets \d+ bytes \d+| expires \d+sec")


@dataclass(frozen=True)
class Traces:
    """What the host shows of some clusters, and what it shows of itself."""

    processes: tuple[str, ...]
    mounts: tuple[str, ...]
    interfaces: tuple[str, ...]
    cgroups: tuple[str, ...]
    firewall: tuple[str, ...]
    routes: tuple[str, ...]
    sysctls: tuple[str, ...]


def traces(*names: str) -> Traces:
    """What the host shows of the clusters of these names; firewall, routes and settings as a whole."""
    wanted = [Names(name) for name in names]
    own = {name.interface for name in wanted}
    groups = (path for root in Path("/sys/fs/cgroup").glob("*") if root.is_dir() for path in root.glob("botfleet-*"))
    return Traces(
        processes=tuple(sorted(processes(*names).values())),
        mounts=tuple(line for line in Path("/proc/self/mounts").read_text().splitlines() if "botfleet" in line),
        interfaces=tuple(sorted({path.name for path in Path("/sys/class/net").iterdir()} & own)),
        cgroups=tuple(sorted(str(path) for path in groups if path.name in {name.cgroup for name in wanted})),
        firewall=firewall(),
        routes=routes(own),
        sysctls=tuple(Path("/proc/sys", name).read_text() for name in SYSCTLS),
    )


# What is the whole machine's: somebody else may change it at the same time, and change it back.
OF_THE_MACHINE = ("firewall", "routes", "sysctls")


def same(before: Traces, *names: str, seconds: float = 20.0) -> None:
    """Fails with the lines that differ from before; what others may have changed is looked at again within a deadline."""
    end = time.monotonic() + seconds
    while differ := differences(before, traces(*names)):
        ours = [line for line in differ if not line.startswith(OF_THE_MACHINE)]
        assert not ours, "\n".join(ours)
        assert time.monotonic() < end, "\n".join(differ)
        time.sleep(0.2)


def differences(before: Traces, after: Traces) -> list[str]:
    """What was there and is not, and what is there and was not, a line each."""
    found = []
    for part in fields(Traces):
        was, now = Counter(getattr(before, part.name)), Counter(getattr(after, part.name))
        found += [f"{part.name}: gone: {line}" for line in (was - now).elements()]
        found += [f"{part.name}: new: {line}" for line in (now - was).elements()]
        if not found and getattr(before, part.name) != getattr(after, part.name):
            found.append(f"{part.name}: in another order")
    return found


def processes(*names: str) -> dict[int, str]:
    """The command lines, by number, of what names one of these clusters or is in its control groups; this process left out."""
    groups = [Names(name).cgroup for name in names]
    found = {}
    for pid in pids():
        line, group = read(pid, "cmdline").replace("\0", " "), read(pid, "cgroup")
        if pid != os.getpid() and (any(n in line for n in names) or any(f"/{g}/" in group for g in groups)):
            found[pid] = line
    return found


def firewall() -> tuple[str, ...]:
    """The rules of this machine, of both families, as each program that is there shows them."""
    commands = [["iptables-save"], ["ip6tables-save"]]
    if shutil.which("nft") is not None:
        commands.append(["nft", "--stateless", "list", "ruleset"])
    return tuple(line for argv in commands for line in listed(*argv) if not line.startswith("#"))


def routes(own: set[str]) -> tuple[str, ...]:
    """All routes and rules of this machine; those over the links of other clusters, which come and go, left out."""
    asked = (("route", "show", "table", "all"), ("rule", "show"))
    lines = (line for family in ("-4", "-6") for argv in asked for line in listed("ip", family, *argv))
    return tuple(sorted(line for line in lines if not set(LINKS.findall(line)) - own))


def listed(*argv: str) -> list[str]:
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout
    return [COUNTERS.sub("", line).rstrip() for line in text.splitlines()]


def in_namespace(namespace: str) -> list[int]:
    """The processes in a network namespace."""
    found = []
    for pid in pids():
        try:
            if str(Path(f"/proc/{pid}/ns/net").readlink()) == namespace:
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def namespace_of(name: str) -> str:
    """The network namespace that all of a cluster's services are in."""
    return str(Path(f"/proc/{init_of(name).pid}/ns/net").readlink())


def init_of(name: str) -> Process:
    state = load(name)
    assert state is not None
    assert state.init is not None
    return state.init


def pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def read(pid: int, name: str) -> str:
    """A file of a process in /proc; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}", name).read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def until(fact: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.02)
