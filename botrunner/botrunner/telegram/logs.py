"""Why: Telethon logs what passes through it, and that is people's messages. Only its fixed phrases get into our log.

Nothing below WARNING, no arguments, no text of an exception, no traceback: those hold objects as Telegram sent them.
"""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import structlog

_log = structlog.get_logger(__name__)

# Telethon's own bracket for an exception that our hook raises on purpose; the reason is in our log already.
_EXPECTED = "Fatal error handling updates"


class TelethonLogger(logging.Logger):
    """Given to a client as `base_logger`. It is its own child, because a parent's filters do not see a child's records."""

    def __init__(self) -> None:
        super().__init__("telethon", logging.WARNING)

    def getChild(self, suffix: str) -> "TelethonLogger":  # noqa: N802 -- the base class's
        """Itself."""
        return self

    def _log(  # type: ignore[override]
        self,
        level: int,
        msg: object,
        args: Any,
        exc_info: bool | BaseException | tuple[type[BaseException], BaseException, TracebackType | None] | None = None,
        extra: Mapping[str, object] | None = None,
        stack_info: bool = False,
        stacklevel: int = 1,
    ) -> None:
        del level, args, extra, stack_info, stacklevel
        phrase = str(msg)
        if phrase.startswith(_EXPECTED):
            return
        if exc_info is True:
            import sys

            exc_info = sys.exc_info()[1]
        kind = type(exc_info).__name__ if isinstance(exc_info, BaseException) else None
        _log.info("telethon", phrase=phrase[:200], error=kind)  # what it means for us is logged where it is decided
