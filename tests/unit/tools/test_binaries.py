"""Programs come from the first source that has them, at their pinned version, and never unchecked."""

import hashlib
import io
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import IO

import pytest

from botfleet_tools.binaries import PINS, Program, download, gobuild, preflight, resolve, resolve_all
from botfleet_tools.binaries.download import ChecksumError, UnreachableError
from botfleet_tools.binaries.pin import staged_modules
from botfleet_tools.binaries.pins import GoModule, Pin, environment_variable, fits, parse_version
from botfleet_tools.errors import ToolError
from botfleet_tools.prerequisites import PrerequisitesMissingError
from botfleet_tools.progress import Progress
from botfleet_tools.servers import ApiServer

# The package offers a function of the same name as this module.
resolving = sys.modules[resolve.__module__]


@pytest.mark.parametrize("program", list(Program))
def test_what_a_program_is_built_from_is_pinned_by_version_and_hash(program: Program) -> None:
    module = PINS[program].module
    folder = resources.files("botfleet_tools.binaries") / "modules" / module.folder
    go_mod, go_sum = (folder / "go.mod").read_text(), (folder / "go.sum").read_text()
    path, version = module.require.split("@")
    assert f"{path} {version}" in go_mod
    assert f"{path} {version} h1:" in go_sum
    assert PINS[program].package in go_mod  # as a tool
    assert PINS[program].version in version
    asked = next(line.split()[1] for line in go_mod.splitlines() if line.startswith("go "))
    assert tuple(int(part) for part in asked.split(".")[:2]) == max(module.go, (1, 24))


@pytest.mark.parametrize("program", [p for p in Program if PINS[p].module.staging])
def test_staged_modules_are_the_ones_of_the_same_release(program: Program) -> None:
    module = PINS[program].module
    go_mod = (resources.files("botfleet_tools.binaries") / "modules" / module.folder / "go.mod").read_text()
    replaced = [line.split()[1:] for line in go_mod.splitlines() if line.startswith("replace k8s.io/")]
    assert len(replaced) > 20
    assert all(words == [words[0], "=>", words[0], module.staging] for words in replaced)


def test_staged_modules_are_told_from_others() -> None:
    required = "require (\n\tk8s.io/api v0.0.0\n\tk8s.io/utils v0.0.0-2025 // x\n)\n"
    text = required + "replace (\n\tk8s.io/kms => ./staging/src/k8s.io/kms\n)"
    assert staged_modules(text) == ["k8s.io/api", "k8s.io/kms"]


def test_environment_variables_are_named_after_programs() -> None:
    assert environment_variable(Program.KUBE_APISERVER) == "BOTFLEET_KUBE_APISERVER"
    assert environment_variable(Program.HELM) == "BOTFLEET_HELM"


@pytest.mark.parametrize(
    ("program", "says", "fitting"),
    [
        (Program.KUBE_APISERVER, "Kubernetes v1.34.7", True),
        (Program.KUBE_APISERVER, "Kubernetes v1.35.0", False),
        (Program.KUBECTL, "Client Version: v1.32.4-dispatcher", False),
        (Program.HELM, "v4.1.0+g1234", True),
        (Program.HELM, "v3.19.0+g1234", False),
        (Program.COREDNS, "CoreDNS-1.12.0\nlinux/amd64, go1.24.1", True),
        (Program.KIND, "kind v0.30.0 go1.25.1 linux/amd64", True),
        (Program.KIND, "nonsense", False),
    ],
)
def test_which_versions_on_path_fit(program: Program, says: str, fitting: bool) -> None:
    assert fits(PINS[program], parse_version(says)) is fitting


