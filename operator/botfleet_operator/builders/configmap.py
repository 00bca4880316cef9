"""
Why: the runner reads its effective spec from a file, the same document as in single-bot mode.
Never: anything secret, nor what only the operator acts on.
"""

from __future__ import annotations

from typing import Any

import yaml

from botfleet.digest import NOT_THE_RUNNERS
from botfleet.spec import API_VERSION, KIND
from botfleet_operator.builders.common import Blueprint, metadata

FILE = "bot.yaml"


def build(blueprint: Blueprint) -> dict[str, Any]:
    """The ConfigMap with `bot.yaml`."""
    spec = {k: v for k, v in blueprint.spec.to_spec().to_wire().items() if k not in NOT_THE_RUNNERS}
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": blueprint.name, "namespace": blueprint.namespace},
        "spec": spec,
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(blueprint, blueprint.name),
        "data": {FILE: yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True)},
    }
