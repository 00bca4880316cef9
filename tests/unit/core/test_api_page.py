"""Promises of docs/api-reference.md, beyond being the generated one: it tells every field, and what a person has to write."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from botfleet.api_page import render
from botfleet.crd import crd, defaults_crd

PAGE = render()


def fields(schema: dict[str, Any]) -> Iterator[str]:
    inner = schema.get("items") or schema
    for name, child in (inner.get("properties") or {}).items():
        yield name
        yield from fields(child)


@pytest.mark.parametrize("definition", [crd(), defaults_crd()], ids=lambda one: one["spec"]["names"]["kind"])
def test_every_field_of_a_crd_has_a_row_with_its_type(definition: dict[str, Any]) -> None:
    section = PAGE.split(f"## {definition['spec']['names']['kind']}\n", 1)[1]
    told = re.findall(r"^\| \**`(?:[\w.\[\]{}]*\.)?(\w+)`\** \| (?:[^|\\]|\\.)+ \|", section, re.MULTILINE)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    wanted = [name for part in ("spec", "status") for name in fields(schema.get(part, {}))]
    parts = re.findall(r"^#### (?:spec|status)\.(\w+)$", section, re.MULTILINE)
    assert set(wanted) <= {*told, *parts}


def test_what_has_to_be_there_is_bold() -> None:
    assert "\n| **`type`** | `Bot` or `User` |" in PAGE
    assert "\n| `temperature` | number |" in PAGE


def test_no_row_is_broken_by_what_stands_in_it() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3, 4}
