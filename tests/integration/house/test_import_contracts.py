"""Who may import whom is kept by import-linter; that it would refuse each forbidden import is shown here, on a copy of the packages."""

import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.unmeasured import environment

ROOT = Path(__file__).parents[3]
LINT_SECONDS = 120.0
pytestmark = pytest.mark.timeout(3 * LINT_SECONDS)  # a quiet machine needs a tenth of it; this runs aside
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACTS: list[dict[str, Any]] = SETTINGS["importlinter"]["contracts"]
PACKAGES = {
    file.parent.name: file.parent
    for folder in ROOT.iterdir()
    if (folder / "pyproject.toml").exists()
    for file in folder.glob("*/__init__.py")
}
# docs/design/README.md, "The house": the arrows that there are (the tools start the simulator), and libraries that have one home.
MAY_IMPORT = {("botrunner", "botfleet"), ("botfleet_operator", "botfleet"), ("botfleet_tools", "botfleet_simulator")}
WEB = ("aiohttp", "fastapi", "starlette")
STRANGERS = {
    "botfleet": ("telethon", "openai", "kopf", "kubernetes", *WEB),
    "botrunner": ("kopf", "kubernetes", *WEB),
    "botfleet_operator": ("telethon", "openai"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """All packages side by side, and the settings; what is written there is seen by import-linter and by nobody else."""
    for name, folder in PACKAGES.items():
        shutil.copytree(folder, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "modules"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def linted(copy: Path) -> tuple[int, str]:
    run = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"],
        cwd=copy,
        env={**environment(), "PYTHONPATH": str(copy), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=LINT_SECONDS,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


def plant(copy: Path, package: str, *names: str) -> None:
    file = copy / package / "planted.py"
    before = file.read_text() if file.exists() else ""
    file.write_text(before + "".join(f"import {name}\n" for name in names))


def add(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text()}\n{line}\n")


def test_the_copy_as_it_is_keeps_every_contract(copy: Path) -> None:
    code, said = linted(copy)
    assert code == 0, said
    for contract in CONTRACTS:
        assert f"{contract['name']} KEPT" in said


def test_each_forbidden_import_is_refused_by_its_contract(copy: Path) -> None:
    for contract in CONTRACTS:
        for source in contract["source_modules"]:
            plant(copy, source, *contract["forbidden_modules"])
    code, said = linted(copy)
    assert code == 1, said
    _, *parts = re.split(r"^(.+)\n-{3,}$", said, flags=re.MULTILINE)
    broken = dict(zip(parts[::2], parts[1::2], strict=True))
    for contract in CONTRACTS:
        assert f"{contract['name']} BROKEN" in said
        for source, forbidden in itertools.product(contract["source_modules"], contract["forbidden_modules"]):
            found = re.search(rf"\b{source}\.planted -> {forbidden} \(l\.\d+\)", broken[contract["name"]])
            assert found, (contract["name"], source, forbidden)


def test_an_import_by_way_of_another_package_is_refused_too(copy: Path) -> None:
    plant(copy, "botfleet", "kopf")
    (copy / "botrunner" / "planted.py").write_text("from botfleet import planted\n")
    _, said = linted(copy)
    assert "the runner knows no Kubernetes and no other part BROKEN" in said
    assert re.search(r"botrunner\.planted -> botfleet\.planted", said)


def test_the_tools_exemption_is_for_the_generators_alone(copy: Path) -> None:
    add(copy / "botfleet_tools/reference_pages.py", "from botrunner import life")
    code, said = linted(copy)
    assert code == 0, said
    add(copy / "botfleet_tools/cluster/cli.py", "from botfleet import spec")
    code, said = linted(copy)
    assert code == 1
    assert "botfleet_tools.cluster.cli -> botfleet.spec" in said


def test_every_import_that_the_design_forbids_is_in_a_contract() -> None:
    kept = {(a, b) for contract in CONTRACTS for a in contract["source_modules"] for b in contract["forbidden_modules"]}
    between = set(itertools.permutations(PACKAGES, 2)) - MAY_IMPORT
    assert between | {(package, library) for package, names in STRANGERS.items() for library in names} <= kept
    assert not MAY_IMPORT & kept


def test_every_package_is_in_the_contracts_in_coverage_and_in_mypys_path() -> None:
    assert set(PACKAGES) >= {"botfleet", "botrunner", "botfleet_operator", "botfleet_simulator", "botfleet_tools"}
    assert set(SETTINGS["importlinter"]["root_packages"]) == set(PACKAGES)
    assert {source for contract in CONTRACTS for source in contract["source_modules"]} == set(PACKAGES)
    assert set(SETTINGS["coverage"]["run"]["source_pkgs"]) == set(PACKAGES)
    assert set(SETTINGS["mypy"]["mypy_path"].split(":")) == {folder.parent.name for folder in PACKAGES.values()}
    assert SETTINGS["mypy"]["strict"] is True
    assert SETTINGS["coverage"]["report"]["fail_under"] >= 85
