"""Promises of docs/install.md: what it tells to write is what the chart knows."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from botfleet_operator.bootstrap import users_acl

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "botfleet"
PAGE = (ROOT / "docs" / "install.md").read_text()
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = "".join(path.read_text() for path in CHART.glob("templates/**/*.*"))


def test_the_values_that_it_shows_are_valid() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    blocks = re.findall(r"```yaml values\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        jsonschema.validate(yaml.safe_load(block), schema, jsonschema.Draft7Validator)


def test_the_values_that_it_names_exist() -> None:
    named = set(
        re.findall(r"`((?:crd|rbac|bots|operator|jobs|postgres|redis|networkPolicies)\.[A-Za-z.]+)(?:: [^`]*)?`", PAGE)
    )
    assert named
    for path in named:
        value: Any = VALUES
        for part in path.split("."):
            assert part in value, path
            value = value[part]


def test_the_log_settings_that_it_recommends_are_those_of_the_bundled_server() -> None:
    recommended = re.findall(r"`(log_[a-z_]+)=([-a-z0-9]+)`", PAGE)
    assert len(recommended) == 5
    for name, value in recommended:
        assert f'"{name}" "{value}"' in TEMPLATES


def test_the_files_that_it_links_exist() -> None:
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link


def test_the_redis_user_that_it_tells_to_make_is_the_one_that_bootstrap_makes() -> None:
    made = users_acl("botfleet-operator", "word").splitlines()[-1].split()
    (told,) = re.findall(r"^ACL SETUSER (.*)$", PAGE, re.MULTILINE)
    assert told.split()[3:] == made[4:]
