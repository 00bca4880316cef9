"""The programs that the cluster is made of are the pinned ones, and kind has the options that it is called with.

kind cannot run without Docker; that its command line has what is used of it can be seen anywhere.
"""

import pytest

from botfleet_tools.binaries import NODE_PROGRAMS, PINS, Program, resolve
from botfleet_tools.binaries.pins import fits, parse_version
from botfleet_tools.run import capture

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3000)]  # the first use of a program may build it

ANSWER_SECONDS = 60.0


@pytest.mark.parametrize("program", [*NODE_PROGRAMS, Program.HELM, Program.KIND])
def test_a_program_says_the_version_that_is_pinned(program: Program) -> None:
    pin = PINS[program]
    said = capture([resolve(program), *pin.version_argv], deadline_seconds=ANSWER_SECONDS)
    assert fits(pin, parse_version(said)), said


def test_helm_takes_charts_for_a_kubernetes_that_exists() -> None:
    said = capture([resolve(Program.HELM), "version"], deadline_seconds=ANSWER_SECONDS)
    assert 'KubeClientVersion:"v1.34"' in said


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        (("create", "cluster"), ("--name", "--kubeconfig", "--wait")),
        (("export", "kubeconfig"), ("--name", "--kubeconfig")),
        (("delete", "cluster"), ("--name", "--kubeconfig")),
        (("load", "image-archive"), ("--name",)),
        (("get", "clusters"), ()),
    ],
)
def test_kind_has_the_options_that_it_is_called_with(verb: tuple[str, ...], options: tuple[str, ...]) -> None:
    text = capture([resolve(Program.KIND), *verb, "--help"], deadline_seconds=ANSWER_SECONDS)
    assert all(f"{option} " in text for option in options), text
