"""What a command needs of the machine is named, with the command that installs it, before anything is made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NEEDED = ("bash", "cat", "cut", "dirname", "env", "sed", "sha256sum", "tr")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean clone's script, on a machine with the barest PATH: neither Go nor Docker."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/bootstrap.sh", tmp_path / "tools")
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    program(tmp_path, "python3", "exit 0")
    program(tmp_path, "id", "echo 0")
    return tmp_path


def program(checkout: Path, name: str, does: str) -> None:
    path = checkout / "bin" / name
    path.write_text(f"#!{shutil.which('bash')}\n{does}\n")
    path.chmod(0o755)


def said(checkout: Path, *words: str) -> str:
    """What it says when it refuses; nothing has been made then."""
    done = subprocess.run(
        [str(checkout / "tools/bootstrap.sh"), *words],
        capture_output=True,
        text=True,
        env={"PATH": str(checkout / "bin"), "MAKECMDGOALS": "demo"},
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert not (checkout / ".venv").exists()
    assert "Making" not in done.stderr
    return done.stderr


def test_without_python_the_package_is_named(checkout: Path) -> None:
    (checkout / "bin/python3").unlink()
    assert "apt-get install python3" in said(checkout)


def test_root_and_go_are_named_together_before_a_cluster_is_begun(checkout: Path) -> None:
    program(checkout, "id", "echo 1000")
    told = said(checkout, "cluster")
    assert "sudo -E make demo" in told
    assert "Go 1.24 or newer" in told
    assert "https://go.dev/doc/install" in told


def test_a_go_that_is_too_old_is_named(checkout: Path) -> None:
    program(checkout, "go", "echo go version go1.19.8 linux/amd64")
    told = said(checkout, "cluster")
    assert "found: 1 19" in told
    assert "root" not in told


@pytest.mark.parametrize("there", ["go", "docker"])
def test_with_go_or_with_docker_it_goes_on(checkout: Path, there: str) -> None:
    program(checkout, there, "echo go version go1.24.1 linux/amd64")
    if there == "docker":
        program(checkout, "id", "echo 1000")
    assert "missing on this machine" not in said(checkout, "cluster")  # it ends later: there is nothing to install here


@pytest.mark.parametrize("target", ["demo", "test", "e2e"])
def test_a_target_that_makes_a_cluster_checks_for_it_first(target: str) -> None:
    # As from a shell: this test may itself run below make, which would speak of its folders.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    lines = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True, env=environment
    ).stdout.splitlines()
    assert lines[0].endswith("tools/bootstrap.sh cluster")
