"""Why: a bot that runs alone on SQLite has no server that could hold its lease: a lock on its folder does the same.

And a second one, on a file of the machine named by the credential's digest: two folders, one session, is as deadly.
It knows this machine only: the same session on two machines cannot be noticed.
"""

import fcntl
import os
import tempfile
from pathlib import Path
from types import TracebackType


class HeldElsewhereError(RuntimeError):
    """Another process of this machine has it; the message says what, and what to do."""


class FileLock:
    """An flock on a file, from `acquire` to `release` or the process's end. The file itself stays."""

    def __init__(self, path: Path, held: str) -> None:
        """Args:
        path: of the file; its folder exists.
        held: what to tell if another process has it.
        """
        self._path = path
        self._held = held
        self._fileno: int | None = None

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises:
            HeldElsewhereError: another process has it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fileno = os.open(self._path, flags, 0o600)
        except PermissionError as error:  # another user's file: another user's process
            raise HeldElsewhereError(self._held) from error
        try:
            fcntl.flock(fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fileno)
            raise HeldElsewhereError(self._held) from error
        except OSError:
            os.close(fileno)
            raise
        self._fileno = fileno

    def release(self) -> None:
        """Give it back; closing the descriptor does."""
        if self._fileno is not None:
            os.close(self._fileno)
            self._fileno = None

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def folder_lock(folder: Path) -> FileLock:
    """The lock of a data folder."""
    return FileLock(
        folder / "botrunner.lock",
        f"another botrunner uses the data folder {folder}. Stop it, or give this one its own.",
    )


def credential_lock(digest: str) -> FileLock:
    """The lock of a credential on this machine. Args: digest: `botfleet.digest.credential_digest`."""
    return FileLock(
        Path(tempfile.gettempdir()) / f"botfleet-account-{digest[:32]}.lock",
        "another botrunner of this machine uses the same Telegram credential. One account is one bot: stop the other one.",
    )
