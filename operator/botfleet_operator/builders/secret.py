"""
Why: the bot's own credentials: for the database, for Redis, and the key under which it keeps its session.
Never: a copy of an owner's Secret.
"""

from __future__ import annotations

import base64
from typing import Any

from botfleet_operator.builders.common import Blueprint, metadata


def build(blueprint: Blueprint) -> dict[str, Any]:
    """The Secret `<bot>-botfleet`."""
    values = {
        "database-password": blueprint.database_password,
        "redis-password": blueprint.redis_password,
        "session-key": blueprint.session_key,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(blueprint, blueprint.own_secret_name),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
