"""Promises of the console scripts: to whoever stops a pod that has only just started, and of what a bot has in memory."""

import importlib
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = {
    name: target
    for folder in ("botrunner", "operator")
    for name, target in tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["scripts"].items()
}
# The script, where whatever it loads next takes a minute to load.
LOADING = """
import importlib.abc, sys, time
module, function = {target!r}.split(":")
start = __import__(module, fromlist=[function])

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        print("loads", name, flush=True)
        time.sleep(60)

sys.meta_path.insert(0, Slow())
getattr(start, function)()
"""


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_program_that_still_loads_is_ended_by_sigterm_also_as_the_first_process_of_a_container(name: str) -> None:
    command = [sys.executable, "-c", LOADING.format(target=SCRIPTS[name])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith(
            "loads structlog" if name == "botrunner" else "loads botfleet_operator."
        )
        program.send_signal(signal.SIGTERM)
        # Minus SIGTERM would be the kernel's own doing, which it does not do for a container's first process.
        assert program.wait(30) == 128 + signal.SIGTERM


def test_a_bot_that_runs_has_no_library_in_memory_that_draws_pages(tmp_path: Path) -> None:
    (tmp_path / "bot.yaml").write_text("nothing: here")
    tried = """
import runpy, sys
sys.argv = ["botrunner", "run", "-f", "bot.yaml"]
try:
    runpy.run_module("botrunner.start", run_name="__main__")
except SystemExit as ended:
    import botrunner.app
    print(ended.code, sorted({"rich", "pygments", "telethon"} & {name for name, found in sys.modules.items() if found}))
"""
    ended = subprocess.run([sys.executable, "-c", tried], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout == "2 ['telethon']\n"
    assert "bot.yaml" in ended.stderr


def test_every_installed_program_of_the_images_starts_like_that() -> None:
    installed = {point.name: point.value for point in entry_points(group="console_scripts")}
    for name, target in SCRIPTS.items():
        assert installed[name] == target, "run: make venv"
        module, _, function = target.partition(":")
        assert module.endswith(".start")
        assert callable(getattr(importlib.import_module(module), function))
