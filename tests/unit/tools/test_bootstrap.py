"""What a command needs of the machine is named, with the command that installs it, before anything is made; and what is
made says how far it is.
"""

import contextlib
import os
import pty
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from botfleet_tools import prerequisites

ROOT = Path(__file__).parents[3]
NEEDED = ("bash", "cat", "cut", "dirname", "env", "rm", "sed", "sha256sum", "tr")
PARTS = ("core", "botrunner", "operator", "simulator", "tools")
TYPED = "make demo"


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
        env={"PATH": str(checkout / "bin"), "BOTFLEET_TYPED": TYPED},
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
    assert 'sudo -E env "PATH=$PATH" make demo\n' in told
    assert "Go 1.24 or newer" in told
    assert "there is none on PATH" in told


def test_a_go_that_is_too_old_is_named(checkout: Path) -> None:
    program(checkout, "go", "echo go version go1.19.8 linux/amd64")
    told = said(checkout, "cluster")
    assert "found 1.19" in told
    assert "root" not in told


@pytest.mark.parametrize("user", [0, 1000])
def test_the_remedies_are_those_of_the_commands_themselves(
    checkout: Path, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(prerequisites, "go_version", lambda: None)
    monkeypatch.setenv("BOTFLEET_TYPED", TYPED)
    program(checkout, "id", f"echo {user}")
    with pytest.raises(prerequisites.PrerequisitesMissingError) as caught:
        prerequisites.check({"root", "go"})
    assert said(checkout, "cluster") == f"{caught.value}\n"


@pytest.mark.parametrize("user", [0, 1000])
def test_the_remedy_for_go_copied_into_a_shell_gives_it_that_go(
    checkout: Path, tmp_path: Path, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the internet and the package manager played; that the address exists cannot be seen from here."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    release = tmp_path / "release/go/bin/go"
    release.parent.mkdir(parents=True)
    release.write_text(f"#!{shutil.which('bash')}\necho go version go{prerequisites.GO} linux/amd64\n")
    release.chmod(0o755)
    with tarfile.open(tmp_path / "release.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "release/go", "go")
    asked = tmp_path / "asked"
    program(checkout, "apt-get", f'echo "apt-get $*" >>{asked}')
    program(checkout, "sudo", '"$@"')
    program(checkout, "dpkg", "echo amd64")
    program(checkout, "curl", f'echo "$*" >>{asked}; cat {tmp_path / "release.tar.gz"}')
    for name in ("tar", "gzip"):
        (checkout / "bin" / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "local").mkdir()
    remedy = prerequisites.go_remedy().replace("/usr/local", str(tmp_path / "local"))

    done = subprocess.run(
        [str(shutil.which("bash")), "-c", f"{remedy}; go version"],
        capture_output=True,
        text=True,
        env={"PATH": str(checkout / "bin")},
        timeout=20,
        check=False,
    )

    assert done.stdout == f"go version go{prerequisites.GO} linux/amd64\n", done.stderr
    assert asked.read_text().splitlines() == [
        "apt-get update",
        "apt-get install --yes curl ca-certificates",
        f"-fsSL https://go.dev/dl/go{prerequisites.GO}.linux-amd64.tar.gz",
    ]
    assert ("sudo" in remedy) is (user != 0)


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


@pytest.fixture
def waiting(checkout: Path) -> Iterator[Path]:
    """A clone whose Python makes no .venv before it is told to, through this pipe."""
    for name in ("requirements/uv.txt", "requirements/dev.txt", *(f"{part}/pyproject.toml" for part in PARTS)):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()
    os.mkfifo(checkout / "go-on")
    program(checkout, "python3", f'[ "$1 $2" != "-m venv" ] || read -r _ <{checkout / "go-on"}')
    yield checkout / "go-on"
    with contextlib.suppress(OSError):  # nobody waits any more
        os.close(os.open(checkout / "go-on", os.O_WRONLY | os.O_NONBLOCK))


@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_while_the_environment_is_made_it_says_what_is_done_and_for_how_long(
    checkout: Path, waiting: Path, on_a_terminal: bool
) -> None:
    reading, writing = pty.openpty() if on_a_terminal else os.pipe()
    process = subprocess.Popen(
        [str(checkout / "tools/bootstrap.sh")],
        stdout=subprocess.DEVNULL,
        stderr=writing,
        env={"PATH": str(checkout / "bin"), "BOTFLEET_HEARTBEAT_SECONDS": "0.05"},
    )
    os.close(writing)
    beat = (
        rb"\r\x1b\[K  Making \.venv: python -m venv \S+ \d+ s so far"
        if on_a_terminal
        else (rb"(?m)^  Making \.venv: python -m venv \S+ \d+ s so far\n")
    )
    try:
        with open(reading, "rb", buffering=0) as shown:  # noqa: PTH123 -- a descriptor
            seen = b""
            while len(re.findall(beat, seen)) < 2:
                chunk = shown.read(4096)
                assert chunk, seen
                seen += chunk
            waiting.write_text("go on\n")
            rest = b""
            try:
                while chunk := shown.read(4096):
                    rest += chunk
            except OSError:  # how a terminal says that nobody writes to it any more
                assert on_a_terminal
        assert process.wait(20) != 0, "there is no pip in this clone"
    finally:
        process.kill()
        process.wait(20)
    assert b"pip: No such file or directory" in rest
    assert b"Making .venv failed at: uv" in rest.splitlines()[-1], "nothing is said after the end"
