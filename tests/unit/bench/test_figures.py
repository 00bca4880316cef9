"""Promises of how benchmarks print."""

from bench.figures import Rounds, percentile, ratio, table


def test_rounds_are_printed_as_least_median_and_most() -> None:
    assert str(Rounds((3.0, 1.0, 2.0))) == "1.0 / 2.0 / 3.0"


def test_a_ratio_is_of_the_medians_and_a_floor_of_nothing_has_none() -> None:
    assert ratio(Rounds((4.0, 6.0, 5.0)), Rounds((2.0,))) == "2.50"
    assert ratio(Rounds((4.0,)), Rounds((0.0,))) == "-"


def test_a_percentile_lies_within_what_was_measured() -> None:
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert 2.9 < percentile([1.0, 2.0, 3.0], 99) <= 3.0


def test_a_table_has_its_columns_below_one_another() -> None:
    assert table(["", "b"], [["row", 10], ["longer", 2]]) == "         b\nrow     10\nlonger   2"
