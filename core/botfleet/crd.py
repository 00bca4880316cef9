"""Why: the CRDs are generated from the models, so the API server, standalone files and REST refuse the same things.

They must never hold a default: the API server would write it into every object, and "not said" would be lost.
"""

from typing import Any

import yaml

from botfleet.conditions import ConditionType
from botfleet.spec import (
    DEFAULTS_KIND,
    DEFAULTS_PLURAL,
    GROUP,
    KIND,
    PLURAL,
    VERSION,
    TelegramBot,
    TelegramBotDefaults,
)
from botfleet.spec.rules import Wire

_KEPT = {
    "type", "format", "description", "properties", "items", "required", "enum", "minimum", "maximum", "minLength",
    "maxLength", "pattern", "minItems", "maxItems", "maxProperties", "additionalProperties",
}  # fmt: skip


def _status_of(condition: ConditionType) -> str:
    return f'.status.conditions[?(@.type=="{condition.value}")].status'


PRINTER_COLUMNS: list[dict[str, str | int]] = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Ready", "type": "string", "jsonPath": _status_of(ConditionType.READY)},
    {"name": "Receiving", "type": "string", "jsonPath": _status_of(ConditionType.RECEIVING)},
    {"name": "Account", "type": "string", "jsonPath": ".status.account.username"},
    {"name": "Model", "type": "string", "jsonPath": ".spec.model.name"},
    {"name": "Last Reply", "type": "date", "jsonPath": ".status.lastReplyTime"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason', "priority": 1},
    {"name": "Model OK", "type": "string", "jsonPath": _status_of(ConditionType.MODEL_AVAILABLE), "priority": 1},
    {"name": "Unrestricted", "type": "string", "jsonPath": _status_of(ConditionType.UNRESTRICTED), "priority": 1},
    {"name": "In Budget", "type": "string", "jsonPath": _status_of(ConditionType.WITHIN_BUDGET), "priority": 1},
    {"name": "Pending", "type": "integer", "jsonPath": ".status.pendingMessages", "priority": 1},
]


DEFAULTS_COLUMNS = [
    {"name": "Model", "type": "string", "jsonPath": ".spec.model.name"},
    {"name": "Groups", "type": "string", "jsonPath": ".spec.access.groups"},
    {"name": "Tokens a Day", "type": "integer", "jsonPath": ".spec.limits.budget.tokensPerDay"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Base URL", "type": "string", "jsonPath": ".spec.model.baseUrl", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.workload.image", "priority": 1},
]


def crd() -> dict[str, Any]:
    """The CustomResourceDefinition of TelegramBot, ready to be written as YAML."""
    names = {"kind": KIND, "plural": PLURAL, "singular": "telegrambot", "shortNames": ["tgbot", "tgb"]}
    version = {
        "subresources": {"status": {}},
        "additionalPrinterColumns": PRINTER_COLUMNS,
        "schema": {"openAPIV3Schema": structural_schema()},
    }
    return _definition({**names, "categories": ["all"]}, version)


def defaults_crd() -> dict[str, Any]:
    """That of TelegramBotDefaults. It has no status: what took part stands in each bot's."""
    names = {"kind": DEFAULTS_KIND, "plural": DEFAULTS_PLURAL, "singular": DEFAULTS_PLURAL, "shortNames": ["tgbd"]}
    version = {
        "additionalPrinterColumns": DEFAULTS_COLUMNS,
        "schema": {"openAPIV3Schema": structural_schema(TelegramBotDefaults)},
    }
    return _definition(names, version)


def _definition(names: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": names["kind"], "listKind": f"{names['kind']}List", **names},
            "versions": [{"name": VERSION, "served": True, "storage": True, **version}],
        },
    }


def structural_schema(model: type[Wire] = TelegramBot) -> dict[str, Any]:
    """The model's JSON schema in the form that Kubernetes asks for (apiextensions.k8s.io/v1, "structural schema")."""
    document = model.model_json_schema(by_alias=True)
    schema = _structural(document, document["$defs"])
    # The API server owns apiVersion, kind and metadata: a schema may not restrict them beyond rules on the root.
    schema["properties"]["apiVersion"] = {"type": "string"}
    schema["properties"]["kind"] = {"type": "string"}
    schema["properties"]["metadata"] = {"type": "object"}
    schema["required"] = ["spec"]
    return schema


def _structural(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return _described({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, node)
    if node.get("x-kubernetes-int-or-string"):
        kept = ("x-kubernetes-int-or-string", "minimum", "maxLength", "pattern")
        return _described({key: node[key] for key in kept if key in node}, node)
    if "$ref" in node:
        return _described(_structural(defs[node["$ref"].rsplit("/", 1)[1]], defs), node)
    if "anyOf" in node:  # only "this or not said" is used
        (said,) = [part for part in node["anyOf"] if part.get("type") != "null"]
        return _described(_structural(said, defs), node)
    out = {k: v for k, v in node.items() if k in _KEPT or k.startswith("x-kubernetes-")}
    if "properties" in out:
        out["properties"] = {name: _structural(child, defs) for name, child in out["properties"].items()}
        out.pop("additionalProperties", None)
    elif isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = _structural(out["additionalProperties"], defs)
    if "items" in out:
        out["items"] = _structural(out["items"], defs)
    return out


def _described(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What is written beside a reference (a field's own description, list markers) goes over what it refers to."""
    own = {
        k: v for k, v in node.items() if k in {"description", "enum", "maxItems"} or k.startswith("x-kubernetes-list")
    }
    return {**schema, **own}


def render() -> str:
    """The file `crds/telegrambots.yaml`."""
    return _file(crd(), KIND)


def render_defaults() -> str:
    """The file `crds/telegrambotdefaults.yaml`."""
    return _file(defaults_crd(), DEFAULTS_KIND)


def _file(definition: dict[str, Any], kind: str) -> str:
    head = f"# Generated from the {kind} model (make generate). Do not edit.\n"
    return head + yaml.dump(definition, Dumper=_NoAliases, sort_keys=False, width=120, allow_unicode=True)


class _NoAliases(yaml.SafeDumper):
    """Writes equal parts out each time: readers of a CRD expect no YAML anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
