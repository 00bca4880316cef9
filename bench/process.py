"""Why: what a process costs, as Linux counts it: processor time, resident and proportional memory. Reads /proc and nothing else."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """In MiB. PSS divides a page by the processes that share it; `private` is what ends with the process."""

    rss: float
    pss: float
    private: float


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    # The name, in parentheses, may itself hold spaces and parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def open_files(pid: int) -> int:
    """Descriptors that it has now: files, sockets, pipes."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def memory(pid: int) -> Memory:
    """What it has now."""
    sizes = {
        name: int(value.split()[0]) / 1024
        for name, _, value in (
            line.partition(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
    }
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"])
