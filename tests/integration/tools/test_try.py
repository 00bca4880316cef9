"""`make try`: one bot in the terminal, without a cluster and without root."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# The user of the tests may be root, whose files nobody else can read: then root without any of its powers.
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"] if os.geteuid() == 0 else []


@pytest.fixture
def home() -> Iterator[str]:
    """A folder that everybody may use."""
    with tempfile.TemporaryDirectory(prefix="botfleet-try-home-") as folder:
        Path(folder).chmod(0o777)
        yield folder


def test_a_bot_answers_in_the_terminal_without_the_powers_of_root_and_respects_a_stop(home: str) -> None:
    environment = {**os.environ, "HOME": home, "TMPDIR": home, "XDG_CACHE_HOME": home}
    done = subprocess.run(
        [*POWERLESS, sys.executable, "-c", "from botfleet_tools.demo.cli import main; main()", "try"],
        input="Rooms 3 and 4?\n/stop\n/start\nRoom 5?\n\n",
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs alone, on SQLite" in done.stdout
    assert "I will not write to you any more" in done.stdout
    assert "Noted: 5." in done.stdout
    assert "Noted: 3, 4." not in done.stdout
