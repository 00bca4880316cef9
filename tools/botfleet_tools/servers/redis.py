"""Redis for tests: Debian's redis-server with access lists on, as in production; the default user is off.

Its password is in no file and on no command line, only its hash.
"""

import contextlib
import hashlib
import secrets
import shutil
import socket
from pathlib import Path
from urllib.parse import quote

from botfleet_tools import debian
from botfleet_tools.progress import Progress
from botfleet_tools.servers.base import LOOPBACK, Server, free_port

ANSWER_SECONDS = 1.0


class Redis(Server):
    """A Redis server of its own on loopback. Its data do not survive a restart unless ``append_only``."""

    name = "redis"
    user = "admin"
    host = LOOPBACK

    def __init__(self, *, append_only: bool = False, progress: Progress | None = None) -> None:
        super().__init__(progress)
        self.port = 0
        self.password = secrets.token_urlsafe(18)
        self._append_only = append_only

    @staticmethod
    def obtain(progress: Progress) -> None:
        """Install Debian's when there is none on PATH."""
        if shutil.which("redis-server") is None:
            debian.ensure(["redis-server"], progress)

    @property
    def url(self) -> str:
        """Its address for the user that may do everything."""
        return self.url_for(self.user, self.password)

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder / "redis.log"

    def url_for(self, user: str, password: str, database: int = 0) -> str:
        """Its address for another user."""
        return f"redis://{quote(user)}:{quote(password)}@{self.host}:{self.port}/{database}"

    def _prepare(self) -> None:
        self.obtain(self._progress)
        self.port = free_port()
        digest = hashlib.sha256(self.password.encode()).hexdigest()
        (self.folder / "users.acl").write_text(f"user default off\nuser {self.user} on #{digest} ~* &* +@all\n")
        settings = {
            "bind": self.host,
            "port": self.port,
            "dir": self.folder,
            "aclfile": self.folder / "users.acl",
            "save": '""',
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": "no",
            "daemonize": "no",
        }
        (self.folder / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def _launch(self) -> None:
        daemon = self._daemon("redis")
        daemon.start(["redis-server", self.folder / "redis.conf"], cwd=self.folder)
        daemon.wait_ready(self._answers)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), ANSWER_SECONDS) as connection,
        ):
            connection.sendall(b"PING\r\n")
            # It asks for a password once it serves, and says LOADING before.
            return connection.recv(64).startswith(b"-NOAUTH")
        return False
