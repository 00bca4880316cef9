"""The security page claims nothing for which it names no test, and each test that it names is where it says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/design/security.md").read_text()
CLAIMING = ("The database", "Redis", "Secrets", "Kubernetes", "Network")
MARK = re.compile(r"\[\^([a-z-]+)\](?!:)")
NOTES = dict(re.findall(r"^\[\^([a-z-]+)\]: (.+(?:\n    .+)*)", PAGE, re.MULTILINE))


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def claims(text: str) -> list[str]:
    """Every point of a list, row of a table and paragraph."""
    found = []
    for block in re.split(r"\n\n+", text.strip()):
        if block.startswith("* "):
            found += [f"* {point}" for point in re.split(r"^\* ", block, flags=re.MULTILINE)[1:]]
        elif block.startswith("|"):
            found += block.splitlines()[2:]
        else:
            found.append(block)
    return found


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_")}


def runs(file: Path) -> bool:
    """Whether pytest meets the file: by its name, or because a test module takes all of it over."""
    if file.name.startswith("test_"):
        return True
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    taken = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    return any(re.search(rf"^from {re.escape(module)} import \*", text, re.MULTILINE) for text in taken)


@pytest.mark.parametrize("title", CLAIMING)
def test_every_claim_has_a_mark(title: str) -> None:
    assert claims(section(title))
    for claim in claims(section(title)):
        assert MARK.search(claim), claim


def test_every_mark_is_explained_and_every_explanation_is_used() -> None:
    assert set(MARK.findall(PAGE.split("## What shows it")[0])) == set(NOTES)


@pytest.mark.parametrize("mark", NOTES)
def test_every_test_that_is_named_is_there_and_runs(mark: str) -> None:
    if NOTES[mark].startswith("no test: "):
        assert mark == "advice", "what the product does has a test"
        return
    for entry in NOTES[mark].split(","):
        path, _, name = entry.strip().partition("::")
        file = ROOT / path
        assert file.exists(), path
        assert name in names_in(file), entry
        assert runs(file), path


def test_the_sections_of_the_page_are_known_to_this_test() -> None:
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert titles == ["What is protected, from whom", *CLAIMING, "What is not promised", "What shows it"]
