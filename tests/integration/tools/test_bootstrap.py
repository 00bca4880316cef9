"""What a command needs of the machine is named, with the command that installs it, before anything is made; and what is
made says how far it is.
"""

import contextlib
import hashlib
import os
import platform
import pty
import re
import shutil
import subprocess
import sys
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
    program(tmp_path, "uname", "echo x86_64")
    return tmp_path


def program(checkout: Path, name: str, does: str) -> None:
    path = checkout / "bin" / name
    path.write_text(f"#!{shutil.which('bash')}\n{does}\n")
    path.chmod(0o755)


def empty_requirements(checkout: Path) -> None:
    """The files that .venv is made from, with nothing in them."""
    for name in ("requirements/uv.txt", "requirements/dev.txt", *(f"{part}/pyproject.toml" for part in PARTS)):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()


def said(checkout: Path, *words: str) -> str:
    """What it says when it refuses; nothing has been made then."""
    done = subprocess.run(
        [str(checkout / "tools/bootstrap.sh"), *words],
        capture_output=True,
        text=True,
        env={"PATH": str(checkout / "bin"), "BOTFLEET_TYPED": TYPED},
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert not (checkout / ".venv").exists()
    assert "Making" not in done.stderr
    return done.stderr


TOO_OLD = """case "$2" in
  *version_info*) exit 1 ;;
  *version.split*) echo 3.9.2 ;;
esac"""


@pytest.mark.parametrize(("user", "sudo"), [(0, ""), (1000, "sudo ")])
@pytest.mark.parametrize(("found", "told"), [(None, "python3 cannot be run"), (TOO_OLD, "found 3.9.2")])
def test_without_a_python_that_is_new_enough_the_packages_are_named(
    checkout: Path, user: int, sudo: str, found: str | None, told: str
) -> None:
    program(checkout, "id", f"echo {user}")
    (checkout / "bin/python3").unlink()
    if found is not None:
        program(checkout, "python3", found)
    assert said(checkout) == (
        "missing on this machine:\n"
        f"  - Python 3.11 or newer (Debian has it since 12); {told}\n"
        f"    run: {sudo}apt-get update && {sudo}apt-get install --yes python3 python3-venv"
        f" && {TYPED} PYTHON=/usr/bin/python3\n"
    )


@pytest.mark.parametrize("user", [0, 1000])
def test_without_the_module_venv_its_package_is_named_where_it_cannot_be_installed(checkout: Path, user: int) -> None:
    """Somebody who is not root; and root on a machine without apt-get."""
    program(checkout, "id", f"echo {user}")
    program(checkout, "python3", '[ "$2" != "import ensurepip" ]')
    empty_requirements(checkout)
    assert said(checkout).startswith("missing on this machine:\n  - Python's module venv\n    run: ")
    assert ("sudo apt-get install --yes python3-venv\n" in said(checkout)) is (user != 0)


def test_the_package_of_the_module_venv_is_installed_after_saying_so(checkout: Path) -> None:
    """apt-get looks at what has been said by then."""
    said_so_far = checkout / "said"
    program(checkout, "python3", '[ "$2" != "import ensurepip" ]')
    program(
        checkout, "apt-get", f'echo "apt-get $*, after: $(cat {said_so_far})" >>{checkout}/asked; [ "$1" = update ]'
    )
    empty_requirements(checkout)
    with said_so_far.open("w") as shown:
        done = subprocess.run(
            [str(checkout / "tools/bootstrap.sh")],
            stdout=subprocess.DEVNULL, stderr=shown, env={"PATH": str(checkout / "bin")}, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    updated, installed = re.findall(r"apt-get .*?(?=\napt-get |\Z)", (checkout / "asked").read_text(), re.DOTALL)
    assert "after: Making .venv" in updated
    assert "Installing the Debian package python3-venv …" in updated
    assert installed.startswith("apt-get install -y --no-install-recommends python3-venv, after:")
    assert said_so_far.read_text().endswith("Making .venv failed at: apt-get install python3-venv\n")


def test_python_root_and_go_are_named_together_before_a_cluster_is_begun(checkout: Path) -> None:
    program(checkout, "id", "echo 1000")
    program(checkout, "python3", TOO_OLD)
    told = said(checkout, "cluster")
    assert "found 3.9.2" in told
    assert 'sudo -E env "PATH=$PATH" make demo\n' in told
    assert "Go 1.24 or newer" in told
    assert "there is none on PATH" in told


def test_a_go_that_is_too_old_is_named(checkout: Path) -> None:
    program(checkout, "go", "echo go version go1.19.8 linux/amd64")
    told = said(checkout, "cluster")
    assert "found 1.19" in told
    assert "root" not in told


@pytest.mark.parametrize(("user", "machine"), [(0, "x86_64"), (1000, "aarch64"), (1000, "riscv64")])
def test_the_remedies_are_those_of_the_commands_themselves(
    checkout: Path, user: int, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "version", "3.9.2 (default)")
    program(checkout, "python3", TOO_OLD)
    program(checkout, "uname", f"echo {machine}")
    monkeypatch.setattr(prerequisites, "go_version", lambda: None)
    monkeypatch.setenv("BOTFLEET_TYPED", TYPED)
    program(checkout, "id", f"echo {user}")
    with pytest.raises(prerequisites.PrerequisitesMissingError) as caught:
        prerequisites.check({"root", "go", "python"})
    assert said(checkout, "cluster") == f"{caught.value}\n"


@pytest.mark.parametrize("what_came", ["the release", "something else"])
@pytest.mark.parametrize("user", [0, 1000])
def test_the_remedy_for_go_copied_into_a_shell_gives_it_that_go_and_nothing_else(
    checkout: Path, tmp_path: Path, user: int, what_came: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the internet and the package manager played; that the address exists cannot be seen from here."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    release = tmp_path / "release/go/bin/go"
    release.parent.mkdir(parents=True)
    release.write_text(f"#!{shutil.which('bash')}\necho go version go{prerequisites.GO} linux/amd64\n")
    release.chmod(0o755)
    with tarfile.open(tmp_path / "release.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "release/go", "go")
    asked = tmp_path / "asked"
    program(checkout, "apt-get", f'echo "apt-get $*" >>{asked}')
    program(checkout, "sudo", '"$@"')
    program(checkout, "curl", f'echo "$1 $3" >>{asked}; cat {tmp_path / "release.tar.gz"} >"$2"')
    for name in ("tar", "gzip", "mktemp"):
        (checkout / "bin" / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "local").mkdir()
    remedy = prerequisites.go_remedy().replace("/usr/local", str(tmp_path / "local"))
    if what_came == "the release":
        checksum = hashlib.sha256((tmp_path / "release.tar.gz").read_bytes()).hexdigest()
        remedy = remedy.replace(prerequisites.GO_ARCHIVES["x86_64"][1], checksum)

    done = subprocess.run(
        [str(shutil.which("bash")), "-c", f"{remedy}; go version"],
        capture_output=True,
        text=True,
        env={"PATH": str(checkout / "bin"), "TMPDIR": str(tmp_path)},
        timeout=60,
        check=False,
    )

    assert asked.read_text().splitlines() == [
        "apt-get update",
        "apt-get install --yes curl ca-certificates",
        f"-fsSLo https://go.dev/dl/go{prerequisites.GO}.linux-amd64.tar.gz",
    ]
    assert ("sudo" in remedy) is (user != 0)
    if what_came == "the release":
        assert done.stdout.endswith(f"go version go{prerequisites.GO} linux/amd64\n"), done.stderr
    else:
        assert "FAILED" in done.stdout
        assert list((tmp_path / "local").iterdir()) == []


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
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env=environment
    ).stdout.splitlines()
    assert lines[0].endswith("tools/bootstrap.sh cluster")


@pytest.fixture
def waiting(checkout: Path) -> Iterator[Path]:
    """A clone whose Python makes no .venv before it is told to, through this pipe."""
    empty_requirements(checkout)
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
        assert process.wait(60) != 0, "there is no pip in this clone"
    finally:
        process.kill()
        process.wait(60)
    assert b"pip: No such file or directory" in rest
    assert b"Making .venv failed at: uv" in rest.splitlines()[-1], "nothing is said after the end"
