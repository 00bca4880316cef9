"""`make try`: one bot in the terminal, without a cluster and without root."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import unmeasured

ROOT = Path(__file__).parents[3]
UP_SECONDS = 60.0
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
POWERLESS = ("--inh-caps=-all", "--bounding-set=-all")
# Where the checkout lies below a folder that only root may enter: somebody who may read it, and do nothing else.
READER = tuple(f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set"))


@pytest.fixture
def home() -> Iterator[str]:
    """A folder that everybody may use."""
    with tempfile.TemporaryDirectory(prefix="botfleet-try-home-") as folder:
        Path(folder).chmod(0o777)
        yield folder


def as_anybody() -> list[str]:
    """What a command begins with to be run by somebody who is not root."""
    if os.geteuid() != 0:
        return []
    # A loader that may not read the library of this very Python can take that of another one.
    same = f"import botfleet_tools, os, sys; assert (os.geteuid(), sys.version) == (65534, {sys.version!r})"
    probe = [sys.executable, "-c", same]
    plain = [*NOBODY, *POWERLESS, "--"]
    may_enter = subprocess.run([*plain, *probe], cwd="/", capture_output=True, timeout=20, check=False).returncode == 0
    command = plain if may_enter else [*NOBODY, *READER, "--"]
    subprocess.run([*command, *probe], cwd="/", timeout=20, check=True)
    return command


def look_at_the_runner(told: str) -> None:
    """The process that was started is what was said: that manifest, with a store of its own and no server for its events."""
    found = re.search(r"the bot's log is (\S+)/botrunner\.log\.\n", told)
    assert found is not None
    folder = Path(found[1])
    command = {
        process: [part.decode() for part in line.split(b"\0")]
        for process in Path("/proc").glob("[0-9]*")
        if f"{folder}/data".encode() in (line := read(process / "cmdline"))
    }
    ((process, words),) = command.items()
    assert words[words.index("run") : words.index("--secrets")] == ["run", "-f", str(ROOT / "examples/concierge.yaml")]
    starting = re.search(
        r"starting .*manifest=(\S+)", re.sub(r"\x1b\[\d*m", "", (folder / "botrunner.log").read_text())
    )
    assert starting is not None
    assert starting[1] == str(ROOT / "examples/concierge.yaml")
    opened = set()
    for file in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            opened.add(str(file.readlink()))
    assert str(folder / "data/botfleet.sqlite3") in opened
    # Without these two, docs/settings.md says, data are in SQLite and events stay in the process.
    environment = read(process / "environ").split(b"\0")
    assert b"BOTFLEET_BOT_DEFAULTS" in {entry.partition(b"=")[0] for entry in environment}
    assert [entry for entry in environment if entry.startswith((b"BOTFLEET_DATABASE_URL", b"BOTFLEET_REDIS_URL"))] == []


def read(file: Path) -> bytes:
    """Empty when the process is gone."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.timeout(240)
def test_a_bot_answers_within_a_minute_in_the_terminal_of_somebody_who_is_not_root_and_respects_a_stop(
    home: str,
) -> None:
    left_out = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # as from a shell, also below another make
    environment = {
        **{key: value for key, value in unmeasured.environment().items() if key not in left_out},
        "HOME": home,
        "TMPDIR": home,
        "XDG_CACHE_HOME": home,
        # The one that made .venv, which is there already; python3 may be another one for somebody else.
        "PYTHON": str(Path(sys.executable).resolve()),
        # What somebody may have set for a bot that runs elsewhere. Nothing answers there.
        "BOTFLEET_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "BOTFLEET_REDIS_URL": "redis://nobody@127.0.0.1:1/0",
    }
    began = time.monotonic()
    with subprocess.Popen(
        [*as_anybody(), "make", "try"], cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            told = ""
            for line in process.stdout:
                told += line
                if line.startswith("You write to @concierge_bot"):
                    break
            took = time.monotonic() - began
            look_at_the_runner(told)
            done, _ = process.communicate("Rooms 3 and 4?\n/stop\n/start\nRoom 5?\n\n", timeout=100)
        except BaseException:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=20)  # the end of its input ends the chat, and with it the bot
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, told + done
    assert took < UP_SECONDS
    assert told.startswith("$ botrunner run -f examples/concierge.yaml --secrets … --data …\n")
    assert "The bot of examples/concierge.yaml runs alone, on SQLite" in told
    assert "I will not write to you any more" in done
    assert "Noted: 5." in done
    assert "Noted: 3, 4." not in done
