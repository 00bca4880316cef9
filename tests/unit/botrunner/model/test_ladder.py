"""Promises of the ladder: 80 % warns, 95 % takes the cheapest, 100 % asks nobody; whichever of tokens and money is further."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botfleet.model import Budget, Model, Price
from botfleet.spec import SecretKeyRef
from botfleet.store.usage import Spent
from botrunner.model.ladder import Rung, order, rung

LIMITS = st.integers(0, 10**15)
MODEL = Model("m", "http://model.invalid/v1", SecretKeyRef(name="s", key="k"), None, 9, 5)


@pytest.mark.parametrize(
    ("spent", "reached"),
    [(0, Rung.NORMAL), (799, Rung.NORMAL), (800, Rung.WARN), (949, Rung.WARN), (950, Rung.CHEAPER), (999, Rung.CHEAPER),
     (1000, Rung.EXHAUSTED), (5000, Rung.EXHAUSTED)],
)  # fmt: skip
def test_each_rung_begins_exactly_at_its_share(spent: int, reached: Rung) -> None:
    assert rung(Spent(spent, 0), Budget(1000, 0, "")) is reached
    assert rung(Spent(0, spent), Budget(0, 1000, "")) is reached


def test_without_a_limit_nothing_is_reached() -> None:
    assert rung(Spent(10**15, 10**15), Budget(0, 0, "")) is Rung.NORMAL


@given(LIMITS, LIMITS, LIMITS, LIMITS)
def test_the_rung_is_that_of_the_share_whatever_the_numbers(tokens: int, micros: int, limit: int, money: int) -> None:
    shares = [Fraction(spent, bound) for spent, bound in ((tokens, limit), (micros, money)) if bound]
    share = max(shares, default=Fraction(0))
    steps = [Fraction(80, 100), Fraction(95, 100), Fraction(1)]
    assert rung(Spent(tokens, micros), Budget(limit, money, "")) == sum(share >= step for step in steps)


@given(LIMITS, LIMITS, LIMITS, LIMITS, st.integers(0, 10**12), st.integers(0, 10**12))
def test_spending_more_never_leads_back_down(
    tokens: int, micros: int, limit: int, money: int, more: int, dearer: int
) -> None:
    budget = Budget(limit, money, "")
    assert rung(Spent(tokens + more, micros + dearer), budget) >= rung(Spent(tokens, micros), budget)


def chain(*prices: float | None) -> tuple[Model, ...]:
    return tuple(replace(MODEL, price=None if price is None else Price(price / 2, price / 2)) for price in prices)


@pytest.mark.parametrize(
    ("prices", "asked"),
    [
        ((9.0, 3.0, 1.0, 2.0), [2, 0, 1, 3]),  # the cheapest, then the others in their order
        ((9.0, None, None), [2, 0, 1]),  # no fallback tells its price: the last one
        ((None, None), [1, 0]),
        ((9.0, None, 4.0), [2, 0, 1]),  # a known price counts
        ((1.0, 3.0), [0, 1]),  # the main model is the cheapest
        ((1.0, 1.0), [0, 1]),
        ((None, 3.0, 2.0), [2, 0, 1]),
        ((9.0,), [0]),
    ],
)
def test_at_95_percent_the_cheapest_is_asked_first(prices: tuple[float | None, ...], asked: list[int]) -> None:
    assert order(chain(*prices), cheaper=True) == asked
    assert order(chain(*prices), cheaper=False) == list(range(len(prices)))


@given(st.lists(st.none() | st.floats(0, 1000), min_size=1, max_size=4), st.booleans())
def test_every_model_is_in_the_order_once(prices: list[float | None], cheaper: bool) -> None:
    assert sorted(order(chain(*prices), cheaper=cheaper)) == list(range(len(prices)))


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1000), st.floats(0, 1000))
def test_a_cost_is_never_told_too_low(input_tokens: int, output_tokens: int, price_in: float, price_out: float) -> None:
    exact = Fraction(price_in) * input_tokens + Fraction(price_out) * output_tokens
    micros = Price(price_in, price_out).micros(input_tokens, output_tokens)
    assert exact - Fraction(1, 10**5) - exact / 10**12 <= micros <= exact + 1 + exact / 10**12


def test_a_cost_of_round_numbers_is_exact() -> None:
    assert Price(0.25, 2.0).micros(1_000_000, 500_000) == 1_250_000
    assert Price(0.1, 0.2).micros(10, 10) == 3
    assert Price(0.05, 0).micros(1, 0) == 1
