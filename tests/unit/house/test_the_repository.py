"""The repository is what its first issue asked for: fixed names at the top, pinned dependencies, one command for CI, small images."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.*"))
FOLDERS = ("operator", "botrunner", "crds", "charts", "migrations", "tests", "examples")
FILES = (
    "Dockerfile.operator",
    "Dockerfile.runner",
    "README.md",
    "LICENSE",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
)
# What an owner makes beside the checkout's files when she follows README.md and docs/install.md there.
OWNERS = (
    "owner-password",
    "operator-password",
    "redis-password",
    "ca.crt",
    "my-values.yaml",
    "images-built/runner.tar",
)
PINNED = re.compile(r"[A-Za-z0-9._-]+(?:\[[a-z0-9,-]+\])?==\S+(?: ; [^#]+?)?((?: --hash=sha256:[0-9a-f]{64})+)")
# What makes pip look elsewhere than in the index that the machine is set up with, or take what has no hash.
ELSEWHERE = re.compile(
    r"://|(?:^|\s)(?:-i|-f|-e|--(?:extra-)?index-url|--no-index|--find-links|--trusted-host|--editable)\b|\s@\s"
)


def requirements(lock: str) -> list[str]:
    """The requirements of a lock file, each in one line."""
    joined = lock.replace("\\\n", " ")
    lines = (" ".join(line.partition("#")[0].split()) for line in joined.splitlines())
    return [line for line in lines if line]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_dependency_is_pinned_to_a_version_and_its_hashes(lock: Path) -> None:
    found = requirements(lock.read_text())
    assert found
    assert [line for line in found if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda path: path.name)
def test_no_requirement_names_an_index_or_an_address(file: Path) -> None:
    assert [line for line in file.read_text().splitlines() if ELSEWHERE.search(line)] == []


@pytest.mark.parametrize(
    "line",
    ["uv", "uv==1", "uv>=1 --hash=sha256:" + "0" * 64, "uv==1 --hash=md5:00", "-r other.txt", "uv @ file:///x"],
)
def test_what_is_not_pinned_would_be_seen(line: str) -> None:
    assert not PINNED.fullmatch(line)


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://x",
        "--extra-index-url=x",
        "-i x",
        "--find-links x",
        "--trusted-host x",
        "-e ./core",
        "a @ git+ssh",
        "a==1 # https://x",
    ],
)
def test_another_source_would_be_seen(line: str) -> None:
    assert ELSEWHERE.search(line)


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_the_names_at_the_top_are_there(name: str) -> None:
    assert (ROOT / name).is_dir() if name in FOLDERS else (ROOT / name).is_file()
    assert any((ROOT / name).iterdir()) if name in FOLDERS else (ROOT / name).read_text().strip()


def test_the_license_is_apache_2_0() -> None:
    words = " ".join((ROOT / "LICENSE").read_text().split())
    assert words.startswith(
        "Apache License Version 2.0, January 2004 http://www.apache.org/licenses/ TERMS AND CONDITIONS"
    )
    assert "Grant of Patent License" in words
    assert words.endswith("limitations under the License.")


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci/run"
    first, *lines = script.read_text().splitlines()
    assert first == "#!/usr/bin/env bash"
    assert [line for line in lines if line and not line.startswith("#")] == ["exec make test"]
    assert script.stat().st_mode & 0o111
    assert [path.name for path in script.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["Dockerfile.runner", "Dockerfile.operator"])
def test_an_image_is_built_in_stages_and_its_last_one_does_not_run_as_root(name: str) -> None:
    instructions = re.findall(r"^(FROM|USER) +(.+)$", (ROOT / name).read_text(), re.MULTILINE)
    froms = [place for place, (word, _) in enumerate(instructions) if word == "FROM"]
    assert len(froms) >= 2
    users = [value for word, value in instructions[froms[-1] :] if word == "USER"]
    assert users, "the last stage says whom it runs as"
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]), "a number, so that Kubernetes can see that it is not root"


def ignored(*names: str) -> list[str]:
    """Those of these names that git leaves alone in a new checkout with this .gitignore."""
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=ROOT, input="\n".join(names), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def test_what_an_owner_makes_in_the_checkout_is_never_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    pages = (ROOT / "README.md").read_text() + (ROOT / "docs/install.md").read_text()
    for name in OWNERS:
        assert name.partition("/")[0] in pages
    assert ignored(*OWNERS) == list(OWNERS)
    kept = ("charts/botfleet/values.yaml", "docs/install.md", "examples/concierge.yaml", "tests/e2e/ca.crt.py")
    assert ignored(*kept) == []
