"""Writes the go.mod and go.sum files that pin what the programs are built from; run when a version changed.

    python -m botfleet_tools.binaries.pin [FOLDER...]

Needs the Go module proxy. Nothing else runs it: builds only read its files.
"""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from botfleet_tools.binaries.gobuild import ENVIRONMENT
from botfleet_tools.binaries.pins import PINS, GoModule
from botfleet_tools.prerequisites import Version
from botfleet_tools.run import capture

DEADLINE_SECONDS = 600.0
TOOLS_SINCE: Version = (1, 24)
_STAGED = re.compile(r"^\s*(k8s\.io/[a-z0-9-]+) (?:v0\.0\.0$|=> \./staging/)", re.MULTILINE)


def staged_modules(go_mod: str) -> list[str]:
    """The modules that Kubernetes' go.mod takes from its own tree."""
    return sorted(set(_STAGED.findall(go_mod)))


def write(module: GoModule, packages: list[str], folder: Path) -> None:
    """Make ``folder`` hold the go.mod and go.sum from which ``packages`` build."""
    with tempfile.TemporaryDirectory(prefix="botfleet-pin-") as name:
        work = Path(name)
        _go(work, "mod", "init", f"botfleet.invalid/{module.folder}")
        _go(work, "mod", "edit", f"-go={'.'.join(str(part) for part in max(module.go, TOOLS_SINCE))}.0")
        if module.staging is not None:
            found = json.loads(_go(work, "mod", "download", "-json", module.require))
            for staged in staged_modules(Path(found["GoMod"]).read_text()):
                _go(work, "mod", "edit", f"-replace={staged}={staged}@{module.staging}")
        _go(work, "mod", "edit", f"-require={module.require}")
        # As tools: go.mod keeps them although no package here imports them.
        _go(work, "get", "-tool", *(f"{package}@{module.require.partition('@')[2]}" for package in packages))
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("go.mod", "go.sum"):
            shutil.copyfile(work / file, folder / file)


def main(folders: list[str]) -> None:
    """Write the modules named, all without a name."""
    here = Path(__file__).parent / "modules"
    modules = {pin.module.folder: pin.module for pin in PINS.values()}
    for folder, module in modules.items():
        if folders and folder not in folders:
            continue
        print(f"pinning {folder}")
        write(module, [pin.package for pin in PINS.values() if pin.module == module], here / folder)


def _go(work: Path, *argv: str) -> str:
    return capture(["go", *argv], cwd=work, env=ENVIRONMENT, deadline_seconds=DEADLINE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
