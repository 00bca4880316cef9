"""Why: every generated file is written by one command, and a check that writes nothing tells when one is out of date."""

import sys
from collections.abc import Callable
from pathlib import Path

from botfleet import api_page, conditions_page, crd
from botfleet_tools import reference_pages

ROOT = Path(__file__).parents[2]

GENERATED: dict[str, Callable[[], str]] = {
    "crds/telegrambots.yaml": crd.render,
    "crds/telegrambotdefaults.yaml": crd.render_defaults,
    "charts/botfleet/files/telegrambots.yaml": crd.render,
    "charts/botfleet/files/telegrambotdefaults.yaml": crd.render_defaults,
    "docs/api-reference.md": api_page.render,
    "docs/conditions.md": conditions_page.render,
    "docs/metrics.md": reference_pages.metrics,
    "docs/settings.md": reference_pages.settings,
}


def main() -> int:
    """`python -m botfleet_tools.generate [--check]`; exit code 1 when `--check` finds a file out of date."""
    stale = [name for name, render in GENERATED.items() if not _is(ROOT / name, render())]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} is out of date: run make generate", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
