"""
Why: each bot runs as a ServiceAccount of its own that can do nothing.
Never: mount its token; runners have no Kubernetes credentials.
"""

from __future__ import annotations

from typing import Any

from botfleet_operator.builders.common import Blueprint, metadata


def build(blueprint: Blueprint) -> dict[str, Any]:
    """The ServiceAccount."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(blueprint, blueprint.name),
        "automountServiceAccountToken": False,
    }
