"""Why: one shape for every log line: an event's name and fields; JSON in a container, for people on a terminal.

Never message text, tokens, phone numbers or session strings: other libraries' lines are kept to warnings and pass a filter.
"""

import hmac
import logging
import secrets
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.types import Processor

MOST_FRAMES = 20  # of an uncaught exception
QUIET_LIBRARIES = (
    "telethon",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "sqlalchemy",
    "aiosqlite",
    "redis",
    "psycopg",
    "asyncio",
)


class ChatMarks:
    """Puts a mark in the place of a chat's id: the lines of one chat are found by it, and nobody can count back whose it is.

    `key`: the bot's own, so that the marks stay over restarts; before it is known, one of this process.
    """

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)

    def __call__(
        self, _logger: object, _method: str, event: "structlog.types.EventDict"
    ) -> "structlog.types.EventDict":
        """For structlog: `peer_id` becomes `chat`."""
        peer_id = event.pop("peer_id", None)
        if peer_id is not None:
            event["chat"] = hmac.new(self.key, str(peer_id).encode(), "sha256").hexdigest()[:12]
        return event


CHAT_MARKS = ChatMarks()


def set_up(format_: str, level: str, bot: str) -> None:
    """Configures structlog and the standard library's logging for the process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        CHAT_MARKS,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if format_ == "json":
        renderer: Processor = structlog.processors.JSONRenderer()
    elif sys.stderr.isatty():
        from botrunner.terminal.words import in_words  # not loaded in a pod

        renderer = in_words
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(bot=bot)
    tell_uncaught_without_words()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_library_line, renderer])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for library in QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(logging.ERROR if library == "telethon" else logging.WARNING)


def tell_uncaught_without_words() -> None:
    """What ends the process, or a thread, is told by its type and its frames: an exception's text may hold a person's words."""
    sys.excepthook = _tell_uncaught
    threading.excepthook = lambda args: _tell_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _tell_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("uncaught", error=kind.__name__, at=_frames(trace), because=_causes(error))


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)[-MOST_FRAMES:]]


def _causes(error: BaseException | None) -> list[str]:
    """What a group holds and what an error came from, innermost last."""
    told: list[str] = []
    waiting = [error]
    while waiting and len(told) < MOST_FRAMES:
        one = waiting.pop(0)
        if one is None:
            continue
        last = _frames(one.__traceback__)[-1:]
        told.append(" ".join([type(one).__name__, *last]))
        waiting += [*(one.exceptions if isinstance(one, BaseExceptionGroup) else ()), one.__cause__ or one.__context__]
    return told[1:]


def _library_line(logger: object, method: str, event: "structlog.types.EventDict") -> "structlog.types.EventDict":
    """A library's line tells which library and which exception; its own words may hold a person's."""
    record: logging.LogRecord = event["_record"]
    kept = {k: event[k] for k in ("bot", "level", "timestamp") if k in event}
    error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
    return {
        **kept,
        "event": "library_log",
        "library": record.name,
        "line": f"{record.module}:{record.lineno}",
        "error": error,
    }
