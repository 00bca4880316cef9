"""The table of what somebody with rights on TelegramBots alone can reach: each line has its test, or says that it is open."""

from pathlib import Path

import pytest

from tests.unit.docs.test_pages import existing_tests, named_tests

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/design/security-model.md").read_text()
ROWS = [row for row in PAGE.splitlines() if row.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS)
def test_every_line_names_a_test_or_says_that_it_is_open_and_what_closes_it(row: str) -> None:
    _, tried, stops, tests, _ = (cell.strip() for cell in row.split("|"))
    assert tried
    assert named_tests(tests) <= existing_tests()
    if not named_tests(tests):
        assert stops.startswith("**open**")
        assert len(stops) > len("**open**: ") + 20, "what closes it, or why it is so"


def test_what_was_asked_for_is_there() -> None:
    for word in ("Secret", "namespace", "image", "endpoint", "environment", "nodeSelector", "priorityClassName"):
        assert word in PAGE
    for word in ("runtimeClassName", "node's files", "status or an event", "use up the node", "another bot's account"):
        assert word in PAGE
