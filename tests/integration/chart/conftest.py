"""Why: the chart is tested as Helm renders it, never as its templates read."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet_tools.binaries import Program, resolve
from botfleet_tools.servers import ApiServer

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "botfleet"
SCENARIOS = Path(__file__).parent / "scenarios"
HELM_SECONDS = 150  # this runs aside
POD_KINDS = ("Deployment", "StatefulSet", "Job")

Object = dict[str, Any]


class HelmError(Exception):
    """Helm refused; the message is what it said."""


class Chart:
    """The chart, through a Helm that sees nobody's own configuration."""

    def __init__(self, helm: Path, home: Path) -> None:
        self.path = CHART
        self._helm = helm
        self._texts: dict[str, str] = {}
        folders = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        self._environment = {**os.environ, **folders, "HOME": str(home)}

    def helm(self, *argv: str, values: Any = None) -> str:
        """Run Helm with these values; its output.

        Raises:
            HelmError: Helm said no.
        """
        command = [str(self._helm), *argv]
        if values is not None:
            command += ["--values", "-"]
        done = subprocess.run(
            command,
            input=yaml.safe_dump(values),
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            timeout=HELM_SECONDS,
        )
        if done.returncode != 0:
            raise HelmError(done.stdout + done.stderr)
        return done.stdout

    def text(self, values: Any = None, *, release: str = "botfleet", namespace: str = "botfleet") -> str:
        """The manifests as text; the same question is asked once."""
        question = yaml.safe_dump([values or {}, release, namespace])
        if question not in self._texts:
            self._texts[question] = self.rendered_anew(values, release=release, namespace=namespace)
        return self._texts[question]

    def rendered_anew(self, values: Any = None, *, release: str = "botfleet", namespace: str = "botfleet") -> str:
        """The manifests as text, from Helm."""
        return self.helm("template", release, str(self.path), "--namespace", namespace, values=values or {})

    def render(self, values: Any = None, *, release: str = "botfleet", namespace: str = "botfleet") -> list[Object]:
        """The manifests as objects, in Helm's order."""
        documents = yaml.safe_load_all(self.text(values, release=release, namespace=namespace))
        return [document for document in documents if document]


def scenario(name: str) -> Object:
    """The values of a scenario; `dev` are those of the development cluster."""
    path = CHART / "ci" / "dev-values.yaml" if name == "dev" else SCENARIOS / f"{name}.yaml"
    values: Object = yaml.safe_load(path.read_text())
    return values


SCENARIO_NAMES = ("default", "namespaced", "external", "throwaway", "dev")


@pytest.fixture(params=SCENARIO_NAMES)
def scenario_name(request: pytest.FixtureRequest) -> str:
    """Each of the installations that are compared and applied as a whole."""
    return str(request.param)


@pytest.fixture
def scenario_values(scenario_name: str) -> Object:
    """Their values."""
    return scenario(scenario_name)


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Helm and the chart."""
    return Chart(resolve(Program.HELM), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    """A real API server with RBAC, without controllers."""
    with ApiServer("1.34") as server:
        yield server


@pytest.fixture(scope="session", params=["1.34", "1.36"])
def any_api(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """The oldest and the newest version that tests have."""
    if request.param == "1.34":
        yield request.getfixturevalue("api")
        return
    if reason := ApiServer.unavailable(request.param):
        pytest.skip(reason)
    with ApiServer(request.param) as server:
        yield server
