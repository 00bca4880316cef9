"""What a build may see, and what it is told: the staged folder, the builders' commands, a sandbox's mounts."""

from pathlib import Path

import pytest

from botfleet_tools.errors import ToolError
from botfleet_tools.images import buildah, builder
from botfleet_tools.images.archive import ArchivedImage
from botfleet_tools.images.build import BuiltImage
from botfleet_tools.images.catalog import CATALOG, Image
from botfleet_tools.images.cli import line
from botfleet_tools.images.context import Context, Ingredients, build_arguments, stage
from botfleet_tools.images.docker import build_command
from botfleet_tools.images.sandbox import Sandbox
from botfleet_tools.images.target import Target
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError

IMAGE = Image(
    "one",
    "localhost/one:dev",
    "Dockerfile.one",
    requirements="one.txt",
    packages=("core",),
    files=("files", "files/run.sh"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for name in ("Dockerfile.one", "files/run.sh", "files/__pycache__/x.pyc", ".env", "core/secret.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def wheel(folder: Path, name: str, content: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    path.write_text(content)
    return path


def staged(tmp_path: Path, root: Path, name: str, ours: str = "") -> Context:
    ingredients = Ingredients(
        dependencies=[wheel(tmp_path / "cache", "theirs")],
        packages=[wheel(tmp_path / f"cache-{name}", "ours", ours)],
        pip=wheel(tmp_path / "cache", "pip"),
    )
    folder = tmp_path / name
    folder.mkdir()
    return stage(folder, root, IMAGE, ingredients)


def test_the_context_holds_what_the_image_names_and_nothing_else(tmp_path: Path, root: Path) -> None:
    context = staged(tmp_path, root, "context")
    assert {path.relative_to(context.folder).as_posix() for path in context.folder.rglob("*") if path.is_file()} == {
        "Dockerfile.one",
        "files/run.sh",
        "pip.whl",
        "dependencies/requirements.txt",
        "dependencies/theirs-1.0-py3-none-any.whl",
        "packages/requirements.txt",
        "packages/ours-1.0-py3-none-any.whl",
    }
    assert (context.folder / "packages/requirements.txt").read_text().startswith("ours==1.0 --hash=sha256:")


def test_an_edit_of_ours_leaves_the_layer_of_dependencies_as_it_is(tmp_path: Path, root: Path) -> None:
    before, after = staged(tmp_path, root, "before").arguments, staged(tmp_path, root, "after", "edited").arguments
    assert before["DEPENDENCIES_KEY"] == after["DEPENDENCIES_KEY"]
    assert before["PACKAGES_KEY"] != after["PACKAGES_KEY"]
    (root / "files/run.sh").write_text("edited")
    assert staged(tmp_path, root, "recipe").arguments["DEPENDENCIES_KEY"] != before["DEPENDENCIES_KEY"]


def test_only_declared_build_arguments_are_given() -> None:
    dockerfile = "ARG BASE_IMAGE=python:3.11\nFROM ${BASE_IMAGE}\nARG KEY\n"
    given = build_arguments(dockerfile, {"BASE_IMAGE": "mine", "KEY": "1", "OTHER": "2"})
    assert given == ["--build-arg", "BASE_IMAGE=mine", "--build-arg", "KEY=1"]


@pytest.mark.parametrize(("name", "network"), [("runner", "none"), ("postgres", "default")])
def test_docker_gives_a_build_no_network_unless_it_installs_debian_packages(
    tmp_path: Path, name: str, network: str
) -> None:
    image = CATALOG[name]
    (tmp_path / image.dockerfile).parent.mkdir(exist_ok=True)
    (tmp_path / image.dockerfile).write_text("ARG DEPENDENCIES_KEY\n")
    command = build_command(image, Context(tmp_path, {"DEPENDENCIES_KEY": "k"}))
    assert command[:4] == ["docker", "build", "--network", network]
    assert command[-3:] == ["--build-arg", "DEPENDENCIES_KEY=k", str(tmp_path)]


@pytest.mark.parametrize("name", CATALOG)
def test_every_dockerfile_takes_its_base_and_the_keys_of_what_it_mounts(name: str) -> None:
    text = (Path(__file__).parents[3] / CATALOG[name].dockerfile).read_text()
    assert "ARG BASE_IMAGE=" in text
    assert text.index("ARG DEPENDENCIES_KEY") < text.index("RUN --mount")
    if CATALOG[name].packages:
        assert text.index("ARG PACKAGES_KEY") < text.index("/context packages")


def test_docker_is_taken_where_it_runs_and_buildah_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "docker_runs", lambda: True)
    assert [builder.choose(name) for name in ("auto", "docker", "buildah")] == ["docker", "docker", "buildah"]
    monkeypatch.setattr(builder, "docker_runs", lambda: False)
    assert builder.choose("auto") == "buildah"
    with pytest.raises(ToolError, match="no Docker engine answers"):
        builder.choose("docker")


def test_buildah_runs_in_namespaces_of_its_own_and_pulls_nothing(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(buildah, "run", lambda argv, **_: commands.append(list(argv)))
    monkeypatch.setattr(buildah, "overlay_works", lambda _: False)
    monkeypatch.setattr(buildah, "cache_dir", lambda: tmp_path)
    (root / "Dockerfile.one").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG PACKAGES_KEY\n")
    made = buildah.Buildah(Target("x86_64"), tmp_path / "log", Progress())

    made.build(IMAGE, staged(tmp_path, root, "context"), tmp_path / "image.tar")

    assert all(command[:5] == ["unshare", "--mount", "--net", "--propagation", "private"] for command in commands)
    (bud,) = [command for command in commands if "bud" in command]
    assert {"--pull-never", "--http-proxy=false", f"BASE_IMAGE={made.base_reference}"} <= set(bud)
    assert bud[bud.index("--storage-driver") + 1] == "vfs"
    (push,) = [command for command in commands if "push" in command]
    assert push[-1] == f"docker-archive:{tmp_path}/image.tar:localhost/one:dev"


def test_an_overlay_that_cannot_be_mounted_means_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise CommandFailedError("mount failed", returncode=32, output="")

    monkeypatch.setattr(buildah, "capture", refuse)
    assert not buildah.overlay_works(tmp_path)
    assert list(tmp_path.iterdir()) == []


def archived(**settings: object) -> ArchivedImage:
    return ArchivedImage("sha256:abc", (), {"config": settings}, ())


def test_a_sandbox_gives_the_image_what_a_restricted_pod_would(tmp_path: Path) -> None:
    image = archived(User="65532:65532", Entrypoint=["botrunner"], Cmd=["run"], Env=["HOME=/tmp"], WorkingDir="/data")
    sandbox = Sandbox(tmp_path, image, {Path("/somewhere"): "/data"})
    script = sandbox.script(sandbox.start(), {"A": "b c"})
    assert f"mount -o remount,bind,ro {tmp_path}" in script
    assert f"mount --bind /somewhere {tmp_path}/data" in script
    assert script.splitlines()[-1] == (
        f"exec chroot {tmp_path} /usr/bin/setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs "
        "--bounding-set=-all --inh-caps=-all /usr/bin/env --ignore-environment --chdir=/data HOME=/tmp 'A=b c' botrunner run"
    )
    assert sandbox.start(["--help"]) == ["botrunner", "--help"]


def test_a_volume_never_lands_outside_of_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("/run")
    with pytest.raises(ToolError, match="leads out"):
        Sandbox(tmp_path, archived(), {Path("/somewhere"): "/run/postgresql"}).script(["true"], {})


def test_a_built_image_is_one_line_that_a_script_can_cut(tmp_path: Path) -> None:
    (tmp_path / "one.tar").write_bytes(b"x" * 3 * 1024 * 1024)
    image = BuiltImage("one", "localhost/one:dev", "sha256:abc", "key", tmp_path / "one.tar", cached=True)
    assert line(image).split("\t") == ["one", "localhost/one:dev", "sha256:abc", "3 MiB", str(tmp_path / "one.tar")]
