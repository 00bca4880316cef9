"""Promises of the lines at a terminal: sentences that say what happened and what to do."""

from datetime import UTC, datetime

import pytest

from botrunner.terminal.words import line

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"event": "connected", "username": "a_bot"}, "Connected as @a_bot. Write to it: https://t.me/a_bot"),
        ({"event": "connected", "username": None}, "Connected to Telegram."),
        ({"event": "stopping", "grace": 30}, "(at most 30 s). Ctrl-C again ends it at once."),
        ({"event": "stopped"}, "Stopped."),
        ({"event": "life_ended", "reason": "TokenInvalid"}, "TokenInvalid. docs/conditions.md says what to do."),
        ({"event": "stopping"}, "stopping"),
        ({"event": "some_event", "level": "warning", "error": "X", "n": None}, "warning: some event  error=X"),
    ],
)
def test_an_event_is_told_in_words_with_the_time_and_without_the_bots_name(event: dict[str, object], told: str) -> None:
    said = line({"bot": "ns/b", "timestamp": "t", "level": "info", **event}, NOW)
    assert said.startswith("03:04:05  ")
    assert told in said
    assert "ns/b" not in said
