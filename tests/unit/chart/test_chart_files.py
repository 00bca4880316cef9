"""Promises of the chart's files that need no Helm: copies are copies, values are described, and nothing unknown is let in."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from botfleet.defaults import BUILT_IN

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "botfleet"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
# Free by nature: Kubernetes' own objects, labels, a part of a spec, Helm's own.
FREE = ("anyObject", "objects/items", "stringMap", "quantities", "global", "settings")


def test_the_crds_of_the_chart_are_the_generated_ones() -> None:
    template = (CHART / "templates" / "crd.yaml").read_text()
    for generated in (ROOT / "crds").glob("*.yaml"):
        assert (CHART / "files" / generated.name).read_bytes() == generated.read_bytes(), "run: make generate"
        assert f'"files/{generated.name}"' in template


def test_the_first_start_script_of_the_database_is_the_store_s_own() -> None:
    own = (ROOT / "core" / "botfleet" / "store" / "bootstrap.sql").read_bytes()
    copy = (CHART / "files" / "postgres" / "bootstrap.sql").read_bytes()
    assert copy == own, "run: cp core/botfleet/store/bootstrap.sql charts/botfleet/files/postgres/bootstrap.sql"


def test_the_schema_is_a_schema_and_takes_the_defaults() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA, jsonschema.Draft7Validator)


def test_the_development_cluster_s_values_are_valid_and_pull_nothing() -> None:
    values = yaml.safe_load((CHART / "ci" / "dev-values.yaml").read_text())
    jsonschema.validate(values, SCHEMA, jsonschema.Draft7Validator)
    images = [values["bots"]["image"], values["operator"]["image"]]
    images += [values[server]["bundled"]["image"] for server in ("postgres", "redis")]
    assert {image["pullPolicy"] for image in images} == {"Never"}
    assert all(image["repository"].startswith("localhost/") for image in images)


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if schema.get("type") == "object":
        yield path, schema
    for group in ("properties", "definitions"):
        for name, inner in schema.get(group, {}).items():
            yield from objects(inner, f"{path}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from objects(schema["items"], f"{path}/items")


def test_no_object_of_the_schema_takes_a_key_that_it_does_not_know() -> None:
    for path, schema in objects(SCHEMA):
        if not path.endswith(FREE):
            assert schema.get("additionalProperties") is False, path


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return SCHEMA["definitions"][reference.rpartition("/")[2]] if reference else schema


def missing(schema: dict[str, Any], values: Any, path: str) -> Iterator[str]:
    known = resolved(schema).get("properties", {})
    for name, inner in known.items():
        here = f"{path}.{name}" if path else name
        if name not in values:
            yield here
        elif isinstance(values[name], dict):
            yield from missing(inner, values[name], here)


def test_every_value_that_the_schema_knows_is_in_values_yaml() -> None:
    absent = set(missing(SCHEMA, VALUES, ""))
    assert {path for path in absent if not re.search(r"(^global|resources\.(claims|limits|requests))$", path)} == set()


def test_every_top_level_value_and_choice_is_explained() -> None:
    """A comment stands before each block, so that `helm show values` is the reference."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"^(commonLabels|imagePullSecrets|bots|jobs):", line):
            assert lines[number - 1].startswith("#"), line
    for key in (
        "install",
        "clusterScoped",
        "aggregateToUserRoles",
        "watchNamespaces",
        "maximum",
        "settings",
        "sslMode",
    ):
        number = next(index for index, line in enumerate(lines) if re.match(rf"^ +{key}:", line))
        assert lines[number - 1].strip().startswith("#"), key


@pytest.mark.parametrize("path", sorted(CHART.glob("templates/**/*.*")), ids=lambda path: path.name)
def test_a_template_is_small_and_says_why(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 200


def test_the_endpoint_that_is_allowed_where_nothing_is_listed_is_the_built_in_default() -> None:
    own = (CHART / "templates" / "admission" / "_allowlists.tpl").read_text()
    assert f'list "{BUILT_IN["model"]["baseUrl"]}"' in own


def test_the_password_files_are_read_by_psql_and_not_by_the_shell() -> None:
    script = (CHART / "files" / "postgres" / "roles.sh").read_text()
    outside, _, inside = script.partition("<<'SQL'")
    assert "$(cat" not in script
    assert "`cat" not in outside
    assert inside.count("`cat /run/botfleet/postgres/") == 2
