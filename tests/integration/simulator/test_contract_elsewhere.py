"""Promises of the contract suite as somebody runs it against a server of theirs: by its address, and by nothing else."""

import asyncio
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet_simulator.client import TelegramAdmin
from botfleet_simulator.launch import telegram_server

ROOT = Path(__file__).parents[3]
SUITE = "tests/integration/simulator/contract"
# Another server's accounts: none of the ids, names, phones and tokens that the suite brings for a simulator of its own.
ACCOUNTS: dict[str, Any] = {
    "bots": [
        {"id": 6000001, "token": "6000001:AAElsewhereFirstBotTokenXXXXXXXXXXX", "username": "elsewhere_bot"},
        {"id": 6000002, "token": "6000002:AAElsewhereOtherBotTokenXXXXXXXXXXX", "username": "elsewhere_other_bot"},
    ],
    "people": [
        {"id": 3001, "phone": "+99966330001", "name": "Dora", "username": "dora_elsewhere", "code": "12345"},
        {"id": 3002, "phone": "+99966330002", "name": "Emil", "username": "emil_elsewhere", "code": "23456"},
        {
            "id": 3003,
            "phone": "+99966330003",
            "name": "Fay",
            "username": "fay_elsewhere",
            "code": "34567",
            "password": "battery staple",
        },
    ],
}
SUITE_SECONDS = 500.0
pytestmark = pytest.mark.timeout(560)

# A plugin for the suite's process: whoever starts another process there is refused.
NO_CHILDREN = """
import sys

import telethon  # which looks for a library with another program

def refuse(event, arguments):
    if event in {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"}:
        raise RuntimeError("this run may start no process")

sys.addaudithook(refuse)
"""


async def run_suite(folder: Path, *arguments: str) -> tuple[int, dict[str, int], str]:
    """pytest's exit code, its counts, and what it printed."""
    (folder / "no_children.py").write_text(NO_CHILDREN)
    report = folder / "report.xml"
    output = folder / "printed.txt"
    with output.open("wb") as printing:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", "-q", "-p", "no_children", f"--junit-xml={report}", *arguments),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])},
            stdout=printing,
            stderr=printing,
        )
    try:
        await asyncio.wait_for(process.wait(), SUITE_SECONDS)
    except TimeoutError:
        pytest.fail(f"the suite did not end within {SUITE_SECONDS:.0f} s; it printed: {output.read_text()[-4000:]}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    if report.exists():
        (suite,) = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 -- written by our own pytest
        counts = {name: int(suite.get(name, 0)) for name in counts}
    return process.returncode or 0, counts, output.read_text()


async def logged_in(admin: TelegramAdmin) -> set[str]:
    """The usernames of those who have a session."""
    names = {account.id: account.username for account in await admin.accounts()}
    return {names[s.account_id] or "" for s in await admin.sessions() if s.account_id in names}


async def test_the_whole_suite_passes_against_a_server_that_is_given_by_its_address(tmp_path: Path) -> None:
    (tmp_path / "accounts.yaml").write_text(yaml.safe_dump(ACCOUNTS))
    async with telegram_server(tmp_path / "telegram", accounts=tmp_path / "accounts.yaml") as server:
        code, counts, printed = await run_suite(
            *(tmp_path, SUITE, "--telegram-address", f"{server.host}:{server.port}"),
            *("--telegram-public-key", str(server.public_key_path)),
            *("--telegram-accounts", str(tmp_path / "accounts.yaml")),
        )
        assert code == 0, printed
        assert counts["tests"] > 30
        assert (counts["failures"], counts["errors"], counts["skipped"]) == (0, 0, 0)
        everybody = {account["username"] for kind in ACCOUNTS.values() for account in kind}
        assert await logged_in(server.admin) == everybody


async def test_without_an_address_the_suite_starts_a_server_which_this_run_forbids(tmp_path: Path) -> None:
    code, counts, printed = await run_suite(tmp_path, f"{SUITE}/test_people.py")
    assert code == 1, printed
    assert counts["errors"] == counts["tests"] > 0
    assert "this run may start no process" in printed


async def test_an_address_without_key_or_accounts_is_told_what_is_missing(tmp_path: Path) -> None:
    code, _, printed = await run_suite(tmp_path, f"{SUITE}/test_people.py", "--telegram-address", "127.0.0.1:1")
    assert code != 0
    assert "--telegram-address needs --telegram-public-key FILE as well" in printed
