"""What `make test` says at its end."""

import pytest

from botfleet_tools.testing import Result, duration, in_time, summary


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (1111.2, "18 min 31 s"), (75 * 60, "75 min 0 s")],
)
def test_a_duration_is_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(("seconds", "kept"), [(1111.2, True), (75 * 60, True), (75 * 60 + 1, False)])
def test_the_promise_is_broken_by_more_than_the_first_time_may_take(seconds: float, kept: bool) -> None:
    assert in_time(seconds)[0] is kept


@pytest.mark.parametrize(
    ("result", "seconds", "code", "last"),
    [
        (
            Result("unit", 1, passed=1),
            1111.2,
            0,
            "make test: 18 min 31 s (promise: 25 min with a warm cache, 75 without)",
        ),
        (
            Result("unit", 1, passed=1),
            4501.0,
            1,
            "make test: 75 min 1 s (promise: 25 min with a warm cache, 75 without), which is too long: FAILED",
        ),
        (Result("unit", 1, failed=1), 60.0, 1, "make test: 1 min 0 s (promise: 25 min with a warm cache, 75 without)"),
        (Result("unit", 1, passed=1), None, 0, "1 passed, 0 failed, 0 skipped"),
    ],
)
def test_the_time_of_everything_is_told_last_and_a_part_alone_promises_none(
    result: Result, seconds: float | None, code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert summary([result], seconds) == code
    assert capsys.readouterr().out.splitlines()[-1] == last
