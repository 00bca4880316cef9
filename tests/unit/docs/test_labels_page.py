"""Promises of docs/labels-annotations.md: every label, annotation and finalizer that code or chart spells is in its tables, no other."""

import re
from pathlib import Path

import pytest

from botfleet_operator import names

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/labels-annotations.md").read_text()
DOMAINS = r"(?:botfleet\.dev|app\.kubernetes\.io|helm\.sh|argocd\.argoproj\.io|rbac\.authorization\.k8s\.io)"
NAME = re.compile(rf"(?<![\w./-])({DOMAINS}/[a-z][a-z-]*[a-z])(?!\w)")
SPELLED_IN = ("charts/botfleet/templates", "operator/botfleet_operator", "core/botfleet")


def rows(title: str) -> set[str]:
    """What stands in the first column of the tables below a heading."""
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return set(NAME.findall("\n".join(re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE))))


def spelled(*folders: str) -> set[str]:
    files = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {
        name for path in files if path.suffix in {".py", ".yaml", ".tpl"} for name in NAME.findall(path.read_text())
    }


def constants(*kinds: str) -> set[str]:
    return {value for name, value in vars(names).items() if name.startswith(kinds)}


def test_the_tables_have_every_name_that_is_spelled_anywhere_and_no_other() -> None:
    told = rows("What you may say") | rows("What the operator writes") | rows("What the chart writes")
    assert told == spelled(*SPELLED_IN)


def test_every_constant_of_the_operator_is_under_what_people_say_or_what_it_writes() -> None:
    told = rows("What you may say") | rows("What the operator writes")
    assert constants("LABEL_", "ANNOTATION_", "FINALIZER_") <= told
    assert {name for name in told if name.startswith("botfleet.dev/")} == constants(
        "LABEL_BOT", "LABEL_CREDENTIALS", "LABEL_PROMPT", "ANNOTATION_", "FINALIZER_"
    )
    said = {names.LABEL_CREDENTIALS, names.LABEL_PROMPT, names.ANNOTATION_ROTATE, names.ANNOTATION_PAUSED}
    assert rows("What you may say") == said


@pytest.mark.parametrize("kind", ["LABEL_", "ANNOTATION_", "FINALIZER_"])
def test_a_name_is_told_as_what_it_is(kind: str) -> None:
    word = kind.strip("_").lower()
    for name in constants(kind):
        (line,) = re.findall(
            rf"^\| `{re.escape(name)}` \| (.*?) \|", PAGE.split("## What the chart writes")[0], re.MULTILINE
        )
        assert word in line, name


def test_what_the_chart_writes_is_under_the_chart() -> None:
    theirs = spelled("charts/botfleet/templates") - constants("LABEL_BOT", "LABEL_CREDENTIALS", "LABEL_PROMPT")
    assert rows("What the chart writes") - {"argocd.argoproj.io/compare-options"} == theirs


def test_a_new_name_would_be_missed() -> None:
    assert NAME.findall('X = "botfleet.dev/new-name"') == ["botfleet.dev/new-name"]
    assert NAME.findall("apiVersion: botfleet.dev/v1alpha1, https://get.helm.sh/helm-v3") == []
