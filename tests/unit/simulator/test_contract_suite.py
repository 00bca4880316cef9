"""The contract suite is written against Telegram: it imports Telethon, and nothing by which it could look into the simulator."""

import ast
import sys
from pathlib import Path

import pytest

CONTRACT = Path(__file__).parents[2] / "integration/simulator/contract"
FILES = sorted(CONTRACT.glob("*.py"))
LIBRARIES = {"pytest", "pytest_asyncio", "telethon", "yaml"} | (
    sys.stdlib_module_names - {"importlib", "pkgutil", "runpy"}
)
# What starts a server where none is given. It gives an address, a key and login codes: what a person with accounts has.
LAUNCHER = {"conftest.py": {"botfleet_simulator.launch.telegram_server"}}


def imported(source: str) -> set[str]:
    """Every name that a module imports, wherever in it; `.name` is of the suite's own folder."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Name) and node.id in {"__import__", "exec", "eval"}:
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and node.attr == "importorskip":
            found.add(node.attr)
    return found


def foreign(source: str, file: str, own: set[str]) -> set[str]:
    """What of it is neither a library's, nor the suite's own, nor the launcher."""
    outside = {name for name in imported(source) if name.split(".")[0] not in LIBRARIES} - LAUNCHER.get(file, set())
    return {name for name in outside if not (name.startswith(".") and name.split(".")[1] in own)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_of_the_contract_suite_sees_no_insides(file: Path) -> None:
    assert foreign(file.read_text(), file.name, {other.stem for other in FILES}) == set()


def test_the_whole_suite_was_looked_at() -> None:
    assert {"conftest.py", "test_login.py", "test_private_chats.py"} <= {file.name for file in FILES}
    assert not [folder for folder in CONTRACT.iterdir() if folder.is_dir() and folder.name != "__pycache__"]


@pytest.mark.parametrize(
    "source",
    [
        "import botfleet_simulator",
        "from botfleet_simulator.telegram.world import World",
        "def late():\n    from botfleet_simulator.client import TelegramAdmin",
        "from ..conftest import Bench",
        "from tests.integration.simulator.conftest import Bench",
        "from botfleet.spec import TelegramBot",
        "import importlib",
        "world = __import__('botfleet_simulator')",
        "launch = pytest.importorskip('botfleet_simulator.launch')",
    ],
)
def test_a_look_inside_would_be_seen(source: str) -> None:
    assert foreign(source, "conftest.py", {"waiting"})


def test_the_launcher_is_for_the_fixtures_alone() -> None:
    source = "from botfleet_simulator.launch import telegram_server"
    assert foreign(source, "conftest.py", set()) == set()
    assert foreign(source, "test_login.py", set())
