"""docs/simulator.md names every fault, option, setting and route that there is, and no fault that there is not."""

import re
from pathlib import Path

import pytest
from aiohttp import web

from botfleet_simulator.model import server as model
from botfleet_simulator.model.answers import load
from botfleet_simulator.model.app import AdminRoutes
from botfleet_simulator.telegram import seed
from botfleet_simulator.telegram import settings as telegram

TEXT = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"^#+ ", TEXT.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("title", "effects"),
    [("Faults of the Telegram server", telegram.EFFECTS), ("Faults of the model server", model.EFFECTS)],
)
def test_every_fault_and_its_options_are_documented(title: str, effects: dict[str, frozenset[str]]):
    rows = dict(re.findall(r"^\| `(\w+)`[ ∞]* \| (.*?) \|", section(title), flags=re.MULTILINE))
    assert set(rows) == set(effects)
    for effect, options in effects.items():
        for option in options:
            assert f"`{option}`" in rows[effect], (effect, option)


def test_every_setting_is_documented():
    for name in telegram.Settings.model_fields:
        assert f"`{name}`" in section("Settings"), name


def test_the_answers_example_is_taken():
    (example,) = re.findall(r"```yaml\n(keys:.*?)```", TEXT, flags=re.DOTALL)
    assert load(example).keys == ["sk-one", "sk-two"]


def test_the_accounts_example_is_taken(tmp_path: Path):
    (example,) = re.findall(r"```yaml\n(bots:.*?)```", TEXT, flags=re.DOTALL)
    path = tmp_path / "accounts.yaml"
    path.write_text(example, encoding="utf-8")
    assert seed.read(path).bots[0].username == "concierge_bot"


def test_every_route_of_the_model_servers_admin_port_is_documented():
    app: web.Application = AdminRoutes(model.ModelServer(load(None), None)).make_app()
    for route in app.router.routes():
        if route.resource is not None and route.resource.canonical != "/requests/last":
            assert route.resource.canonical in TEXT, route
