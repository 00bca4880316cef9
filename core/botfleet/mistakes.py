"""Why: each mistake of a manifest is told by its field and by what to write instead, all of them at once.

It never tells the value that it refuses: that may be a secret which somebody put into the wrong place.
"""

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping: names with their values",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "string_type": "must be text; put it in quotes",
}
"""Pydantic's words are a programmer's; these are for whoever writes YAML."""

_SHOULD = ("Input should be", "String should", "List should", "Dictionary should")


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong. `where`: the file and document; `field`: its path, empty where it is about the whole."""

    where: str
    field: str
    told: str

    def __str__(self) -> str:
        """`where: field: what is wrong, and what to write`."""
        return ": ".join(part for part in (self.where, self.field, self.told) if part)


def mistakes_of(error: ValidationError, model: type[BaseModel], where: str) -> list[Mistake]:
    """One entry a mistake, in the order of the model's fields."""
    return [
        Mistake(where, ".".join(str(part) for part in one["loc"]) or "the object", _told(one, model))
        for one in error.errors(include_input=False, include_url=False, include_context=False)
    ]


def without_unknown(document: Mapping[str, Any], error: ValidationError) -> Any:
    """A copy of what was refused, without the fields that nothing knows."""
    rest = copy.deepcopy(dict(document))
    for one in error.errors(include_input=False, include_url=False, include_context=False):
        if one["type"] == "extra_forbidden":
            *parents, last = one["loc"]
            at: Any = rest
            for part in parents:
                at = at[part]
            at.pop(last, None)
    return rest


def _told(one: Any, model: type[BaseModel]) -> str:
    kind, path = one["type"], one["loc"]
    if kind == "extra_forbidden":
        return f"unknown field; {_instead_of(model, path)}"
    if kind == "missing":
        field = _field_at(model, path)
        return "is missing; " + (field.description if field and field.description else "write it")
    parent = _field_at(model, path)
    if kind in ("model_type", "model_attributes_type"):
        inner = _model_in(parent.annotation) if parent else None
        return "must hold fields: " + ", ".join(_names(inner)) if inner else "must hold fields"
    if kind in _WORDS:
        return _WORDS[kind]
    told = str(one["msg"]).removeprefix("Value error, ")
    for words in _SHOULD:
        told = told.replace(words, "must be" if words == "Input should be" else "must", 1)
    return told


def _instead_of(model: type[BaseModel], path: Sequence[Any]) -> str:
    """What somebody who wrote an unknown field most likely meant."""
    name = str(path[-1])
    homes = [home for home in _paths(model) if home.endswith(f".{name}") and home.startswith("spec.")]
    if len(homes) == 1:
        return f"did you mean {homes[0]}?"
    parent = _model_at(model, path[:-1])
    known = list(_names(parent)) if parent else []
    close = difflib.get_close_matches(name.lower(), [one.lower() for one in known], n=1)
    if close:
        meant = next(one for one in known if one.lower() == close[0])
        return f"did you mean {'.'.join(str(part) for part in (*path[:-1], meant))}?"
    return f"remove it; known here: {', '.join(known)}" if known else "remove it or correct its spelling"


def _names(model: type[BaseModel]) -> Iterator[str]:
    return (field.alias or name for name, field in model.model_fields.items())


def _paths(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = before + (field.alias or name)
        yield path
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _paths(inner, f"{path}.")


def _field_at(model: type[BaseModel], path: Sequence[Any]) -> FieldInfo | None:
    names = [part for part in path if isinstance(part, str)]
    parent = _model_at(model, names[:-1])
    if parent is None or not names:
        return None
    return next((field for name, field in parent.model_fields.items() if (field.alias or name) == names[-1]), None)


def _model_at(model: type[BaseModel], path: Sequence[Any]) -> type[BaseModel] | None:
    """What an object at this path is; positions in a list do not count."""
    at: type[BaseModel] | None = model
    for part in path:
        if at is None:
            return None
        if isinstance(part, str):
            fields = {field.alias or name: field for name, field in at.model_fields.items()}
            at = _model_in(fields[part].annotation) if part in fields else None
    return at


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one)) is not None), None)