class Sources:
    """Every source of programs, replaced by one that the test fills."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.on_path: dict[str, str] = {}
        self.released: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.built: list[list[str]] = []
        self.go: tuple[int, ...] | None = (1, 26, 0)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for program in Program:
            monkeypatch.delenv(environment_variable(program), raising=False)
        monkeypatch.setattr(
            resolving.shutil, "which", lambda name: str(folder / name) if name in self.on_path else None
        )
        monkeypatch.setattr(resolving, "_version_of", lambda path, _: parse_version(self.on_path[Path(path).name]))
        monkeypatch.setattr(resolving, "download", self._download)
        monkeypatch.setattr(resolving, "reachable", lambda _: bool(self.released))
        monkeypatch.setattr(resolving, "go_version", lambda: self.go)
        monkeypatch.setattr(gobuild, "build", self._build)

    def _download(self, pin: Pin) -> bytes:
        self.asked.append(pin.executable)
        try:
            return self.released[pin.executable]
        except KeyError:
            raise UnreachableError("no answer") from None

    def _build(self, module: GoModule, pins: Sequence[Pin], into: Path, progress: Progress) -> None:
        self.built.append([pin.executable for pin in pins])
        into.mkdir(parents=True, exist_ok=True)
        for pin in pins:
            (into / pin.executable).write_text(f"built from {module.require}")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    return Sources(tmp_path, monkeypatch)


def test_the_environment_comes_first(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = sources.folder / "mine"
    mine.touch(mode=0o755)
    sources.on_path["helm"] = "v4.0.4"
    monkeypatch.setenv("BOTFLEET_HELM", str(mine))
    assert resolve(Program.HELM) == mine
    mine.chmod(0o644)
    with pytest.raises(ToolError, match="BOTFLEET_HELM"):
        resolve(Program.HELM)


def test_a_fitting_version_on_path_comes_before_the_cache(sources: Sources) -> None:
    cached = resolving.cached_path(Program.HELM)
    cached.parent.mkdir(parents=True)
    cached.touch()
    sources.on_path["helm"] = "v3.1.0"
    assert resolve(Program.HELM) == cached
    sources.on_path["helm"] = "v4.2.0"
    assert resolve(Program.HELM) == sources.folder / "helm"
    assert sources.asked == []
    assert sources.built == []


def test_a_release_comes_before_a_build(sources: Sources) -> None:
    sources.go = None
    sources.released["helm"] = b"released"
    resolving._pause_path().parent.mkdir(parents=True)
    resolving._pause_path().touch()
    preflight([Program.HELM])
    progress = Progress()
    path = resolve(Program.HELM, progress)
    assert progress.fetched == ["helm 4.0.4"]
    assert path.read_bytes() == b"released"
    assert path.stat().st_mode & 0o111
    assert sources.built == []


def test_without_an_answer_programs_of_one_module_are_built_together_and_the_server_is_asked_once(
    sources: Sources,
) -> None:
    progress = Progress()
    found = resolve_all([Program.KUBELET, Program.KUBECTL, Program.HELM], progress)
    assert progress.fetched == ["kubelet 1.34.2", "kubectl 1.34.2", "helm 4.0.4"]
    assert sources.asked == ["kubelet", "helm"]
    assert sources.built == [["kubelet", "kubectl"], ["helm"]]
    assert found[Program.KUBECTL].read_text() == "built from k8s.io/kubernetes@v1.34.2"
    again = Progress()
    assert resolve_all([Program.KUBELET, Program.KUBECTL, Program.HELM], again) == found
    assert again.fetched == []
    assert len(sources.built) == 2


def test_the_pause_program_is_built_once(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        gobuild, "build_file", lambda _, target, __: (target.parent.mkdir(parents=True), target.touch())
    )
    first, second = Progress(), Progress()
    assert resolving.pause(first) == resolving.pause(second)
    assert (first.fetched, second.fetched) == (["pause"], [])


def test_a_wrong_checksum_is_not_answered_by_a_build(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: Pin) -> bytes:
        raise ChecksumError("not what was published")

    monkeypatch.setattr(resolving, "download", wrong)
    with pytest.raises(ChecksumError):
        resolve(Program.HELM)
    assert sources.built == []


@pytest.mark.parametrize("go", [None, (1, 19, 8)])
def test_without_a_release_or_a_fitting_go_nothing_is_started(sources: Sources, go: tuple[int, ...] | None) -> None:
    sources.go = go
    with pytest.raises(PrerequisitesMissingError, match=r"Go 1\.24"):
        preflight([Program.KUBELET])
    with pytest.raises(PrerequisitesMissingError):
        resolve_all([Program.KUBELET])
    assert sources.built == []


def test_the_next_api_server_is_out_of_reach_only_without_a_release_and_without_a_go_that_builds_it(
    sources: Sources,
) -> None:
    assert ApiServer.unavailable("1.36") is None
    sources.go = (1, 24, 1)
    assert ApiServer.unavailable("1.34") is None
    reason = ApiServer.unavailable("1.36")
    assert reason is not None
    assert "Go 1.26 or newer" in reason
    assert "found 1.24.1" in reason
    assert "dl.k8s.io gives no answer" in reason
    sources.released["kube-apiserver"] = b"released"
    assert ApiServer.unavailable("1.36") is None
    assert resolve(Program.KUBE_APISERVER_NEXT).read_bytes() == b"released"
    sources.released.clear()
    assert ApiServer.unavailable("1.36") is None, "it is here"


def test_two_versions_of_one_program_are_kept_apart(sources: Sources) -> None:
    found = resolve_all([Program.KUBE_APISERVER, Program.KUBE_APISERVER_NEXT])
    assert found[Program.KUBE_APISERVER] != found[Program.KUBE_APISERVER_NEXT]
    assert "1.36" in found[Program.KUBE_APISERVER_NEXT].read_text()


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Web:
    """A release server: addresses and what they hold."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: dict[str, bytes] = {}
        monkeypatch.setattr(urllib.request, "urlopen", self._open)

    @contextmanager
    def _open(self, url: str, timeout: float) -> Iterator[IO[bytes]]:
        assert timeout == 5
        if url not in self.pages:
            raise urllib.error.URLError("no answer")
        yield io.BytesIO(self.pages[url])


