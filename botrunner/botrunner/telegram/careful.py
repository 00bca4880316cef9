"""Why: a message of which nobody foresaw the form costs itself at most. What its conversion raised would hold the pts back, and the
same message would come again at each start. Pure, but for the log: it names types, never what was in them.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import structlog

_log = structlog.get_logger(__name__)

T = TypeVar("T")


def read(item: Any, *ways: Callable[[Any], T]) -> T | None:
    """What the first of the ways makes of an item that does not raise; None: none of them makes anything of it."""
    for place, way in enumerate(ways):
        try:
            return way(item)
        except Exception as error:  # noqa: BLE001 -- whatever it is, what comes after it is taken in
            if place == 0:
                _log.warning("telegram.not_understood", what=type(item).__name__, error=type(error).__name__)
    return None
