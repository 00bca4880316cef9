"""What is in the images, and that their programs run as a restricted pod runs them. Layers have owners: see no_sandbox."""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botfleet_tools.images import CATALOG, BuiltImage, build_images, unpack
from botfleet_tools.images.sandbox import NAMESPACES, Sandbox
from botfleet_tools.progress import Progress
from botfleet_tools.run import CommandFailedError, capture

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PYTHON = "/opt/botfleet/bin/python"
VENV = Path("opt/botfleet")
NAMES = ("runner", "operator", "simulator", "postgres", "redis")
OURS = ("runner", "operator", "simulator")
OUR_DISTRIBUTIONS = {
    "runner": {"botfleet", "botfleet-runner"},
    "operator": {"botfleet", "botfleet-operator"},
    "simulator": {"botfleet-simulator"},
}
# Every import costs memory in each of a thousand runners; a web framework or a Kubernetes client has no business there.
NOT_IN_RUNNER = (
    "kopf", "kubernetes", "kubernetes_asyncio", "pykube", "lightkube", "aiohttp", "fastapi", "starlette", "flask",
    "django", "uvicorn", "hypercorn", "alembic", "botfleet_operator", "botfleet_simulator", "botfleet_tools",
)  # fmt: skip
INSTALLERS = ("pip", "setuptools", "wheel", "ensurepip", "hatchling", "uv")
COMPILER = re.compile(r"(.*-)?(gcc|cc|g\+\+|c\+\+|cpp|clang|ld|as|make|go|rustc|cargo|tcc)(-[\d.]+)?|cc1.*")
SECRET_NAMES = re.compile(r"^(\.env|\.netrc|\.pypirc|pip\.conf|id_(rsa|ed25519|ecdsa)|.*\.(key|p12|pfx|session))$")
PRIVATE_KEY = re.compile(rb"-----BEGIN (RSA |EC |OPENSSH |ENCRYPTED )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")