def test_a_download_is_checked_against_what_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    web, pin = Web(monkeypatch), PINS[Program.HELM]
    url = pin.url.format(version=pin.version, arch=download.architecture())
    content = archive(f"./linux-{download.architecture()}/helm", b"the program")
    web.pages = {url: content, url + pin.checksum_suffix: f"{hashlib.sha256(content).hexdigest()}  helm".encode()}
    assert download.download(pin) == b"the program"
    web.pages[url] = content + b"!"
    with pytest.raises(ChecksumError, match="nothing was installed"):
        download.download(pin)
    web.pages[url + pin.checksum_suffix] = b"<html>not here</html>"
    with pytest.raises(ChecksumError, match="no sha256"):
        download.download(pin)
    web.pages.clear()
    with pytest.raises(UnreachableError):
        download.download(pin)


def test_a_pinned_checksum_wins_over_a_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(monkeypatch)
    arch = download.architecture()
    pin = Pin(
        executable="x",
        version="1.0.0",
        module=PINS[Program.KIND].module,
        package="x",
        url="https://example.invalid/x",
        checksum_suffix=".sha256",
        version_argv=(),
        sha256={arch: hashlib.sha256(b"right").hexdigest()},
    )
    web.pages = {pin.url: b"wrong", pin.url + ".sha256": hashlib.sha256(b"wrong").hexdigest().encode()}
    with pytest.raises(ChecksumError):
        download.download(pin)
    web.pages[pin.url] = b"right"
    assert download.download(pin) == b"right"


def test_an_archive_without_the_program_is_an_error() -> None:
    with pytest.raises(ToolError, match="helm"):
        download.member_of(archive("README.md", b""), "linux-amd64/helm")
