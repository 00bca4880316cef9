"""Promises of the estimate of tokens, and of what fits into a budget."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botfleet.store.rows import HistoryRow
from botrunner.conversation.tokens import FRAME, LEAST, MOST, Estimate, newest_within

DATE = datetime(2026, 11, 24, tzinfo=UTC)
TEXTS = st.lists(st.text(max_size=200), max_size=30)


def rows(*texts: str) -> list[HistoryRow]:
    return [HistoryRow("user", text, DATE, position) for position, text in enumerate(texts, 1)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", FRAME), ("four", 1 + FRAME), ("fours", 2 + FRAME), ("привет", 3 + FRAME), ("🙂", 1 + FRAME)],
)
def test_a_text_counts_by_its_bytes(text: str, tokens: int) -> None:
    assert Estimate().of(text) == tokens


def test_the_endpoints_counts_draw_the_estimate_towards_them() -> None:
    estimate = Estimate()
    prompt = ["words " * 100, "more words " * 50]
    counted = 3 * estimate.of_all(prompt)
    for _ in range(30):
        estimate.learn(prompt, counted)
    assert abs(estimate.of_all(prompt) - counted) < 0.02 * counted


def test_an_endpoint_that_counts_nothing_or_nonsense_leaves_the_estimate_within_bounds() -> None:
    estimate, text = Estimate(), "a" * 400
    estimate.learn([text], 0)
    assert estimate.of(text) == 100 + FRAME
    for _ in range(50):
        estimate.learn([text], 10**9)
    assert estimate.of(text) == 100 * MOST + FRAME
    for _ in range(100):
        estimate.learn([text], 1)
    assert estimate.of(text) == 100 * LEAST + FRAME


@given(TEXTS, st.integers(min_value=0, max_value=2000))
def test_what_is_kept_is_the_longest_end_that_fits(texts: list[str], budget: int) -> None:
    history, of = rows(*texts), Estimate().of
    kept = newest_within(history, budget, of)
    assert kept == history[len(history) - len(kept) :]
    assert sum(of(row.text) for row in kept) <= budget
    if len(kept) < len(history):
        assert sum(of(row.text) for row in history[len(history) - len(kept) - 1 :]) > budget


def test_what_fits_exactly_is_kept_and_one_token_less_leaves_the_older_out() -> None:
    history, each = rows("four", "four"), 1 + FRAME
    assert newest_within(history, 2 * each, Estimate().of) == history
    assert newest_within(history, 2 * each - 1, Estimate().of) == history[1:]


def test_one_count_moves_the_estimate_by_its_weight_and_a_count_of_nothing_does_not() -> None:
    estimate, text = Estimate(), "a" * 400
    estimate.learn([text], -5)
    assert estimate.of(text) == 100 + FRAME
    estimate.learn([text], (100 + FRAME) * 3 // 2)
    assert estimate.of(text) == 115 + FRAME
