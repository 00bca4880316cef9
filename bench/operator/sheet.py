"""Why: which figures there are, what they should be, and how they are printed and kept. Pure but for one file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.figures import table

TARGET_SIZE = 1000
Sizes = dict[int, dict[str, "Measured"]]


@dataclass(frozen=True)
class Figure:
    """`limit`: the target, for 1,000 bots. `floor`: what runs beside it. `grows` with the fleet: a smaller one proves nothing."""

    name: str
    unit: str
    limit: float
    floor: str = ""
    grows: bool = False


@dataclass(frozen=True)
class Measured:
    """Of the operator, and of the floor that ran in the same minute, where there is one."""

    operator: float
    floor: float | None = None


CHILDREN = Figure(
    "all children exist", "s", 30, "server-side applies of the same manifests, 32 at once, by a bare loop", grows=True
)
WRITES = Figure("writes a new bot", "", 7)
MEMORY = Figure("memory, settled", "MiB", 160, "a process that has imported the operator's libraries", grows=True)
HEALED = Figure("child harmed, restored, p95", "s", 0.1, "a bare loop: watch, and apply what was deleted", grows=True)
HEALTH = Figure("health changed, in the status, p99", "s", 3, "the row updated and a status patched, nothing between")
CPU = Figure("CPU, idle", "s/min", 0.3, grows=True)
IDLE = Figure("writes of an idle fleet", "", 0)
RESTART = Figure(
    "restart until resynced", "s", 5, "libraries imported, and bare lists of all these objects", grows=True
)
RESTART_WRITES = Figure("writes of a restart", "", 0)
HEALED_RESTART = Figure("child harmed at a restart, restored", "s", 5, "the same as of a restart", grows=True)
UNSCHEDULED = Figure("writes while no node takes 50 of the pods", "", 0, grows=True)
# Two processes that did the same differ by as much.
FOREIGN = Figure("memory beside 60 foreign Secrets of 500 KB, more by", "MiB", 1)
FIGURES = (
    *(CHILDREN, WRITES, MEMORY, HEALED, HEALTH, CPU, IDLE),
    *(RESTART, RESTART_WRITES, HEALED_RESTART, UNSCHEDULED, FOREIGN),
)


def short(value: float) -> str:
    """Three digits that count."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def rows(measured: Mapping[str, Measured], size: int = TARGET_SIZE) -> list[list[str]]:
    """A line a figure: operator, floor, ratio, target."""
    lines = []
    for figure in FIGURES:
        one = measured.get(figure.name)
        if one is None:
            continue
        floor = "" if one.floor is None else short(one.floor)
        ratio = f"{one.operator / one.floor:.1f}" if one.floor else ""
        reached = "reached" if size >= TARGET_SIZE or not figure.grows else f"at {TARGET_SIZE:,}"
        limit = f"≤ {short(figure.limit)}: {reached if one.operator <= figure.limit else 'MISSED'}"
        lines.append(
            [f"{figure.name} ({figure.unit})" if figure.unit else figure.name, short(one.operator), floor, ratio, limit]
        )
    return lines


def printed(size: int, measured: Mapping[str, Measured]) -> str:
    """The table of one size."""
    return table([f"{size:,} bots", "operator", "floor", "ratio", "target"], rows(measured, size))


def floors() -> str:
    """What each floor is."""
    return "\n".join(f"floor of '{figure.name}': {figure.floor}" for figure in FIGURES if figure.floor)


def kept(file: Path) -> Sizes:
    """What earlier runs have left in the file."""
    if not file.exists():
        return {}
    found = json.loads(file.read_text())
    return {int(size): {name: Measured(**one) for name, one in figures.items()} for size, figures in found.items()}


def keep(file: Path, sizes: Sizes) -> None:
    """Replaces the file; sizes in order."""
    body = {
        str(size): {name: {"operator": round(one.operator, 4), "floor": None if one.floor is None else round(one.floor, 4)}
                    for name, one in sizes[size].items()}
        for size in sorted(sizes)
    }  # fmt: skip
    file.write_text(json.dumps(body, indent=1) + "\n")


def writes_in(lines: Iterable[str]) -> int:
    """Audited requests of the operator that write; Leases and Events apart. `lines` with their ends: one without is not whole yet."""
    writing = {"create", "update", "patch", "delete", "deletecollection"}
    count = 0
    for line in lines:
        if not line.endswith("\n"):
            continue
        entry = json.loads(line)
        ours = entry.get("userAgent", "").startswith(("botfleet", "kopf"))
        resource = entry.get("objectRef", {}).get("resource")
        count += ours and entry["verb"] in writing and resource not in ("leases", "events")
    return count