def no_sandbox() -> str | None:
    """Why images cannot be unpacked with their owners and run confined here, None when they can. It tries, and asks no user id."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.chown(folder, 999, 999)
            capture([*NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", folder], deadline_seconds=60)
        except (OSError, CommandFailedError) as error:
            return f"images cannot be unpacked with their owners and run confined here: {error}"
    return None


def test_that_images_cannot_be_run_here_is_said_with_what_the_kernel_refuses() -> None:
    powers = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"] if os.geteuid() == 0 else []
    ask = "from tests.e2e.test_images import no_sandbox; print(no_sandbox())"
    assert "Operation not permitted" in capture([*powers, sys.executable, "-c", ask], cwd=ROOT, deadline_seconds=90)


@pytest.fixture(scope="module")
def built() -> Callable[[str], BuiltImage]:
    """Images by name, each built when the first test asks for it."""
    if (reason := no_sandbox()) is not None:
        pytest.skip(reason)
    images: dict[str, BuiltImage] = {}

    def image(name: str) -> BuiltImage:
        if name not in images:
            images.update(build_images(name, progress=Progress()))
        return images[name]

    return image


@pytest.fixture(scope="module")
def unpacked(
    built: Callable[[str], BuiltImage], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Sandbox]]:
    """Images by name, each unpacked when the first test asks for it."""
    folder = tmp_path_factory.mktemp("images")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    sandboxes: dict[str, Sandbox] = {}

    def sandbox(name: str) -> Sandbox:
        if name not in sandboxes:
            root = folder / name
            root.mkdir()
            sandboxes[name] = Sandbox(root, unpack(built(name).archive, root))
        return sandboxes[name]

    yield sandbox
    shutil.rmtree(folder)


def python(sandbox: Sandbox, code: str) -> str:
    return sandbox.run([PYTHON, "-c", code], deadline_seconds=60)


def files(sandbox: Sandbox) -> Iterator[Path]:
    for path in sandbox.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def locked(name: str) -> set[str]:
    """The distributions that an image's requirements file names."""
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return {match.group(1).lower() for match in re.finditer(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


@pytest.mark.parametrize("name", OURS)
def test_an_image_holds_what_its_lock_file_names_and_our_packages_and_nothing_else(
    name: str, unpacked: Callable[[str], Sandbox]
) -> None:
    code = (
        "import json, re; from importlib.metadata import distributions;"
        "print(json.dumps([re.sub('[-_.]+', '-', d.metadata['Name']).lower() for d in distributions()]))"
    )
    assert set(json.loads(python(unpacked(name), code))) == locked(name) | OUR_DISTRIBUTIONS[name]


def test_the_runner_can_import_no_kubernetes_client_and_no_web_framework(unpacked: Callable[[str], Sandbox]) -> None:
    listing = python(unpacked("runner"), "import pkgutil; print('\\n'.join(m.name for m in pkgutil.iter_modules()))")
    importable = set(listing.split())
    assert {"botrunner", "botfleet", "telethon", "openai"} <= importable
    assert importable.isdisjoint(NOT_IN_RUNNER)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("interpreter", [PYTHON, "python3"])
def test_no_package_installer_is_importable(name: str, interpreter: str, unpacked: Callable[[str], Sandbox]) -> None:
    code = f"import importlib.util as u; print([n for n in {INSTALLERS!r} if u.find_spec(n) is not None])"
    assert unpacked(name).run([interpreter, "-c", code], deadline_seconds=60).strip() == "[]"


def compilers(root: Path) -> set[str]:
    """Programs that turn sources into programs, under whichever name; on Debian most names are links."""
    programs = (path for path in root.rglob("*") if path.is_symlink() or (path.is_file() and os.access(path, os.X_OK)))
    return {path.name for path in programs if COMPILER.fullmatch(path.name)}


def test_a_compiler_would_be_found_behind_its_links(tmp_path: Path) -> None:
    for name in ("usr/bin/x86_64-linux-gnu-gcc-12", "usr/bin/git", "usr/libexec/gcc/12/cc1plus"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(0o755)
    (tmp_path / "usr/bin/gcc").symlink_to("gcc-12")  # to nowhere in an unpacked image
    assert compilers(tmp_path) == {"x86_64-linux-gnu-gcc-12", "gcc", "cc1plus"}


@pytest.mark.parametrize("name", NAMES)
def test_no_compiler_and_no_secret_is_in_an_image(name: str, unpacked: Callable[[str], Sandbox]) -> None:
    sandbox = unpacked(name)
    found = list(files(sandbox))
    assert compilers(sandbox.root) == set()
    assert [path for path in found if SECRET_NAMES.match(path.name)] == []
    assert [path for path in found if path.stat().st_size < 100_000 and PRIVATE_KEY.search(path.read_bytes())] == []
    assert not (sandbox.root / "etc/apt/sources.list").exists()


@pytest.mark.parametrize("name", NAMES)
def test_containers_run_as_a_numeric_user_that_is_not_root(name: str, unpacked: Callable[[str], Sandbox]) -> None:
    image = unpacked(name).image
    user, _, group = image.user.partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert image.references == (CATALOG[name].reference,)


@pytest.mark.parametrize("name", OURS)
def test_every_module_is_compiled_and_its_compiled_form_is_used(name: str, unpacked: Callable[[str], Sandbox]) -> None:
    sandbox = unpacked(name)
    sources = [
        path for path in (sandbox.root / VENV).rglob("*.py") if "bin" not in path.relative_to(sandbox.root).parts
    ]
    assert len(sources) > 500
    tag = python(sandbox, "import sys; print(sys.implementation.cache_tag)").strip()
    missing = [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").exists()]
    assert missing == []
    # "# code object from '….pyc'" is a compiled file; "# code object from '….py'" was compiled at start.
    module = CATALOG[name].packages[-1] if name == "runner" else f"botfleet_{name}"
    verbose = f"{PYTHON} -v -c 'import asyncio, logging, {module}' 2>&1 | grep \"code object from\" || true"
    loaded = sandbox.run(["sh", "-c", verbose], deadline_seconds=60)
    assert loaded.count(".pyc'") > 50
    assert [line for line in loaded.splitlines() if ".pyc'" not in line] == []


@pytest.mark.parametrize(
    ("name", "program", "says"),
    [
        ("runner", "botrunner --help", "Usage"),
        ("operator", "botfleet-operator", "BOTFLEET_DATABASE_URL"),
        ("operator", "botfleet-migrate", "BOTFLEET_OWNER_DATABASE_URL"),
        ("simulator", "botfleet-simulator --help", "Usage"),
    ],
)
def test_our_programs_start_on_a_read_only_root_without_privileges_and_say_what_they_need(
    name: str, program: str, says: str, unpacked: Callable[[str], Sandbox]
) -> None:
    assert says in unpacked(name).run(["sh", "-c", f"{program} 2>&1 || true"], deadline_seconds=60)


def test_the_entrypoints_are_our_programs(unpacked: Callable[[str], Sandbox]) -> None:
    assert {name: unpacked(name).image.entrypoint for name in OURS} == {
        "runner": ["botrunner"],
        "operator": ["botfleet-operator"],
        "simulator": ["botfleet-simulator"],
    }


def test_the_operator_image_carries_the_migrations(unpacked: Callable[[str], Sandbox]) -> None:
    carried = unpacked("operator").root / VENV / "share/migrations"
    ours = {path.relative_to(ROOT / "migrations") for path in (ROOT / "migrations").rglob("*.py")}
    assert ours
    assert {path.relative_to(carried) for path in carried.rglob("*.py")} == ours


def test_what_has_not_changed_is_not_built_again(built: Callable[[str], BuiltImage]) -> None:
    first = built("redis")
    again = build_images("redis", progress=Progress())["redis"]
    assert (again.cached, again.digest, again.archive) == (True, first.digest, first.archive)


class Volumes:
    """Folders for a database server, as a pod's volumes are: they belong to the pod's group."""

    def __init__(self, folder: Path) -> None:
        self.data = self._make(folder / "data")
        self.run = self._make(folder / "run")
        self.secrets = self._make(folder / "secrets")
        self.scripts = self._make(folder / "scripts")
        (self.secrets / "superuser").write_text("s3cret-of-the-test\n")
        (self.secrets / "superuser").chmod(0o444)

    @staticmethod
    def _make(folder: Path) -> Path:
        folder.mkdir()
        os.chown(folder, 0, 999)
        folder.chmod(0o2775)
        return folder

    def mounts(self) -> dict[Path, str]:
        return {
            self.data: "/var/lib/postgresql/data",
            self.run: "/run/postgresql",
            self.secrets: "/mnt",
            self.scripts: "/docker-entrypoint-initdb.d",
        }


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def postgres(
    sandbox: Sandbox, volumes: Volumes, client: str, *arguments: str, before: str = "", deadline_seconds: float = 90
) -> str:
    """Start the server as a container would, run ``client`` once it answers on TCP, stop the server, give the output."""
    environment = {
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": "botfleet",
        "POSTGRES_PASSWORD_FILE": "/mnt/superuser",
        "POSTGRES_INITDB_ARGS": "--auth-local=peer --auth-host=scram-sha-256 --data-checksums",
        "PGDATA": "/var/lib/postgresql/data/pgdata",
    }
    start = " ".join(Sandbox(sandbox.root, sandbox.image).start(("postgres", *arguments)))
    script = f"""
        {before}
        {start} >&2 & server=$!
        until pg_isready --quiet --host=127.0.0.1 --username=postgres; do
            kill -0 $server 2>/dev/null || exit 1; sleep 0.05
        done
        export PGHOST=127.0.0.1 PGUSER=postgres PGDATABASE=botfleet PGPASSWORD=$(cat /mnt/superuser)
        {client}
        kill -INT $server; wait $server || true
    """
    confined = Sandbox(sandbox.root, sandbox.image, volumes.mounts())
    return confined.run(["sh", "-euc", script], deadline_seconds=deadline_seconds, environment=environment)


def test_postgres_starts_although_a_lock_of_a_killed_container_names_a_process_that_lives(
    unpacked: Callable[[str], Sandbox], volumes: Volumes
) -> None:
    lock = "echo $$ > /run/postgresql/.s.PGSQL.5432.lock"
    assert postgres(unpacked("postgres"), volumes, "psql -Atc 'select 1'", before=lock).strip() == "1"


def test_postgres_makes_its_database_once_and_keeps_it(unpacked: Callable[[str], Sandbox], volumes: Volumes) -> None:
    script = volumes.scripts / "10-table.sh"
    script.write_text('#!/bin/sh\nset -eu\npsql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "create table made(at int)"\n')
    script.chmod(0o555)
    (volumes.scripts / "20-row.sql").write_text("insert into made values (1);")
    query = "psql -Atc 'select count(*) from made' -c 'show max_connections' -c 'show data_checksums'"

    another = "psql -c 'insert into made values (2)'"
    first = postgres(unpacked("postgres"), volumes, f"{query}; {another}", "-c", "max_connections=37")
    second = postgres(unpacked("postgres"), volumes, query)

    assert first.split() == ["1", "37", "on", "INSERT", "0", "1"]
    assert second.split() == ["2", "100", "on"]


def test_postgres_asks_for_the_password(unpacked: Callable[[str], Sandbox], volumes: Volumes) -> None:
    out = postgres(unpacked("postgres"), volumes, "PGPASSWORD=wrong psql -c 'select 1' 2>&1 || echo refused")
    assert "password authentication failed" in out
    assert out.split()[-1] == "refused"


def test_postgres_killed_while_it_initializes_begins_anew(unpacked: Callable[[str], Sandbox], volumes: Volumes) -> None:
    stopped = volumes.scripts / "10-stop.sh"
    stopped.write_text("#!/bin/sh\npsql -U postgres -d botfleet -c 'create table half(x int)'\nkill -9 $PPID\n")
    stopped.chmod(0o555)
    with pytest.raises(CommandFailedError):
        postgres(unpacked("postgres"), volumes, "true")
    assert not (volumes.data / "pgdata/PG_VERSION").exists()
    stopped.unlink()
    (volumes.scripts / "20-whole.sql").write_text("create table whole(x int);")

    assert postgres(unpacked("postgres"), volumes, "psql -Atc '\\dt'").split("|")[1] == "whole"


def test_a_failing_script_shows_no_statement_when_the_arguments_say_so(
    unpacked: Callable[[str], Sandbox], volumes: Volumes
) -> None:
    (volumes.scripts / "10-role.sql").write_text("create role somebody password 'planted-secret' nosuchoption;")
    quiet = ("-c", "log_error_verbosity=terse", "-c", "log_min_error_statement=panic")
    with pytest.raises(CommandFailedError) as failure:
        postgres(unpacked("postgres"), volumes, "true", *quiet)
    server_log = [line for line in failure.value.output.splitlines() if "STATEMENT" in line]
    assert server_log == []


def test_redis_starts_with_its_arguments_and_an_acl_file(unpacked: Callable[[str], Sandbox], tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.mkdir()
    (acl / "users.acl").write_text("user default off\nuser operator on >of-the-test ~* &* +@all\n")
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 0, 999)
    data.chmod(0o2775)
    sandbox = unpacked("redis")
    start = " ".join(sandbox.start(("redis-server", "--aclfile", "/mnt/users.acl", "--appendonly", "yes")))
    ask = "redis-cli --no-auth-warning"
    script = f"""
        {start} >&2 & server=$!
        until {ask} ping 2>/dev/null | grep -q NOAUTH; do
            kill -0 $server 2>/dev/null || exit 1; sleep 0.05
        done
        {ask} --user operator --pass of-the-test set key value
        {ask} --user operator --pass of-the-test config get protected-mode
        kill -TERM $server; wait $server || true
        ls /data
    """
    confined = Sandbox(sandbox.root, sandbox.image, {acl: "/mnt", data: "/data"})
    out = confined.run(["sh", "-euc", script], deadline_seconds=60)
    assert out.split()[:3] == ["OK", "protected-mode", "no"]
    assert "appendonlydir" in out.split()
