"""What the README shows of the demo is what the code says: its people, its bots, their answers and the table of the fleet."""

import re
from pathlib import Path
from typing import Any

import yaml

from botfleet.conditions import Phase
from botfleet.defaults import BUILT_IN
from botfleet.effective import effective
from botfleet.manifest import parse_bot
from botfleet.store.rows import HistoryRow
from botfleet_simulator.model.answers import Question, answer, load
from botfleet_tools.demo.cluster_demo import EXAMPLES, SCRIPT
from botfleet_tools.platform.simulated import PEOPLE
from botrunner.conversation import texts
from botrunner.conversation.prompt import assemble

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
MANIFESTS = {name: yaml.safe_load((ROOT / f"examples/{name}.yaml").read_text()) for name in EXAMPLES}
SAYS = re.compile(r" +(\w+) → @(\w+)_bot: (.+)")


def transcript() -> list[tuple[str, str, str, str]]:
    """Who said what to whom, and the answer without its line breaks and its time."""
    shown = README.split("and a conversation with each bot. Of the first:\n")[1].split("\n(")[0]
    found: list[list[str]] = []
    for line in shown.splitlines():
        if said := SAYS.fullmatch(line):
            found.append([*said.groups(), ""])
        elif found:
            found[-1][3] += f" {line}"
    talked = []
    for person, bot, line, reply in found:
        name, _, text = reply.strip().partition(": ")
        assert name == f"@{bot}_bot"
        talked.append((person, bot, line, " ".join(re.sub(r"\(\d+\.\d s\)", "", text).split())))
    return talked


def simulated(manifest: dict[str, Any], line: str) -> str:
    """The simulated model's answer to a line, asked as the runner asks."""
    spec = effective(parse_bot(manifest, "here").spec)
    earlier: list[HistoryRow] = []
    asked = [
        (str(message["role"]), str(message["content"])) for message in assemble(spec.persona.prompt, earlier, [line])
    ]
    return answer(load(None), Question(asked, key="sk", model=spec.model.name))


def test_the_conversation_is_one_that_the_demo_holds_with_the_answers_that_it_gets() -> None:
    talked = transcript()
    assert len(talked) == len(re.findall(r"^ +\w+ → @", README, re.MULTILINE)) >= 2
    seen = set()
    for person, bot, line, reply in talked:
        assert person == dict(zip(SCRIPT, PEOPLE, strict=False))[bot]
        assert line in SCRIPT[bot]
        said = simulated(MANIFESTS[bot], line)
        expected = said if bot in seen else texts.disclosed(said)
        assert reply == " ".join(expected.split())
        seen.add(bot)


def test_the_lines_are_in_the_order_of_the_demo() -> None:
    for bot, script in SCRIPT.items():
        places = [script.index(line) for _, to, line, _ in transcript() if to == bot]
        assert places == sorted(places)


def test_the_seconds_are_the_debounce_of_the_example() -> None:
    assert "conversation" not in MANIFESTS["concierge"]["spec"]
    assert BUILT_IN["conversation"]["debounceSeconds"] == 2.0
    assert "Two of these seconds are the debounce" in README
    assert all(float(seconds) > 2 for seconds in re.findall(r"\((\d+\.\d) s\)", README))


def test_the_fleet_of_the_readme_is_the_demos() -> None:
    (table,) = re.findall(r"^ +NAMESPACE.*\n((?: +\w+ +\w+ .*\n)+)", README, re.MULTILINE)
    rows = [line.split() for line in table.splitlines()]
    expected = [
        (MANIFESTS[name]["metadata"]["namespace"], name, Phase.RUNNING, "True", "True", f"{name}_bot",
         MANIFESTS[name]["spec"]["model"]["name"])
        for name in EXAMPLES
    ]  # fmt: skip
    assert sorted(tuple(row[:7]) for row in rows) == sorted(expected)


def test_the_sentence_about_the_demo_is_true_of_its_bots() -> None:
    """That it shows their manifests is seen where it runs: tests/e2e/test_demo.py."""
    assert "`make demo` shows the three manifests that it applied and a conversation with each bot." in README
    assert len(EXAMPLES) == 3
    assert set(SCRIPT) == set(EXAMPLES)
    assert {bot for _, bot, _, _ in transcript()} == {EXAMPLES[0]}
    assert set(EXAMPLES) == {file.stem for file in (ROOT / "examples").glob("*.yaml")} - {"person"}
