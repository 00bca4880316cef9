"""The id by which Telegram knows a repeated send."""

from hypothesis import given
from hypothesis import strategies as st

from botrunner.telegram.ids import random_id

ids = st.integers(-(2**63), 2**63 - 1)
small = st.integers(0, 1000)


def test_the_same_cause_gives_the_same_id_for_ever():
    # This very number is in the outboxes of bots that run: it must not change with a release.
    assert random_id(5000001, 1001, "reply:17", 0, 0) == -6276091613767699215


@given(ids, ids, st.text(max_size=20), small, small)
def test_an_id_fits_into_64_bits_and_is_never_zero(account, peer, cause, sequence, part):
    number = random_id(account, peer, cause, sequence, part)
    assert -(2**63) <= number < 2**63
    assert number != 0


def test_whatever_differs_gives_another_id():
    base = (1, 2, "reply:3", 4, 5)
    others = [
        (9, 2, "reply:3", 4, 5),
        (1, 9, "reply:3", 4, 5),
        (1, 2, "reply:9", 4, 5),
        (1, 2, "reply:3", 9, 5),
        (1, 2, "reply:3", 4, 9),
    ]
    assert len({random_id(*values) for values in [base, *others]}) == 6


def test_neighbouring_fields_do_not_run_into_each_other():
    assert random_id(1, 12, "x", 3, 4) != random_id(11, 2, "x", 3, 4)
    assert random_id(1, 2, "x", 34, 5) != random_id(1, 2, "x", 3, 45)
