"""Runs other programs: always with a deadline, and with an error that carries the end of their output.

A command's whole process group ends with its deadline. Standard input is never shown or logged (it may carry secrets).
"""

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from botfleet_tools.errors import ToolError

LOG_TAIL_LINES = 25
LOG_TAIL_BYTES = 64 * 1024
SHOWN_COMMAND_LENGTH = 300

Argv = Sequence[str | Path]


class CommandFailedError(ToolError):
    """A program ended with an error, or did not end in time."""

    def __init__(self, what: str, *, returncode: int | None, output: str) -> None:
        super().__init__(f"{what}\n{_indent(output)}" if output else what)
        self.returncode = returncode
        self.output = output


def tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log file; an empty string when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def run(
    argv: Argv,
    *,
    log: Path,
    deadline_seconds: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | Path | None = None,
) -> None:
    """Run a program with both its outputs appended to ``log``; ``env`` is added to this process's environment.

    ``stdin`` is what it reads, or the file that it reads.

    Raises CommandFailedError, with the end of the log, when it fails or lasts longer than ``deadline_seconds``.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {shown(argv)}\n".encode())
        output.flush()  # before the program writes to the same file
        try:
            _communicate(argv, deadline_seconds, env=env, cwd=cwd, stdin=stdin, stdout=output, stderr=subprocess.STDOUT)
        except CommandFailedError as error:
            raise CommandFailedError(f"{error} (log: {log})", returncode=error.returncode, output=tail(log)) from None


def capture(
    argv: Argv,
    *,
    deadline_seconds: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
) -> str:
    """Run a program and return its standard output.

    Raises CommandFailedError, with the end of its errors, when it fails or lasts longer than ``deadline_seconds``.
    """
    out, _ = _communicate(
        argv, deadline_seconds, env=env, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    return out.decode(errors="replace")


def shown(argv: Argv) -> str:
    """A command as a person would type it, cut to a bearable length."""
    text = shlex.join(str(part) for part in argv)
    return text if len(text) <= SHOWN_COMMAND_LENGTH else text[: SHOWN_COMMAND_LENGTH - 1] + "…"


def _communicate(
    argv: Argv,
    deadline_seconds: float,
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: bytes | Path | None,
    stdout: int | IO[bytes],
    stderr: int,
) -> tuple[bytes, bytes]:
    try:
        source = stdin.open("rb") if isinstance(stdin, Path) else None
    except OSError as error:
        raise CommandFailedError(str(error), returncode=None, output="") from error
    with source or contextlib.nullcontext():
        content = stdin if isinstance(stdin, bytes) else None
        channel = source or (subprocess.DEVNULL if content is None else subprocess.PIPE)
        process = _start(argv, env=env, cwd=cwd, stdin=channel, stdout=stdout, stderr=stderr)
        return _finish(process, argv, content, deadline_seconds)


def _start(
    argv: Argv,
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int | IO[bytes],
    stdout: int | IO[bytes],
    stderr: int,
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [str(part) for part in argv],
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailedError(f"cannot run `{shown(argv)}`: {error}", returncode=None, output="") from error


def _finish(
    process: "subprocess.Popen[bytes]", argv: Argv, stdin: bytes | None, deadline_seconds: float
) -> tuple[bytes, bytes]:
    try:
        out, err = process.communicate(stdin, timeout=deadline_seconds)
    except subprocess.TimeoutExpired:
        _end_group(process)
        raise CommandFailedError(
            f"`{shown(argv)}` did not end within {deadline_seconds:.0f} s and was stopped", returncode=None, output=""
        ) from None
    except BaseException:
        _end_group(process)
        raise
    if process.returncode:
        raise CommandFailedError(
            f"`{shown(argv)}` failed with exit code {process.returncode}",
            returncode=process.returncode,
            output="\n".join((err or out or b"").decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]),
        )
    return out or b"", err or b""


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
