"""The README's first command, as its reader meets it: three bots answer, the second time is quick, and nothing is left behind."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from botfleet_tools.cluster import Cluster
from botfleet_tools.cluster.kind import docker_runs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

NAME = "botfleet-demo-test"
DEMO = Path(sys.executable).with_name("botfleet-demo")
ENVIRONMENT = {**os.environ, "BOTFLEET_DEMO_CLUSTER": NAME, "COLUMNS": "200"}


def demo(*words: str, says: str = "", expect: int = 0) -> str:
    """Runs the command behind `make demo`, `make chat` and `make demo-down`; what it printed."""
    done = subprocess.run(
        [DEMO, *words], input=says, capture_output=True, text=True, env=ENVIRONMENT, timeout=600, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def first() -> Iterator[str]:
    if os.geteuid() != 0 and not docker_runs():
        pytest.skip("a node of plain processes needs root, and Docker is not there")
    try:
        yield demo("up")
    finally:
        demo("down")
        assert Cluster.find(NAME) is None


def conversation(printed: str) -> list[tuple[str, str]]:
    """Who answered, and the last line of what they said."""
    said = re.findall(r"^  (@\w+): (.*(?:\n      .*)*)", printed, re.MULTILINE)
    return [(bot, text.strip().splitlines()[-1].strip()) for bot, text in said]


def test_it_shows_the_manifest_the_fleet_and_what_people_and_bots_said(first: str) -> None:
    assert "Applied: examples/concierge.yaml" in first
    assert "kind: TelegramBot" in first
    assert len(re.findall(r"^(?:hotel|shop) +\w+ +Running +True ", first, re.MULTILINE)) == 6, "before and after"
    talked = conversation(first)
    assert [bot for bot, _ in talked] == ["@concierge_bot"] * 3 + ["@spa_bot"] + ["@support_bot"] * 2
    assert "Noted: 12, 14, 31." in talked[2][1]
    assert talked[5][1].startswith("Yes, I am an AI")
    assert "make chat BOT=hotel/concierge" in first
    assert "export KUBECONFIG=" in first


def test_run_again_it_is_quick_and_the_bots_answer_anew(first: str) -> None:
    began = time.monotonic()
    again = demo("up")
    assert time.monotonic() - began < 90
    took = [float(seconds) for seconds in re.findall(r"\((\d+\.\d) s\)", again)]
    assert len(took) == 6
    assert min(took) > 0.2, "what it shows is what was said now, and not the first time"
    assert "Noted: 12, 14, 31." in conversation(again)[2][1]


def test_anybody_can_chat_with_a_bot_of_the_demo(first: str) -> None:
    assert "Noted: 77." in demo("chat", "hotel/spa", says="A massage at 77?\n\n")
    refused = demo("chat", "hotel/nobody", expect=1)
    assert "hotel/concierge, hotel/spa, shop/support" in refused
