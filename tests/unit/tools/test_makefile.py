"""What the Makefile tells the programs that it starts."""

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TELLS = """#!/bin/sh
printf "%s=%s\\n" {0}_BEGAN "$BOTFLEET_BEGAN" {0}_AT "$(date +%s.%N)" {0}_TYPED "$BOTFLEET_TYPED"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone whose programs only tell what they were told."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name, part in (("tools/bootstrap.sh", "BOOTSTRAP"), (".venv/bin/python", "PYTHON")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(TELLS.format(part))
        (tmp_path / name).chmod(0o755)
    return tmp_path


def told(checkout: Path, *words: str) -> dict[str, str]:
    # As from a shell: this test may itself run below make, which would speak of its folders and variables.
    left_out = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    done = subprocess.run(
        ["make", "--silent", *words],
        cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_the_clock_of_make_test_begins_before_the_environment_is_made(checkout: Path) -> None:
    called = time.time()
    said = told(checkout, "test")
    assert said["PYTHON_BEGAN"] == said["BOOTSTRAP_BEGAN"]
    assert called - 0.01 <= float(said["PYTHON_BEGAN"]) <= float(said["BOOTSTRAP_AT"]) < float(said["PYTHON_AT"])


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["test"], "make test"),
        (["lint", "unit"], "make lint unit"),
        (["PYTHON=/usr/bin/env", "test"], "make PYTHON='/usr/bin/env' test"),
        (["test", 'BOT=it\'s $(HOME) "a  b" ; #x'], "make BOT='it'\\''s $(HOME) \"a  b\" ; #x' test"),
    ],
)
def test_a_remedy_can_repeat_what_was_typed_with_its_variables(checkout: Path, words: list[str], typed: str) -> None:
    said = told(checkout, *words)
    assert said["BOOTSTRAP_TYPED"] == said["PYTHON_TYPED"] == typed
    assert sorted(shlex.split(typed)[1:]) == sorted(words), "a shell reads it as it was typed"
