"""What is missing is named, all at once, with the command that mends it; packages are installed after saying so."""

import io
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from botfleet_tools import debian, prerequisites
from botfleet_tools.prerequisites import PrerequisitesMissingError, go_problem, parse_go_version
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.24 linux/arm64", (1, 24, 0)),
        ("go: command not found", None),
    ],
)
def test_the_version_of_go_is_read(text: str, version: tuple[int, ...] | None) -> None:
    assert parse_go_version(text) == version


def test_a_go_that_is_too_old_is_named_with_its_version_and_the_remedy() -> None:
    problem = go_problem((1, 19, 8), (1, 24), "builds x")
    assert problem is not None
    assert "1.19.8" in problem.what
    assert "Go 1.24 or newer" in problem.what
    assert problem.remedy.endswith('bin:"$PATH"')
    assert go_problem((1, 24, 0), (1, 24), "builds x") is None


def test_everything_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(prerequisites, "go_version", lambda: None)
    with pytest.raises(PrerequisitesMissingError) as caught:
        prerequisites.check({"root", "go", "linux", "python"})
    text = str(caught.value)
    assert "root" in text
    assert "sudo" in text
    assert "Go 1.24" in text
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("by_make", "argv", "shown"),
    [
        ("make demo", ["/x/.venv/bin/botfleet-demo", "up"], "make demo"),
        ("", [sys.executable, "up", "--name", "my name"], f"{sys.executable} up --name 'my name'"),
        ("", ["no-program", "up"], shlex.join(sys.orig_argv)),
    ],
)
def test_the_remedy_for_root_is_what_was_typed(
    by_make: str, argv: list[str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTFLEET_TYPED", by_make)
    monkeypatch.setattr(sys, "argv", argv)
    assert prerequisites.root_remedy() == f'sudo -E env "PATH=$PATH" {shown}'


def test_nothing_missing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "go_version", lambda: (1, 26, 0))
    prerequisites.check({"root", "go", "linux", "python"})


def installed(*names: str) -> Callable[..., str]:
    return lambda *_, **__: "".join(f"{name} installed\n" for name in names)


def test_packages_that_were_removed_do_not_count_as_installed() -> None:
    assert debian.parse_installed("runc:amd64 installed\netcd-server config-files\n") == {"runc"}


def test_missing_packages_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/dpkg-query")
    monkeypatch.setattr(debian, "capture", installed("runc"))
    assert debian.missing(["etcd-server", "runc", "conntrack"]) == ["etcd-server", "conntrack"]


def test_a_machine_without_dpkg_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(debian.PackagesMissingError, match="runc"):
        debian.missing(["runc"])


def test_without_root_the_command_to_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/dpkg-query")
    monkeypatch.setattr(debian, "capture", installed())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(debian.PackagesMissingError, match="sudo apt-get install --no-install-recommends runc"):
        debian.ensure(["runc"], Progress())


@pytest.fixture
def fake_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose package tools do nothing, with all paths below a temporary folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/dpkg-query")
    monkeypatch.setattr(debian, "capture", installed())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "POLICY_FILE", tmp_path / "policy-rc.d")
    monkeypatch.setattr(debian, "UNITS", tmp_path / "units")
    monkeypatch.setattr(debian, "CREATECLUSTER", tmp_path / "postgresql-common" / "createcluster.d" / "botfleet.conf")
    return tmp_path


def test_services_are_kept_from_starting_during_the_installation_only(
    fake_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = fake_system / "units" / "multi-user.target.wants"
    links.mkdir(parents=True)
    (links / "mine.service").touch()
    commands: list[list[str]] = []

    def fake_run(argv: list[str], **_: object) -> None:
        commands.append(argv)
        assert os.access(debian.POLICY_FILE, os.X_OK)
        assert "create_main_cluster = false" in debian.CREATECLUSTER.read_text()
        (links / "redis-server.service").touch()

    monkeypatch.setattr(debian, "run", fake_run)
    progress = Progress()
    debian.ensure(["redis-server"], progress)

    assert progress.fetched == ["Debian packages redis-server"]
    assert [command[-1] for command in commands] == ["redis-server"]
    assert not debian.POLICY_FILE.exists()
    assert not debian.CREATECLUSTER.parent.parent.exists()
    assert [path.name for path in links.iterdir()] == ["mine.service"]


def test_that_packages_are_installed_is_said_with_their_names_before_apt_runs(
    fake_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    said_before: list[str] = []
    monkeypatch.setattr(debian, "run", lambda *_, **__: said_before.append(output.getvalue()))
    debian.ensure(["redis-server", "runc"], Progress(Console(file=output, width=200)))
    assert [text.splitlines()[0] for text in said_before] == [
        "Installing Debian packages (their services stay off): redis-server runc"
    ]


def test_package_lists_are_fetched_when_the_installation_fails_and_a_policy_of_the_machine_stays(
    fake_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian.POLICY_FILE.write_text("#!/bin/sh\nexit 0\n")
    verbs: list[str] = []

    def fake_run(argv: list[str], **_: object) -> None:
        verb = "update" if "update" in argv else "install"
        verbs.append(verb)
        if verbs == ["install"]:
            raise CommandFailedError("no lists", returncode=100, output="")

    monkeypatch.setattr(debian, "run", fake_run)
    debian.ensure(["runc"], Progress())

    assert verbs == ["install", "update", "install"]
    assert debian.POLICY_FILE.read_text() == "#!/bin/sh\nexit 0\n"
