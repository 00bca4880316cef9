"""Promises of working hours: the clock on the owner's wall, over midnight, over the days on which that clock is changed."""

import re
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botfleet.spec.schedule import Day, WorkingHours
from botrunner.conversation.timetable import LONGEST_WAIT, Timetable

EVERY_DAY = list(Day)
OFFICE = [Day.MON, Day.TUE, Day.WED, Day.THU, Day.FRI]


def hours(opens: str, closes: str, days: list[Day] = EVERY_DAY) -> WorkingHours:
    return WorkingHours.model_validate({"days": days, "from": opens, "to": closes})


def table(*of: WorkingHours, zone: str = "Asia/Bishkek") -> Timetable:
    return Timetable(zone, of)


def at(text: str, zone: str = "Asia/Bishkek", fold: int = 0) -> datetime:
    """A time of a wall clock, as the runner has it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [("08:59:59", False), ("09:00", True), ("17:59:59", True), ("18:00", False), ("00:00", False)],
)
def test_hours_are_those_of_the_owners_clock(now: str, is_open: bool) -> None:
    found = table(hours("09:00", "18:00"))
    assert found.is_open(at(f"2026-11-25T{now}")) is is_open
    elsewhere = datetime.fromisoformat(f"2026-11-25T{now}").replace(tzinfo=UTC)  # six hours behind
    assert found.is_open(elsewhere) is (at("2026-11-25T09:00") <= elsewhere < at("2026-11-25T18:00"))


def test_hours_are_those_of_their_days() -> None:
    office = table(hours("09:00", "18:00", OFFICE))
    assert [office.is_open(at(f"2026-11-{day}T12:00")) for day in (23, 24, 25, 26, 27, 28, 29)] == [True] * 5 + [
        False
    ] * 2
    assert office.opening(at("2026-11-27T18:00")) == at("2026-11-30T09:00"), "Monday"
    assert office.closed_since(at("2026-11-30T08:00")) == at("2026-11-27T18:00")


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    bar = table(hours("20:00", "02:00", [Day.FRI]))
    assert not bar.is_open(at("2026-11-27T01:00"))
    assert bar.is_open(at("2026-11-27T23:00"))
    assert bar.is_open(at("2026-11-28T01:59"))
    assert not bar.is_open(at("2026-11-28T02:00"))


def test_until_midnight_and_the_whole_day_can_be_said() -> None:
    assert table(hours("18:00", "00:00")).closed_since(at("2026-11-25T07:00")) == at("2026-11-25T00:00")
    always = table(hours("00:00", "00:00"))
    assert always.is_open(at("2026-11-25T00:00"))
    assert always.opening(at("2026-11-25T00:00")) is None
    assert always.closed_since(at("2026-11-25T00:00")) is None


def test_hours_that_touch_or_overlap_are_one() -> None:
    found = table(hours("09:00", "12:00"), hours("12:00", "15:00"), hours("14:00", "18:00"))
    assert found.opening(at("2026-11-25T08:00")) == at("2026-11-25T09:00")
    assert found.is_open(at("2026-11-25T12:00"))
    assert found.closed_since(at("2026-11-25T20:00")) == at("2026-11-25T18:00")


def test_when_summer_time_begins_a_time_that_is_leaped_over_is_an_hour_later() -> None:
    """Berlin, 2026-03-29: after 01:59:59 comes 03:00."""
    zone = "Europe/Berlin"
    found = table(hours("02:30", "04:00"), zone=zone)
    assert found.opening(at("2026-03-29T01:00", zone)) == at("2026-03-29T03:30", zone)
    until = table(hours("01:00", "02:30"), zone=zone)
    assert until.is_open(at("2026-03-29T03:29", zone))
    assert not until.is_open(at("2026-03-29T03:30", zone))
    gone = table(hours("02:15", "03:00", [Day.SUN]), zone=zone)
    assert gone.opening(at("2026-03-29T01:00", zone)) == at("2026-04-05T02:15", zone), "nothing was left of them"


def test_when_summer_time_ends_hours_begin_at_the_first_and_end_at_the_second_such_time() -> None:
    """Berlin, 2026-10-25: after 02:59:59 comes 02:00 again."""
    zone = "Europe/Berlin"
    found = table(hours("02:30", "02:45"), zone=zone)
    assert found.opening(at("2026-10-25T01:00", zone)) == at("2026-10-25T02:30", zone, fold=0)
    assert found.is_open(at("2026-10-25T02:10", zone, fold=1))
    assert found.is_open(at("2026-10-25T02:44", zone, fold=1))
    assert not found.is_open(at("2026-10-25T02:45", zone, fold=1))


def test_nine_hours_stay_nine_in_the_week_in_which_the_clock_is_changed() -> None:
    zone = "Europe/Berlin"
    found = table(hours("09:00", "18:00"), zone=zone)
    for day in ("2026-03-28", "2026-03-29", "2026-10-25", "2026-10-26"):
        start = at(f"{day}T00:00", zone)
        assert found.waited(start, at(f"{day}T23:00", zone)) == timedelta(hours=9), day


def test_only_working_hours_count_as_waiting() -> None:
    office = table(hours("09:00", "18:00", OFFICE))
    friday = at("2026-11-27T17:00")
    assert office.waited(friday, at("2026-11-29T12:00")) == timedelta(hours=1)
    assert office.waited(friday, at("2026-11-30T10:00")) == timedelta(hours=2)
    assert office.waited(friday, friday) == timedelta(0)
    assert office.waited(friday, friday + LONGEST_WAIT + timedelta(days=1)) == LONGEST_WAIT + timedelta(days=1)


ZONES = ["Asia/Bishkek", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]
WALL = st.times().map(lambda time: f"{time:%H:%M}")
TABLES = st.builds(
    lambda zone, of: Timetable(zone, tuple(of)),
    st.sampled_from(ZONES),
    st.lists(
        st.builds(hours, WALL, WALL, st.lists(st.sampled_from(EVERY_DAY), min_size=1, max_size=7)),
        min_size=1,
        max_size=3,
    ),
)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda time: time.replace(tzinfo=UTC))  # noqa: DTZ001


@settings(max_examples=40)  # each looks at a month of days
@given(TABLES, TIMES)
def test_it_is_open_or_there_is_an_opening_at_which_it_is_and_before_which_it_is_not(
    found: Timetable, now: datetime
) -> None:
    opening, closed_since = found.opening(now), found.closed_since(now)
    if found.is_open(now):
        assert opening is None
        assert closed_since is None
        return
    assert opening is not None
    assert closed_since is not None
    assert closed_since <= now < opening <= now + timedelta(days=15)
    assert found.is_open(opening)
    assert not found.is_open(opening - timedelta(microseconds=1))
    assert found.is_open(closed_since - timedelta(microseconds=1))
    assert found.closed_since(opening - timedelta(microseconds=1)) == closed_since, "one closed time, one beginning"
    assert found.waited(closed_since, now) == timedelta(0)


def test_hours_that_the_clock_has_leaped_over_leave_the_ones_of_a_week_before_the_last() -> None:
    zone = "Europe/Berlin"
    sunday = table(hours("02:15", "03:00", [Day.SUN]), zone=zone)
    assert sunday.closed_since(at("2026-04-04T12:00", zone)) == at("2026-03-22T03:00", zone)


def test_the_runners_image_brings_the_time_zones_whatever_its_base_has() -> None:
    root = Path(__file__).parents[3]
    assert re.search(r"^tzdata==", (root / "requirements/runner.txt").read_text(), re.MULTILINE)
    zones = resources.files("tzdata.zoneinfo")
    assert all(zones.joinpath(*name.split("/")).is_file() for name in ZONES)
