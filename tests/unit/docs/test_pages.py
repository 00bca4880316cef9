"""Promises of the pages for people: what they link, name and show is there."""

import re
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from typer.core import TyperGroup

from botfleet.effective import effective
from botfleet.manifest import parse_bot
from botfleet.spec import EgressRule, TelegramBotSpec
from botfleet_operator.egress import Network, beyond
from botfleet_tools.images.catalog import CATALOG
from botfleet_tools.images.cli import app as images_cli
from botrunner.main import cli as botrunner_cli
from tests.unit.core.test_spec import MINIMAL

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\(((?!https?:|mailto:)[^)\s]+)\)")


def ids(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def anchors(page: Path) -> set[str]:
    """Of its headings, as they are made where the repository is read."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = CODE.sub("``", page.read_text())  # what stands in code is no link
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@cache
def existing_tests() -> frozenset[str]:
    """By name."""
    texts = (path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    return frozenset(name for text in texts for name in re.findall(r"def (test_\w+)\(", text))


def named_tests(text: str) -> set[str]:
    """Those that a page, or a part of it, names."""
    return set(re.findall(r"`(test_\w+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    assert named_tests(page.read_text()) <= existing_tests()


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    lines = re.findall(r"^(?:    )?make ((?:[a-z-]+(?: |$))+)", text, re.MULTILINE)
    named = {target for line in lines for target in line.split()} | set(re.findall(r"`make ([a-z-]+)", text))
    assert named <= targets


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = set(LINK.findall((ROOT / "docs/README.md").read_text()))
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs"))
        assert name in listed or name == "README.md", name


def test_every_claim_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs/claims.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        assert re.search(r"`test_\w+`", row), row


def test_every_promise_of_the_readme_has_a_line_in_the_claims() -> None:
    promises = README.split("each line with its test in [docs/claims.md]")[1].split("\n\n")[1]
    bold = [words.rstrip(".") for words in re.findall(r"^\* \*\*(.+?)\*\*", promises, re.MULTILINE)]
    assert len(bold) == promises.count("\n* ") + 1 >= 7
    claims = (ROOT / "docs/claims.md").read_text()
    for promise in bold:
        for part in re.split(r", and (?=`)", promise):
            assert re.search(rf"^\| {re.escape(part)}", claims, re.MULTILINE), part


def test_one_name_is_one_test_where_a_page_names_it_without_its_path() -> None:
    places: dict[str, list[str]] = {}
    for path in (ROOT / "tests").rglob("*.py"):
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE):
            places.setdefault(name, []).append(str(path.relative_to(ROOT)))
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text())}
    # Written once for the store, once for what the API server says, and the like: the same promise, kept in two tiers.
    twice = {name: places[name] for name in named if len(places[name]) > 1}
    assert {name: len({path.split("/")[1] for path in paths}) for name, paths in twice.items()} == dict.fromkeys(
        twice, 2
    )


def test_the_manifest_of_the_readme_is_the_example() -> None:
    (shown,) = re.findall(r"```yaml\n(apiVersion.*?)```", README, re.DOTALL)
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "examples/concierge.yaml").read_text())


def test_the_spec_of_the_page_about_models_is_one_with_a_budget_in_money() -> None:
    (shown,) = re.findall(r"```yaml\n(spec:.*?)```", (ROOT / "docs/models.md").read_text(), re.DOTALL)
    spec = {**MINIMAL["spec"], **yaml.safe_load(shown)["spec"]}
    whole = effective(parse_bot({**MINIMAL, "spec": spec}, "the page").spec)
    assert (len(whole.model.fallbacks), whole.limits.budget.micros) == (2, 3_000_000)


def test_the_model_in_the_cluster_that_one_page_shows_is_allowed_by_the_values_that_the_other_shows() -> None:
    (shown,) = re.findall(r"```yaml\n(# a part of spec\n.*?)```", (ROOT / "docs/models.md").read_text(), re.DOTALL)
    (values,) = re.findall(
        r"```yaml values\n(networkPolicies:.*?)```", (ROOT / "docs/install.md").read_text(), re.DOTALL
    )
    asked = effective(TelegramBotSpec.model_validate({**MINIMAL["spec"], **yaml.safe_load(shown)}))
    allowed = yaml.safe_load(values)["networkPolicies"]["bots"]["allowedEgress"]
    network = Network(allowed=tuple(EgressRule.model_validate(rule) for rule in allowed))
    assert asked.egress
    assert beyond(asked.egress, network, "hotel") == []


def test_the_values_of_the_readme_are_valid() -> None:
    schema = yaml.safe_load((ROOT / "charts/botfleet/values.schema.json").read_text())
    blocks = re.findall(r"```yaml values\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        jsonschema.validate(yaml.safe_load(block), schema, jsonschema.Draft7Validator)


def test_the_secrets_of_the_readme_are_those_that_the_example_names() -> None:
    spec = yaml.safe_load((ROOT / "examples/concierge.yaml").read_text())["spec"]
    account, model = spec["account"], spec["model"]
    token, key = account["botTokenSecretRef"], model["apiKeySecretRef"]
    app = account["apiCredentialsSecretRef"]["name"]
    wanted = {f"{app}/api-id", f"{app}/api-hash", f"{token['name']}/{token['key']}", f"{key['name']}/{key['key']}"}
    assert set(re.findall(r"^nano ~/secrets/(\S+)$", README, re.MULTILINE)) == wanted
    made = set(re.findall(r"create secret generic (\S+) --from-file=\$HOME/secrets/(\S+)", README))
    assert made == {(name, name) for name in (app, token["name"], key["name"])}


def test_the_programs_that_the_readme_calls_are_installed_by_make_venv() -> None:
    called = set(re.findall(r"^\.venv/bin/([\w-]+)", README, re.MULTILINE))
    assert called
    scripts = "".join((ROOT / part / "pyproject.toml").read_text() for part in ("botrunner", "operator", "tools"))
    for program in called:
        assert re.search(rf"^{re.escape(program)} = ", scripts, re.MULTILINE), program


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_the_commands_that_a_page_calls_understand_their_words(page: Path) -> None:
    programs = {"botrunner": botrunner_cli, "botfleet-images": images_cli}
    called = re.findall(r"(?:^\.venv/bin/|`)(botrunner|botfleet-images) ([a-z][^\n`]*)", page.read_text(), re.MULTILINE)
    assert called
    for program, words in called:
        commands = typer.main.get_command(programs[program])
        assert isinstance(commands, TyperGroup)
        name, *arguments = words.split()
        command = commands.commands[name]
        # Parsed and not run: what it does not know, or misses, is an error.
        command.make_context(name, arguments)
        assert not set(arguments) & set(CATALOG) - {"runner", "operator"}, "the images that a user's cluster needs"


def test_the_columns_of_the_readme_are_those_of_the_crd() -> None:
    crd = yaml.safe_load((ROOT / "crds/telegrambots.yaml").read_text())
    columns = [c["name"] for c in crd["spec"]["versions"][0]["additionalPrinterColumns"] if not c.get("priority")]
    (shown,) = re.findall(r"^ +NAMESPACE +NAME +(.*)$", README, re.MULTILINE)
    assert [column.upper() for column in columns] == re.split(r" {2,}", shown.strip())
