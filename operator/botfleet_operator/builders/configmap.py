"""
Why: the runner reads its effective spec from a file, the same document as in single-bot mode.
Never: anything secret, nor what only the operator acts on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
import yaml

from botfleet.digest import NOT_THE_RUNNERS
from botfleet.spec import API_VERSION, KIND
from botfleet_operator.builders.common import Blueprint, metadata

FILE = "bot.yaml"
_REMEMBERED = 64  # a bot is decided about several times in a row while it is made; writing YAML is most of a decision


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
        "data": {FILE: _yaml(orjson.dumps(document, option=orjson.OPT_SORT_KEYS))},
    }


@lru_cache(_REMEMBERED)
def _yaml(document: bytes) -> str:
    """Of a JSON document."""
    return yaml.dump(orjson.loads(document), Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True)
