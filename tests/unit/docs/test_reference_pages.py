"""Promises of docs/settings.md and docs/metrics.md: they tell what the programs read and count, all of it, and nothing else."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from botfleet_operator import settings as operator_settings
from botfleet_operator.metrics import Metrics as OperatorMetrics
from botfleet_tools import reference_pages
from botrunner.metrics import Metrics as RunnerMetrics

ROOT = Path(__file__).parents[3]
SETTINGS = (ROOT / "docs/settings.md").read_text()
METRICS = (ROOT / "docs/metrics.md").read_text()


def section(page: str, title: str) -> str:
    return page.split(f"## {title}", 1)[1].split("\n## ", 1)[0]


def test_the_pages_are_the_generated_ones() -> None:
    assert reference_pages.settings() == SETTINGS, "run: make generate"
    assert reference_pages.metrics() == METRICS, "run: make generate"


def test_every_variable_that_the_runner_reads_is_explained() -> None:
    code = (ROOT / "botrunner/botrunner/config.py").read_text()
    read = {f"BOTFLEET_{key}" for key in re.findall(r'(?:text|path)\("([A-Z_]+)"\)', code)}
    assert read == {row[0].strip("`") for row in reference_pages.runner_rows()}
    assert read <= set(re.findall(r"BOTFLEET_[A-Z_]+", section(SETTINGS, "The runner")))


def test_every_variable_of_operator_and_migrations_is_explained() -> None:
    told = set(re.findall(r"BOTFLEET_[A-Z_]+", section(SETTINGS, "The operator")))
    assert {f"BOTFLEET_{name.upper()}" for name in operator_settings.Settings.model_fields} <= told
    code = (ROOT / "operator/botfleet_operator/migrate.py").read_text()
    assert set(reference_pages.MIGRATE) == set(re.findall(r'"(BOTFLEET_[A-Z_]+)"', code))


def exposed(registry: CollectorRegistry, prefix: str) -> set[str]:
    families = [family for family in registry.collect() if family.name.startswith(prefix)]
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def test_every_metric_that_is_exposed_is_explained_and_no_other() -> None:
    for title, registry in (("The runner", RunnerMetrics().registry), ("The operator", OperatorMetrics().registry)):
        prefix = f"botfleet_{title.split()[-1]}_"
        told = set(re.findall(rf"^\| `({prefix}\w+)`", section(METRICS, title), re.MULTILINE))
        assert told == exposed(registry, prefix)


def test_every_word_that_a_reconcile_can_be_counted_under_is_named() -> None:
    code = (ROOT / "operator/botfleet_operator/reconcile.py").read_text()
    words = set(re.findall(r'(?:return|result =) "(\w+)"', code))
    (row,) = [line for line in METRICS.splitlines() if "botfleet_operator_reconciles_total" in line]
    assert words == set(re.findall(r"\w+", row.split("`result`:")[1]))
