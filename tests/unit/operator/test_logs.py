"""What a log line of the operator may hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from botfleet_operator import logs

PLANTED = "planted-password-of-a-role"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, kept = logging.getLogger(), logging.getLogger().handlers[:]
    level, quiet = root.level, {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    root.handlers[:] = kept
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def connect(password: str) -> None:
    assert password
    raise OSError("refused")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_tells_where_and_not_what_the_variables_were(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(log_format, "info")
    password = PLANTED[:]
    try:
        connect(password)
    except OSError:
        logging.getLogger("some.library").exception("failed")
        structlog.get_logger("botfleet.operator").error("failed", exc_info=True)
    told = capsys.readouterr().err
    assert told.count("refused") >= 2
    assert "connect" in told
    assert PLANTED not in told
