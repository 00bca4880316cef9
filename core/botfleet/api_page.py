"""Why: docs/api-reference.md is written from the CRDs, so the page and `kubectl explain` cannot differ.

It only renders. What a field means is said where it is defined.
"""

from collections.abc import Iterator
from typing import Any

from botfleet.crd import crd, defaults_crd

_INTRO = """\
# API reference

<!-- Generated from the CRDs: make generate -->

Group `botfleet.dev`, version `v1alpha1`. `kubectl explain telegrambot.spec --recursive` shows the same. **Bold** fields have to be there
where their parent is. `[]` is an element of a list, `{}` a value of a map. A field that is left out takes the value of the
[defaults](defaults.md) of its namespace, then of the installation, then the one that its description names.
"""


def render() -> str:
    """The page, as Markdown."""
    lines = [_INTRO]
    for definition in (crd(), defaults_crd()):
        names, version = definition["spec"]["names"], definition["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        short = ", ".join(f"`{name}`" for name in names["shortNames"])
        lines += [
            f"## {names['kind']}",
            "",
            f"{schema['description']} `kubectl get {names['plural']}`, or {short}.",
            "",
        ]
        for part in ("spec", "status"):
            if part in schema["properties"]:
                lines += [f"### {names['kind']} {part}", ""]
                lines += _tables(part, schema["properties"][part])
        if rules := list(_rules("", schema)):
            lines += [
                f"### What a {names['kind']} is refused for, beyond types and limits",
                "",
                "| field | what to write |",
                "|---|---|",
            ]
            lines += [f"| {_code(path)} | {_cell(message)} |" for path, message in rules]
            lines.append("")
    return "\n".join(lines)


def _tables(part: str, schema: dict[str, Any]) -> Iterator[str]:
    """One table of the fields directly below; then one of each of these that has fields itself."""
    plain = {name: child for name, child in schema["properties"].items() if not _below(child)}
    if plain:
        yield from _table(part, plain, schema)
    for name, child in schema["properties"].items():
        if _below(child):
            yield f"#### {part}.{name}"
            yield ""
            if about := child.get("description"):
                yield about
                yield ""
            yield from _table(f"{part}.{name}", dict(_fields(child)), child)


def _table(path: str, fields: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"| field of `{path}` | type | what it is |", "|---|---|---|")
    required = set(schema.get("required") or ())
    for name, child in fields.items():
        field = f"**`{name}`**" if name in required or child.get("_required") else f"`{name}`"
        yield f"| {field} | {_cell(_type(child))} | {_cell(child.get('description') or '')} |"
    yield ""


def _fields(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field below, by its path from here."""
    inner, mark = _inner(schema)
    required = set(inner.get("required") or ())
    for name, child in (inner.get("properties") or {}).items():
        path = f"{prefix}{mark}{'.' if prefix or mark else ''}{name}"
        yield path, {**child, "_required": name in required}
        yield from _fields(child, path)


def _inner(schema: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What fields are in, and how a path says so."""
    if "items" in schema:
        return schema["items"], "[]"
    if isinstance(schema.get("additionalProperties"), dict):
        return schema["additionalProperties"], "{}"
    return schema, ""


def _below(schema: dict[str, Any]) -> bool:
    return "properties" in _inner(schema)[0]


def _type(schema: dict[str, Any]) -> str:
    """The type with its limits, in words."""
    inner, mark = _inner(schema)
    if schema.get("x-kubernetes-int-or-string"):
        name = "integer or string"
    elif mark:
        name = f"{'list' if mark == '[]' else 'map'} of {_type(inner)}"
    else:
        name = str(schema.get("format") or schema.get("type") or "any")
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    limits = [
        f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "more than"),
            ("maximum", "to"),
            ("minLength", "at least"),
            ("maxLength", "at most"),
            ("minItems", "at least"),
            ("maxItems", "at most"),
            ("maxProperties", "at most"),
        )
        if key in schema and not isinstance(schema[key], bool)
    ]
    pattern = [f"like `{schema['pattern']}`"] if "pattern" in schema else []
    return ", ".join([name, *limits, *pattern])


def _rules(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations") or ():
        yield path or "the object", rule.get("message") or rule["rule"]
    inner, mark = _inner(schema)
    if mark:
        yield from _rules(f"{path}{mark}", inner)
    for name, child in (schema.get("properties") or {}).items():
        yield from _rules(f"{path}.{name}".lstrip("."), child)


def _code(path: str) -> str:
    return path if " " in path else f"`{path}`"


def _cell(text: str) -> str:
    """Within a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
