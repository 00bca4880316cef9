"""Why: one rule, written once, serves the API server (CEL in the CRD) and a standalone file (pydantic).

A rule never says only what is wrong: its message tells the owner what to write.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """A rule of one value or of one object; for a value it is used as an `Annotated` marker.

    Args:
        cel: the rule in Kubernetes' CEL, about `self`.
        message: what the owner should write instead.
        holds: the same rule in Python, about the parsed value.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]

    def _check(self, value: Any) -> Any:
        if not self.holds(value):
            raise ValueError(self.message)
        return value

    def as_validation(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.message}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        out = handler(schema)
        out.setdefault(VALIDATIONS, []).append(self.as_validation())
        return out


class Wire(BaseModel):
    """Base of everything that is read from YAML or JSON: camelCase outside, snake_case inside, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, str_strip_whitespace=False
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = [rule.message for rule in self.rules if not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(broken))
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        out = handler(schema)
        if cls.rules:
            handler.resolve_ref_schema(out).setdefault(VALIDATIONS, []).extend(r.as_validation() for r in cls.rules)
        return out

    def to_wire(self) -> dict[str, Any]:
        """The object as it stands in YAML or JSON; what was not said is not in it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
